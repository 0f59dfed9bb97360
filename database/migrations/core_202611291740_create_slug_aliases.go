package migrations

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291740CreateSlugAliases creates the table of the earlier slugs of tenants that
// were renamed. Its rollback forgets them: they lead nowhere then, and each is free again.
func core202611291740CreateSlugAliases() *gormigrate.Migration {
	type slugAlias struct {
		Slug      string    `gorm:"type:varchar;primaryKey"`
		TenantID  string    `gorm:"type:uuid;not null;index:ix_slug_aliases_tenant_id"`
		CreatedAt time.Time `gorm:"not null"`
	}
	return &gormigrate.Migration{
		ID: "202611291740_create_slug_aliases",
		Migrate: func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&slugAlias{})
		},
		Rollback: dropTables("slug_aliases"),
	}
}
