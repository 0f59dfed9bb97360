package fleet

import (
	"context"
	"errors"

	"multitenant/database"
	"multitenant/models"
)

// Rollback undoes the migrations of the tenants' databases that are later than the
// migration with the id to. It runs as Migrate does and returns the same errors. It
// changes nothing and returns an error if to is unknown, and
// database.ErrNoWayBack if a later migration cannot be undone. The core database
// stays as it is.
//
// A tenant whose rollback fails keeps its schema and is still served, so the
// registry records no error. The next run finds the tenant by its version.
func (f *Fleet) Rollback(ctx context.Context, plan Plan, to string, report func(*Summary)) (Summary, error) {
	ahead, err := f.ahead(ctx, to)
	if err != nil {
		return Summary{}, err
	}
	return f.run(ctx, plan, ahead, &task{
		report: report,
		to:     to,
		do: func(ctx context.Context, record *models.Tenant) error {
			return f.rollBack(ctx, record, to)
		},
	})
}

// CountAhead counts the tenants that Rollback would roll back. It returns the errors
// that Rollback would return before the first tenant.
func (f *Fleet) CountAhead(ctx context.Context, plan Plan, to string) (int, error) {
	ahead, err := f.ahead(ctx, to)
	if err == nil {
		ahead, err = f.choose(ctx, plan, ahead)
	}
	if err != nil {
		return 0, err
	}
	return models.CountTenants(ctx, f.databases.Core, ahead)
}

// ahead selects the tenants with a later schema than to: by a migration of this
// code, or by an unknown one, which makes their rollback fail.
func (f *Fleet) ahead(ctx context.Context, to string) (models.Selection, error) {
	later, err := database.Undoable(f.databases.Migrations, to)
	if err != nil {
		return models.Selection{}, err
	}
	older := map[string]bool{"": true}
	for _, migration := range f.databases.Migrations[:len(f.databases.Migrations)-len(later)] {
		older[migration.ID] = true
	}
	counts, err := models.CountVersions(ctx, f.databases.Core)
	if err != nil {
		return models.Selection{}, err
	}
	newer := make([]string, 0, len(counts))
	for _, count := range counts {
		if !older[count.SchemaVersion] {
			newer = append(newer, count.SchemaVersion)
		}
	}
	return models.Selection{Fleet: true, Versions: newer}, nil
}

func (f *Fleet) rollBack(ctx context.Context, record *models.Tenant, to string) error {
	db, err := f.databases.OpenStamped(ctx, record)
	if err != nil {
		return err
	}
	err = errors.Join(database.RollbackTo(ctx, db, f.databases.Migrations, to), database.Close(db))
	if err != nil {
		return err
	}
	record.SchemaVersion, record.Error = to, ""
	return models.RecordSchema(ctx, f.databases.Core, record)
}
