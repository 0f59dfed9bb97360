package migrations

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611291810CreateReplacedDatabases creates the table of the databases that a
// restored one has replaced. Its rollback fails while there are any: they would belong to
// no tenant then.
func core202611291810CreateReplacedDatabases() *gormigrate.Migration {
	type replacedDatabase struct {
		DatabaseName string    `gorm:"type:varchar;primaryKey"`
		TenantID     uuidText  `gorm:"not null;index:ix_replaced_databases_tenant_id"`
		BackupID     string    `gorm:"type:varchar;not null"`
		ReplacedAt   time.Time `gorm:"not null"`
	}
	return &gormigrate.Migration{
		ID: "202611291810_create_replaced_databases",
		Migrate: func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&replacedDatabase{})
		},
		Rollback: func(tx *gorm.DB) error {
			if err := refuseWithRows(tx, "replaced_databases"); err != nil {
				return err
			}
			return run(tx, "DROP TABLE replaced_databases")
		},
	}
}
