package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611251000CreateSessions makes room for the sessions of core users, and
// for the count by which those of owners inside their tenants end.
func core202611251000CreateSessions() *gormigrate.Migration {
	epoch := column{"session_epoch", "bigint NOT NULL DEFAULT 0", "integer NOT NULL DEFAULT 0"}
	return &gormigrate.Migration{
		ID: "202611251000_create_core_sessions",
		Migrate: func(tx *gorm.DB) error {
			if err := epoch.add(tx, "core_users"); err != nil {
				return err
			}
			return sessions202611251000("core_users").adopt(tx)
		},
		Rollback: func(tx *gorm.DB) error {
			if err := run(tx, "DROP TABLE sessions"); err != nil {
				return err
			}
			return run(tx, "ALTER TABLE core_users DROP COLUMN session_epoch")
		},
	}
}
