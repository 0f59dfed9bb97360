package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// There is no way back from here: these people may have been there before us.
func tenant202611240200AdoptUsers() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611240200_adopt_tenant_users",
		Migrate: func(tx *gorm.DB) error {
			return adoptUsers(tx, users("tenant_users", same("bio", "text"), same("phone", "varchar")))
		},
	}
}
