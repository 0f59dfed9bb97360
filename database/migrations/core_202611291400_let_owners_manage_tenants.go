package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291400LetOwnersManageTenants adds what the owners of a tenant without an
// organization may set. Until now only the operator could suspend such a tenant, so no
// owner has suspended any. The rollback forgets the settings: such a tenant is open again.
func core202611291400LetOwnersManageTenants() *gormigrate.Migration {
	type tenant struct {
		Registration     string `gorm:"type:varchar;not null;default:('open')"`
		SuspendedByOwner bool   `gorm:"type:boolean;not null;default:false"`
	}
	return &gormigrate.Migration{
		ID: "202611291400_let_owners_manage_tenants",
		Migrate: func(tx *gorm.DB) error {
			return addColumns(&tenant{}, "Registration", "SuspendedByOwner")(tx)
		},
		Rollback: func(tx *gorm.DB) error {
			return dropColumns("tenants", "registration", "suspended_by_owner")(tx)
		},
	}
}
