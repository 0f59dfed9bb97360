package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291820AddLastBackups adds the mark of a tenant that must be backed up before
// its database goes, and the tenant that a slug was of. Where a deletion was never undone
// neither is known, so no tenant is marked and no slug has a tenant. The rollback forgets
// the marks: those tenants are removed without a last backup.
func core202611291820AddLastBackups() *gormigrate.Migration {
	type tenant struct {
		BackupDue bool `gorm:"type:boolean;not null;default:false"`
	}
	type restingSlug struct {
		TenantID *string `gorm:"type:uuid"`
	}
	return &gormigrate.Migration{
		ID: "202611291820_add_last_backups",
		Migrate: func(tx *gorm.DB) error {
			return inOrder(tx, addColumns(&tenant{}, "BackupDue"), addColumns(&restingSlug{}, "TenantID"))
		},
		Rollback: func(tx *gorm.DB) error {
			return inOrder(tx, dropColumns("tenants", "backup_due"), dropColumns("resting_slugs", "tenant_id"))
		},
	}
}
