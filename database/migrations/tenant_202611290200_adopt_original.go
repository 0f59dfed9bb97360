package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611290200AdoptOriginal adopts or creates the original's table of a
// tenant's users. Its way back touches nothing: the table and its rows may have been
// there before us.
func tenant202611290200AdoptOriginal() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611290200_adopt_tenant_original",
		Migrate: func(tx *gorm.DB) error {
			return adoptAll(tx, originalUsers("tenant_users", same("bio", "text"), same("phone", "varchar")))
		},
		Rollback: func(*gorm.DB) error { return nil },
	}
}
