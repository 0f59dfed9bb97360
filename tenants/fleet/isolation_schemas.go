package fleet

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// findOpenSchemas lists the tenants whose role may make something in schema public of its
// database. A tenant whose database cannot be opened is listed too, because nothing is
// known of it. It opens t.parallel databases at once.
func (f *Fleet) findOpenSchemas(ctx context.Context, fleet []models.Tenant, t *tour) ([]string, error) {
	found := make([]string, len(fleet))
	var workers errgroup.Group
	workers.SetLimit(max(t.parallel, 1))
	t.begin(len(fleet))
	for i := range fleet {
		if ctx.Err() != nil {
			break
		}
		look := func(ctx context.Context, record *models.Tenant) (err error) {
			found[i], err = f.judgeSchema(ctx, record)
			return err
		}
		workers.Go(func() error {
			defer t.note()
			if fleet[i].Status == models.TenantSpare {
				return f.withSpare(ctx, &fleet[i], look)
			}
			return look(ctx, &fleet[i])
		})
	}
	err := errors.Join(workers.Wait(), ctx.Err())
	return slices.DeleteFunc(found, func(name string) bool { return name == "" }), err
}

// judgeSchema returns the tenant's name if something is wrong with its schema, and the
// errors of core. The trial of roles finds a tenant without one, and doctor a database
// that does not exist.
func (f *Fleet) judgeSchema(ctx context.Context, record *models.Tenant) (string, error) {
	open, err := f.isSchemaOpen(ctx, record)
	switch {
	case errors.Is(err, database.ErrNotExist), err == nil && !open:
		return "", nil
	case err == nil:
		return record.Name(), nil
	}
	if isGone, failed := f.isGone(ctx, record); isGone || failed != nil {
		return "", failed
	}
	return record.Name() + " (" + err.Error() + ")", nil
}

// isSchemaOpen asks the catalogs of the tenant's database, whatever stamp that has.
func (f *Fleet) isSchemaOpen(ctx context.Context, record *models.Tenant) (bool, error) {
	if record.Role == "" {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tenants.OpenTimeout)
	defer cancel()
	db, err := f.databases.Backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return false, err
	}
	open, err := f.databases.Roles.MayMake(ctx, db, record.Role)
	return open, errors.Join(err, database.Close(db))
}
