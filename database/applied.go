package database

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// ErrOlderSchema says that a database lacks migrations this version of the
// software needs.
var ErrOlderSchema = errors.New("database was not migrated by this version of the software yet")

// Applied lists the migrations a database has, the oldest first. It changes
// nothing. A database that was never migrated has none.
func Applied(ctx context.Context, db *gorm.DB) ([]string, error) {
	// GORM would log a missing table as an error.
	rows, err := db.Statement.ConnPool.QueryContext(ctx, "SELECT id FROM "+Qualified(db, "schema_migrations")+" ORDER BY id")
	if IsUndefinedTable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list migrations: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	return ids, nil
}

// CheckSchema compares what a database has with what list says it should have:
// ErrNewerSchema, ErrOlderSchema, or nil where they agree.
func CheckSchema(applied []string, list []*gormigrate.Migration) error {
	known := make(map[string]bool, len(list))
	for _, migration := range list {
		known[migration.ID] = true
	}
	for _, id := range applied {
		if !known[id] {
			return ErrNewerSchema
		}
	}
	for _, migration := range list {
		if !slices.Contains(applied, migration.ID) {
			return ErrOlderSchema
		}
	}
	return nil
}
