package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291110SetSequences sets the sequences of an original that was restored
// without them, and names the indexes that errors are told apart by.
func core202611291110SetSequences() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611291110_set_core_sequences",
		Migrate: func(tx *gorm.DB) error {
			return inOrder(tx, setSequences, nameUnique("core_users", "email"), nameUnique("organizations", "slug"))
		},
		Rollback: func(*gorm.DB) error { return nil },
	}
}
