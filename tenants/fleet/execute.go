package fleet

import (
	"context"
	"errors"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// Script is a statement that an operator runs in tenants' databases.
type Script struct {
	// Statement returns the statement for a tenant, which takes its rows, and done, which is
	// called where it has succeeded and learns whether rows were left out. Several goroutines
	// call both.
	Statement func(record *models.Tenant) (statement *database.Statement, done func(isCut bool) error)
	Write     bool // of all statements
}

// Execute runs the script in the database of the plan's tenant, or of all, plan.Parallel at
// once, as each tenant's own role. Suspended tenants are among them, and tenants that are
// behind, whose schema stays as it is. A script that writes holds the tenant's lock. The
// others go on when one fails. When ctx ends, statements under way are cancelled and taken
// back, and count as left. It calls report as Migrate does, and returns the same errors.
func (f *Fleet) Execute(ctx context.Context, plan Plan, script *Script, report func(*Summary)) (Summary, error) {
	selection, t := models.Selection{Claimed: true, Fleet: true}, &task{report: report}
	return f.spread(ctx, plan, selection, t, func(record *models.Tenant) {
		err := f.execute(ctx, script, record)
		if err != nil && ctx.Err() != nil {
			return
		}
		if err != nil && plan.Slug == "" {
			if gone, failure := f.isGone(ctx, record); gone && failure == nil {
				err = nil
			}
		}
		t.note(record, err)
	})
}

func (f *Fleet) execute(ctx context.Context, script *Script, record *models.Tenant) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if script.Write {
		session, err := f.databases.Lock(ctx, record.ID)
		if models.IsKind(err, models.KindBusy) {
			return tenants.ErrAtWork
		}
		if err != nil {
			return err
		}
		defer session.Unlock()
		now, err := models.FindTenant(ctx, f.databases.Core, record.ID)
		if err != nil {
			return err
		}
		record = &now
	}
	entry, err := f.databases.Entry(record)
	if err != nil {
		return err
	}
	statement, done := script.Statement(record)
	isCut, err := f.databases.Backend.Execute(ctx, entry, statement)
	if err != nil {
		return err
	}
	return done(isCut)
}

// IsBehind reports whether the tenant's database has another schema than this code's.
func (f *Fleet) IsBehind(record *models.Tenant) bool {
	return record.SchemaVersion != f.databases.Version
}

// Client says how to start the engine's own program on a tenant's database, as the tenant's
// role. It has looked whether the database can be opened and is the tenant's. The errors are
// KindTenantNotFound, and those of Execute.
func (f *Fleet) Client(ctx context.Context, slug models.Slug, write bool) (models.Tenant, database.Client, error) {
	record, err := models.FindTenantBySlug(ctx, f.databases.Core, slug)
	if err != nil {
		return record, database.Client{}, err
	}
	entry, err := f.databases.Entry(&record)
	if err != nil {
		return record, database.Client{}, err
	}
	nothing := &database.Statement{
		SQL: "SELECT 1", Timeout: tenants.OpenTimeout, MaxRows: 1,
		Columns: func([]string) error { return nil },
		Row:     func([]database.Cell) error { return nil },
	}
	_, failure := f.databases.Backend.Execute(ctx, entry, nothing)
	client, err := f.databases.Backend.Client(entry, write)
	return record, client, errors.Join(failure, err)
}
