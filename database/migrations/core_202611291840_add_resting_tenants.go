package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291840AddRestingTenants adds the deleted tenant to its resting slug. It is
// NULL for a tenant that was deleted before.
func core202611291840AddRestingTenants() *gormigrate.Migration {
	type restingSlug struct {
		TenantID *string `gorm:"type:uuid"`
	}
	return &gormigrate.Migration{
		ID: "202611291840_add_resting_tenants",
		Migrate: func(tx *gorm.DB) error {
			return addColumns(&restingSlug{}, "TenantID")(tx)
		},
		Rollback: dropColumns("resting_slugs", "tenant_id"),
	}
}
