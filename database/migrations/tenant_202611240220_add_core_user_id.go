package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// The owner has no password in the tenant, but points at the core user who has.
// Taking that back would lock the owner out, so there is no way to.
func tenant202611240220AddCoreUserID() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611240220_add_core_user_id",
		Migrate: func(tx *gorm.DB) error {
			if err := same("core_user_id", "integer").add(tx, "tenant_users"); err != nil {
				return err
			}
			return index{"core_user_id", true}.ensure(tx, "tenant_users")
		},
	}
}
