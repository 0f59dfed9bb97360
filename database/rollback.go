package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

var (
	// ErrNoWayBack says that a migration cannot be undone.
	ErrNoWayBack = errors.New("migration cannot be rolled back")
	// ErrNoMigration says that no migration has an id.
	ErrNoMigration = errors.New("there is no migration")
)

// Undoable returns the migrations of list after the one with that id. It fails with
// ErrNoMigration when there is none, and with ErrNoWayBack when one of them cannot be
// undone.
func Undoable(list []*gormigrate.Migration, id string) ([]*gormigrate.Migration, error) {
	for i, migration := range list {
		if migration.ID != id {
			continue
		}
		later := list[i+1:]
		for _, undone := range later {
			if undone.Rollback == nil {
				return nil, fmt.Errorf("%w: %s", ErrNoWayBack, undone.ID)
			}
		}
		return later, nil
	}
	return nil, fmt.Errorf("%w %s", ErrNoMigration, id)
}

// RollbackTo undoes the migrations after the one with that id, the newest first, in
// one transaction. The caller must hold the lock that keeps other processes from
// migrating the database. It fails with ErrNewerSchema.
func RollbackTo(ctx context.Context, db *gorm.DB, list []*gormigrate.Migration, id string) error {
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := boundLockWait(tx); err != nil {
			return err
		}
		applied, err := Applied(ctx, tx)
		if err != nil {
			return err
		}
		if err := CheckSchema(applied, list); errors.Is(err, ErrNewerSchema) {
			return err
		}
		return inOwnSchema(ctx, tx, func(tx *gorm.DB) error { return gormigrate.New(tx, migrationOptions(), list).RollbackTo(id) })
	})
	if errors.Is(err, ErrNewerSchema) {
		return fmt.Errorf("%w: run that version or a later one", err)
	}
	if err != nil {
		return fmt.Errorf("roll back database: %w", err)
	}
	return nil
}
