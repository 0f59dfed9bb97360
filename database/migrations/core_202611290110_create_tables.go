package migrations

import (
	"crypto/rand"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
)

// coreInstallation has one row: the core's own id, which marks the databases that it
// created in advance; the prefix that its tenants' databases were named with; and the
// secret that the passwords of tenants' roles are derived from.
type coreInstallation struct {
	ID             uuidText `gorm:"primaryKey;not null;uniqueIndex:ix_core_installation_one_row,expression:(id IS NOT NULL)"`
	DatabasePrefix string   `gorm:"type:varchar;not null;default:('')"`
	Secret         string   `gorm:"type:varchar;not null;default:('')"`
}

// TableName is in the singular: there is one row.
func (coreInstallation) TableName() string { return "core_installation" }

// core202611290110CreateTables creates our core tables and our columns on the
// original's, and registers the original's organizations as tenants.
func core202611290110CreateTables(prefix string) *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611290110_create_core_tables",
		Migrate: func(tx *gorm.DB) error {
			return inOrder(
				tx, createCoreTables, extendOriginalCore,
				func(tx *gorm.DB) error { return installCore(tx, prefix) },
				func(tx *gorm.DB) error { return registerOriginals(tx, prefix) },
			)
		},
		// Without the registry it is unknown which database belongs to which tenant.
		Rollback: func(tx *gorm.DB) error {
			if err := refuseWithRows(tx, "tenants", "audit_events"); err != nil {
				return err
			}
			return inOrder(
				tx, statements("DROP INDEX ix_core_users_email_canonical", "DROP INDEX ix_organizations_tenant_id"),
				dropColumns("core_users", emailCanonical, "session_epoch"), dropColumns("organizations", "tenant_id", "registration"),
				dropTables("sessions", "password_resets", "core_installation", "tenants"), dropAudit,
			)
		},
	}
}

func createCoreTables(tx *gorm.DB) error {
	type coreUser struct{ ID int32 }
	type session struct {
		Session sessionColumns `gorm:"embedded"`
		User    coreUser       `gorm:"foreignKey:UserID;constraint:OnDelete:CASCADE"`
	}
	type passwordReset struct {
		Reset passwordResetColumns `gorm:"embedded"`
		User  coreUser             `gorm:"foreignKey:UserID;constraint:OnDelete:CASCADE"`
	}
	type tenant struct {
		ID            uuidText  `gorm:"primaryKey;not null"`
		Slug          *string   `gorm:"type:varchar;uniqueIndex:ix_tenants_slug"`
		DatabaseName  string    `gorm:"type:varchar;not null;uniqueIndex:ix_tenants_database_name"`
		Role          string    `gorm:"type:varchar;not null;default:('')"` // on the database server
		Status        string    `gorm:"type:varchar;not null"`
		SchemaVersion string    `gorm:"type:varchar;not null;default:('')"`
		Error         string    `gorm:"type:varchar;not null;default:('')"`
		CreatedAt     time.Time `gorm:"not null"`
		UpdatedAt     time.Time `gorm:"not null"`
	}
	if err := tx.Migrator().CreateTable(&coreInstallation{}, &tenant{}, &session{}, &passwordReset{}); err != nil {
		return err
	}
	if err := createAudit(tx); err != nil {
		return err
	}
	// Only at core does one user read a part of the events. A tag would add the index
	// to the tenants' table as well.
	return run(tx, "CREATE INDEX ix_audit_events_reader_id ON audit_events (reader_id, id)")
}

// extendOriginalCore adds our columns to the original's tables.
func extendOriginalCore(tx *gorm.DB) error {
	type coreUser struct {
		ID             int32
		EmailCanonical string `gorm:"type:varchar;not null;default:('');uniqueIndex:ix_core_users_email_canonical"`
		SessionEpoch   int64  `gorm:"not null;default:0"`
	}
	type organization struct {
		ID           int32
		Registration string `gorm:"type:varchar;not null;default:('open')"`
	}
	// On SQLite, GORM adds a foreign key by rebuilding the table.
	reference := "ALTER TABLE organizations ADD COLUMN tenant_id text REFERENCES tenants (id)"
	if isPostgres(tx) {
		reference = "ALTER TABLE organizations ADD COLUMN tenant_id uuid REFERENCES tenants (id)"
	}
	return inOrder(
		tx, addColumns(&coreUser{}, "EmailCanonical", "SessionEpoch"), addColumns(&organization{}, "Registration"),
		func(tx *gorm.DB) error { return fillEmailCanonical(tx, "core_users") },
		func(tx *gorm.DB) error {
			return tx.Migrator().CreateIndex(&coreUser{}, "ix_core_users_email_canonical")
		},
		statements(reference, "CREATE UNIQUE INDEX ix_organizations_tenant_id ON organizations (tenant_id)"),
	)
}

func installCore(tx *gorm.DB, prefix string) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	// The secret has 256 bits: one Text has 26 characters for 128.
	secret := rand.Text() + rand.Text()
	return tx.Create(&coreInstallation{ID: uuidText(id.String()), DatabasePrefix: prefix, Secret: secret}).Error
}
