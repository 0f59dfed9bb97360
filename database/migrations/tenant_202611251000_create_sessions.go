package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611251000CreateSessions makes room for the sessions of a tenant's users.
func tenant202611251000CreateSessions() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID:       "202611251000_create_tenant_sessions",
		Migrate:  func(tx *gorm.DB) error { return sessions202611251000("tenant_users").adopt(tx) },
		Rollback: func(tx *gorm.DB) error { return run(tx, "DROP TABLE sessions") },
	}
}
