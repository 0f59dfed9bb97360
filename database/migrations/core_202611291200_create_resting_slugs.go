package migrations

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291200CreateRestingSlugs creates the table of the slugs of deleted tenants.
// Its rollback forgets them: each is free again.
func core202611291200CreateRestingSlugs() *gormigrate.Migration {
	type restingSlug struct {
		Slug    string    `gorm:"type:varchar;primaryKey"`
		OwnerID *int32    // NULL for a tenant without an organization
		Since   time.Time `gorm:"not null"`
	}
	return &gormigrate.Migration{
		ID: "202611291200_create_resting_slugs",
		Migrate: func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&restingSlug{})
		},
		Rollback: dropTables("resting_slugs"),
	}
}
