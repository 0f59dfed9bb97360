package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

func tenant202611240210AddEmailCanonical() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID:       "202611240210_add_email_canonical",
		Migrate:  func(tx *gorm.DB) error { return addEmailCanonical(tx, "tenant_users") },
		Rollback: func(tx *gorm.DB) error { return dropEmailCanonical(tx, "tenant_users") },
	}
}
