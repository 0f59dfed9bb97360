package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611291111SetSequences does in a tenant what core202611291110SetSequences does
// at core.
func tenant202611291111SetSequences() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID:       "202611291111_set_tenant_sequences",
		Migrate:  func(tx *gorm.DB) error { return inOrder(tx, setSequences, nameUnique("tenant_users", "email")) },
		Rollback: func(*gorm.DB) error { return nil },
	}
}
