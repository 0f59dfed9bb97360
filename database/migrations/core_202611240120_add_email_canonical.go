package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

func core202611240120AddEmailCanonical() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID:       "202611240120_add_email_canonical",
		Migrate:  func(tx *gorm.DB) error { return addEmailCanonical(tx, "core_users") },
		Rollback: func(tx *gorm.DB) error { return dropEmailCanonical(tx, "core_users") },
	}
}
