package migrations

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611301800CreateOperations creates the table of long work. A tenant has at
// most one operation that has not ended. The tenant_id has no foreign key, because an
// operation outlives its tenant. The rollback forgets the operations, and refuses while
// there are any: one that has begun would stay half done.
func core202611301800CreateOperations() *gormigrate.Migration {
	type operation struct {
		ID          uuidText `gorm:"primaryKey;not null"`
		Kind        string   `gorm:"type:varchar;not null"`
		TenantID    uuidText `gorm:"not null;uniqueIndex:ix_operations_tenant_id,where:ended_at IS NULL"`
		Server      string   `gorm:"type:varchar;not null"`
		Status      string   `gorm:"type:varchar;not null"`
		EndsAs      string   `gorm:"type:varchar;not null"`
		Phase       string   `gorm:"type:varchar;not null"`
		IsCommitted bool     `gorm:"type:boolean;not null"`
		Arguments   string   `gorm:"type:varchar;not null"` // JSON, as the findings
		Findings    string   `gorm:"type:varchar;not null"`
		Done        int64    `gorm:"not null"`
		Total       int64    `gorm:"not null"`
		Error       string   `gorm:"type:varchar;not null"`
		ErrorCode   string   `gorm:"type:varchar;not null"`
		Attempts    int64    `gorm:"not null"`
		Worker      string   `gorm:"type:varchar;not null"`
		ActorID     *int64
		Actor       string `gorm:"type:varchar;not null"`
		OwnerID     *int64
		CreatedAt   time.Time `gorm:"not null"`
		UpdatedAt   time.Time `gorm:"not null"`
		StartedAt   *time.Time
		EndedAt     *time.Time
	}
	return &gormigrate.Migration{
		ID: "202611301800_create_operations",
		Migrate: func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&operation{})
		},
		Rollback: func(tx *gorm.DB) error {
			if err := refuseWithRows(tx, "operations"); err != nil {
				return err
			}
			return dropTables("operations")(tx)
		},
	}
}
