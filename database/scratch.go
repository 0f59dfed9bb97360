package database

import (
	"context"
	"errors"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// ScratchSchema exists only inside a transaction of TryMigrations.
const ScratchSchema = "multitenant_scratch"

// errUndone ends a transaction that is to leave nothing behind.
var errUndone = errors.New("undone")

// TryMigrations runs the migrations of list in ScratchSchema of a PostgreSQL database,
// calls look in the same transaction, and undoes all of it.
func TryMigrations(ctx context.Context, db *gorm.DB, list []*gormigrate.Migration, look func(tx *gorm.DB) error) error {
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, statement := range []string{
			"SET LOCAL lock_timeout = '5s'", // another process may be trying them too
			"CREATE SCHEMA " + ScratchSchema,
			"SET LOCAL search_path = " + ScratchSchema + ", pg_temp",
		} {
			if err := tx.Exec(statement).Error; err != nil {
				return err
			}
		}
		own := tx.WithContext(context.WithValue(ctx, inOwnSchemaKey{}, true))
		if err := gormigrate.New(own, migrationOptions(), list).Migrate(); err != nil {
			return err
		}
		if err := tx.Exec("SET LOCAL search_path = pg_catalog, pg_temp").Error; err != nil {
			return err
		}
		if err := look(tx); err != nil {
			return err
		}
		return errUndone
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}
