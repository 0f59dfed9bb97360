package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// ErrNewerSchema says that a database has migrations that this version of the
// software does not know. This version must not change it.
var ErrNewerSchema = errors.New("database was migrated by a newer version of this software")

// Migrate runs the migrations of list that a database lacks, and then finish, in one
// transaction. The caller must hold the lock that keeps other processes from
// migrating it. It fails with ErrNewerSchema.
func Migrate(ctx context.Context, db *gorm.DB, list []*gormigrate.Migration, finish ...func(tx *gorm.DB) error) error {
	applied, err := Applied(ctx, db)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	behind := CheckSchema(applied, list)
	if errors.Is(behind, ErrNewerSchema) {
		return fmt.Errorf("%w: run that version or a later one", ErrNewerSchema)
	}
	// gormigrate itself panics when it cannot begin a transaction.
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := boundLockWait(tx); err != nil {
			return err
		}
		if behind != nil {
			if err := MigrateInside(ctx, tx, list); err != nil {
				return err
			}
		}
		for _, do := range finish {
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// MigrateInside runs the migrations of list that a database lacks in the transaction tx. It
// does not look first what the database has, which would end the transaction of a
// database that has no table.
func MigrateInside(ctx context.Context, tx *gorm.DB, list []*gormigrate.Migration) error {
	return inOwnSchema(ctx, tx, func(tx *gorm.DB) error { return gormigrate.New(tx, migrationOptions(), list).Migrate() })
}

// boundLockWait bounds how long a migration waits behind a long transaction, since
// all other statements would queue behind the migration. SQLite bounds every wait.
func boundLockWait(tx *gorm.DB) error {
	if !isPostgres(tx) {
		return nil
	}
	return tx.Exec("SET LOCAL lock_timeout = '5s'").Error
}

// LatestID is the ID of the last migration of list: the version of a database
// that has them all.
func LatestID(list []*gormigrate.Migration) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].ID
}

func migrationOptions() *gormigrate.Options {
	return &gormigrate.Options{TableName: "schema_migrations", ValidateUnknownMigrations: true}
}
