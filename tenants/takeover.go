package tenants

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// takeOver stamps a database of the Python original and links the owner to the
// core user they are: the copy of the password's hash goes.
func (m *Manager) takeOver(ctx context.Context, db *gorm.DB, record *models.Tenant) error {
	owner, err := models.FindOwner(ctx, m.core, record.ID)
	if err != nil && !models.IsKind(err, models.KindUserNotFound) {
		return err
	}
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := models.CreateStamp(ctx, tx, record.ID); err != nil {
			return err
		}
		return models.LinkOwner(ctx, tx, &owner)
	})
}

// checkTakeOver returns nil when the database may be taken over for the tenant:
// it holds the Python original's users, is no core database, and bears no stamp
// but, where a taking over was interrupted, the tenant's own. ErrForeign says
// that it may not; any other error that nobody knows.
func (m *Manager) checkTakeOver(ctx context.Context, db *gorm.DB, id string) error {
	isCore, err := hasTable(ctx, db, "core_users")
	if err != nil {
		return err
	}
	hasUsers, err := hasTable(ctx, db, "tenant_users")
	if err != nil {
		return err
	}
	if isCore || !hasUsers {
		return fmt.Errorf("%w: it does not hold the users of a tenant", database.ErrForeign)
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	err = stampedWith(id)(ctx, pool)
	if errors.Is(err, errNoStamp) {
		return nil
	}
	return err
}

// hasTable looks by reading: a catalog would hide what we may not read.
func hasTable(ctx context.Context, db *gorm.DB, name string) (bool, error) {
	pool, err := db.DB()
	if err != nil {
		return false, err
	}
	var one int
	err = pool.QueryRowContext(ctx, "SELECT 1 FROM "+name+" LIMIT 1").Scan(&one)
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows):
		return true, nil
	case database.IsUndefinedTable(err):
		return false, nil
	}
	return false, fmt.Errorf("look for table %s: %w", name, err)
}
