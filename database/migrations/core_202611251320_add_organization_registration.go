package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611251320AddOrganizationRegistration says who may register in an
// organization's tenant: everybody, as it has been, until its owner says otherwise.
func core202611251320AddOrganizationRegistration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611251320_add_organization_registration",
		Migrate: func(tx *gorm.DB) error {
			return same("registration", "varchar NOT NULL DEFAULT 'open'").add(tx, "organizations")
		},
		Rollback: func(tx *gorm.DB) error { return run(tx, "ALTER TABLE organizations DROP COLUMN registration") },
	}
}
