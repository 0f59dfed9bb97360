package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611251310CreatePasswordResets makes room for the pending password resets
// of a tenant's users.
func tenant202611251310CreatePasswordResets() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611251310_create_tenant_password_resets",
		Migrate: func(tx *gorm.DB) error {
			return passwordResets202611251310("tenant_users").adopt(tx)
		},
		Rollback: func(tx *gorm.DB) error { return run(tx, "DROP TABLE password_resets") },
	}
}
