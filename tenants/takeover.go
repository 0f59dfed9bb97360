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

// takeOver stamps a database of the Python original and links the tenant's owner
// to their core user, which removes the copy of the password's hash.
func (d *Databases) takeOver(ctx context.Context, db *gorm.DB, record *models.Tenant) error {
	owner, err := models.FindOwner(ctx, d.Core, record.ID)
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

// checkTakeOver returns nil if the tenant may take the database over: it holds
// the users of the Python original, is no core database, and has no stamp. After
// an interrupted take-over it has the tenant's own stamp. Otherwise the error is
// database.ErrForeign; any other error says that the check failed.
func (d *Databases) checkTakeOver(ctx context.Context, db *gorm.DB, id string) error {
	isCore, err := database.HasTable(ctx, db, "core_users")
	if err != nil {
		return err
	}
	hasUsers, err := database.HasTable(ctx, db, "tenant_users")
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
	err = d.StampedWith(id)(ctx, pool)
	if errors.Is(err, errNoStamp) {
		return nil
	}
	return err
}

// errNoStamp says that a database has no stamp.
var errNoStamp = fmt.Errorf("%w: it bears no stamp", database.ErrForeign)

// ErrStampHidden says that the tenant's role may not read the stamp.
var ErrStampHidden = fmt.Errorf("%w: the tenant's role may not read its stamp", database.ErrForeign)

// StampedWith returns a check that refuses a database without the stamp of the
// tenant with that id. It reads the stamp on each new connection, so it also
// notices a database that was replaced under an open handle. Its errors are
// database.ErrForeign and those of the query.
func (d *Databases) StampedWith(id string) database.Check {
	query := "SELECT tenant_id FROM " + database.Qualified(d.Core, stampTable)
	return func(ctx context.Context, q database.Querier) error {
		var stamp string
		err := q.QueryRowContext(ctx, query).Scan(&stamp)
		switch {
		case err == nil && stamp == id:
			return nil
		case err == nil:
			return fmt.Errorf("%w: it bears the stamp of tenant %s", database.ErrForeign, stamp)
		case errors.Is(err, sql.ErrNoRows) || database.IsUndefinedTable(err):
			// err is not wrapped: the caller must not take "no rows" for the result of
			// its own query.
			return errNoStamp
		case database.IsDenied(err):
			return ErrStampHidden
		}
		return err
	}
}
