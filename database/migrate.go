package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// ErrNewerSchema says that a database has migrations this version of the
// software does not know. It must not be touched by it.
var ErrNewerSchema = errors.New("database was migrated by a newer version of this software")

// Migrate brings a database up to the end of list and then does what else there
// is to do, in one transaction: all of it or nothing. The caller holds the lock
// that keeps others from doing the same. It fails with ErrNewerSchema.
func Migrate(ctx context.Context, db *gorm.DB, list []*gormigrate.Migration, finish ...func(tx *gorm.DB) error) error {
	// The transaction is begun here and not by gormigrate, which goes on, and
	// panics, when it could not be begun.
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := boundLockWait(tx); err != nil {
			return err
		}
		if err := gormigrate.New(tx, migrationOptions(), list).Migrate(); err != nil {
			return err
		}
		for _, do := range finish {
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, gormigrate.ErrUnknownPastMigration) {
		return fmt.Errorf("%w: run that version or a later one", ErrNewerSchema)
	}
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// boundLockWait keeps a migration from waiting behind a long transaction for
// ever: everybody else would have to wait behind it. SQLite's wait is bounded
// for every statement.
func boundLockWait(tx *gorm.DB) error {
	if tx.Name() != "postgres" {
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
