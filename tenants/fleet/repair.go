package fleet

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// errAtWork says that another process holds the lock.
var errAtWork = errors.New("another process is at work on it")

// repairUnfinished removes an unfinished tenant, as the reconciler does.
func (f *Fleet) repairUnfinished(ctx context.Context, id string) error {
	free, err := f.databases.TryRemove(ctx, id)
	if err == nil && !free {
		return errAtWork
	}
	return err
}

// underLock calls do under the tenant's lock, unless the tenant is gone or unfinished.
func (f *Fleet) underLock(
	ctx context.Context, id string, do func(ctx context.Context, record *models.Tenant) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, tenants.MigrateTimeout)
	defer cancel()
	session, err := f.databases.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer session.Unlock()
	record, err := models.FindTenant(ctx, f.databases.Core, id)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && !record.Status.IsFinished() {
		return nil
	}
	if err != nil {
		return err
	}
	return do(ctx, &record)
}

// repairSchema migrates the database, even if the registry says that it is current.
func (f *Fleet) repairSchema(ctx context.Context, id string) error {
	return f.underLock(ctx, id, f.databases.Upgrade)
}

// repairOpen closes a database to all roles but its owner and the tenant's role.
func (f *Fleet) repairOpen(ctx context.Context, id string) error {
	return f.underLock(ctx, id, func(ctx context.Context, record *models.Tenant) error {
		role := record.Role
		if record.Status == models.TenantSpare {
			role = ""
		}
		return f.databases.Roles.Admit(ctx, record.DatabaseName, role)
	})
}

// repairRole restores the tenant's role, its password, and its rights to connect and
// to use the tables. It does nothing if the database does not have the tenant's
// stamp.
func (f *Fleet) repairRole(ctx context.Context, id string) error {
	if !f.databases.CanCreateRoles() {
		return errors.New("the application's own role may not make roles: ALTER ROLE … CREATEROLE")
	}
	return f.underLock(ctx, id, func(ctx context.Context, record *models.Tenant) error {
		db, err := f.databases.OpenStamped(ctx, record)
		if err != nil {
			return err
		}
		err = f.databases.GiveRole(ctx, record)
		if err == nil {
			err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				return f.databases.GrantTables(tx, record.Role)
			})
		}
		return errors.Join(err, database.Close(db))
	})
}
