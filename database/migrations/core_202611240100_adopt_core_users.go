package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// There is no way back from here: these people may have been there before us.
func core202611240100AdoptUsers() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID:      "202611240100_adopt_core_users",
		Migrate: func(tx *gorm.DB) error { return adoptUsers(tx, users("core_users")) },
	}
}
