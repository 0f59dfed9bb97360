package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611250900AddDatabasePrefix keeps the prefix that the tenants' databases
// were named with, so that another in the settings is noticed: with it, the
// databases of the service's own would not be found again.
func core202611250900AddDatabasePrefix(prefix string) *gormigrate.Migration {
	column := same("database_prefix", "varchar NOT NULL DEFAULT ''")
	return &gormigrate.Migration{
		ID: "202611250900_add_database_prefix",
		Migrate: func(tx *gorm.DB) error {
			if err := column.add(tx, "core_installation"); err != nil {
				return err
			}
			return run(tx, "UPDATE core_installation SET database_prefix = ?", prefix)
		},
		Rollback: func(tx *gorm.DB) error { return run(tx, "ALTER TABLE core_installation DROP COLUMN database_prefix") },
	}
}
