package migrations

import (
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// ErrRowsWouldBeLost says that a migration is not taken back, because a table that it
// created has rows that cannot be replaced.
var ErrRowsWouldBeLost = errors.New("migration cannot be rolled back: rows would be lost")

// step is a part of a migration.
type step = func(tx *gorm.DB) error

// inOrder runs the steps until one fails.
func inOrder(tx *gorm.DB, steps ...step) error {
	for _, do := range steps {
		if err := do(tx); err != nil {
			return err
		}
	}
	return nil
}

func run(tx *gorm.DB, statement string, args ...any) error { return tx.Exec(statement, args...).Error }

func isPostgres(tx *gorm.DB) bool { return tx.Name() == "postgres" }

// statements runs each statement.
func statements(list ...string) step {
	return func(tx *gorm.DB) error {
		for _, statement := range list {
			if err := run(tx, statement); err != nil {
				return err
			}
		}
		return nil
	}
}

// addColumns adds the columns of these fields to the table of model.
func addColumns(model any, fields ...string) step {
	return func(tx *gorm.DB) error {
		for _, field := range fields {
			if err := tx.Migrator().AddColumn(model, field); err != nil {
				return err
			}
		}
		return nil
	}
}

// dropColumns removes columns by SQL: on SQLite, GORM rebuilds the table instead.
func dropColumns(table string, columns ...string) step {
	list := make([]string, len(columns))
	for i, column := range columns {
		list[i] = "ALTER TABLE " + table + " DROP COLUMN " + column
	}
	return statements(list...)
}

// dropTables removes tables by SQL: on PostgreSQL, GORM adds CASCADE, and a missing
// table would go unnoticed.
func dropTables(tables ...string) step {
	list := make([]string, len(tables))
	for i, table := range tables {
		list[i] = "DROP TABLE " + table
	}
	return statements(list...)
}

// refuseWithRows fails with ErrRowsWouldBeLost when one of the tables has rows.
func refuseWithRows(tx *gorm.DB, tables ...string) error {
	for _, table := range tables {
		var found bool
		if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM " + table + ")").Scan(&found).Error; err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%w: %s", ErrRowsWouldBeLost, table)
		}
	}
	return nil
}

// uuidText is a UUID: a uuid on PostgreSQL, a text on SQLite.
type uuidText string

// GormDBDataType returns the column's type.
func (uuidText) GormDBDataType(tx *gorm.DB, _ *schema.Field) string {
	if isPostgres(tx) {
		return "uuid"
	}
	return "text"
}
