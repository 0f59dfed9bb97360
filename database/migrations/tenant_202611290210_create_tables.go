package migrations

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenantStamp has one row, which says which tenant the database belongs to. The
// code that creates the database writes it. A database without it is not opened.
type tenantStamp struct {
	TenantID uuidText `gorm:"primaryKey;not null;uniqueIndex:ix_tenant_stamp_one_row,expression:(tenant_id IS NOT NULL)"`
}

// TableName is in the singular: there is one row.
func (tenantStamp) TableName() string { return "tenant_stamp" }

// tenant202611290210CreateTables creates our tables in a tenant's database and our
// columns on the original's table of users.
func tenant202611290210CreateTables() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611290210_create_tenant_tables",
		Migrate: func(tx *gorm.DB) error {
			return inOrder(tx, createTenantTables, createAudit, extendOriginalTenant)
		},
		// Without the stamp it is unknown which tenant the database belongs to.
		Rollback: func(tx *gorm.DB) error {
			if err := refuseWithRows(tx, "tenant_stamp", "audit_events"); err != nil {
				return err
			}
			return inOrder(
				tx, statements("DROP INDEX ix_tenant_users_email_canonical", "DROP INDEX ix_tenant_users_core_user_id"),
				dropTables("sessions", "password_resets", "tenant_invitations", "tenant_stamp"), dropAudit,
				dropColumns("tenant_users", emailCanonical, "core_user_id", "role"),
			)
		},
	}
}

func createTenantTables(tx *gorm.DB) error {
	type tenantUser struct{ ID int32 }
	type session struct {
		Session sessionColumns `gorm:"embedded"`
		User    tenantUser     `gorm:"foreignKey:UserID;constraint:OnDelete:CASCADE"`
	}
	type passwordReset struct {
		Reset passwordResetColumns `gorm:"embedded"`
		User  tenantUser           `gorm:"foreignKey:UserID;constraint:OnDelete:CASCADE"`
	}
	// An invitation holds the hash of its token, never the token.
	type tenantInvitation struct {
		ID             int64      `gorm:"primaryKey"`
		Email          string     `gorm:"type:varchar;not null"`
		EmailCanonical string     `gorm:"type:varchar;not null;uniqueIndex:ix_tenant_invitations_email_canonical"`
		Role           string     `gorm:"type:varchar;not null"`
		TokenHash      string     `gorm:"type:varchar;not null;uniqueIndex:ix_tenant_invitations_token_hash"`
		InvitedBy      *int32     `gorm:"index:ix_tenant_invitations_invited_by"` // the deletion of a user looks for it
		Inviter        tenantUser `gorm:"foreignKey:InvitedBy;constraint:OnDelete:SET NULL"`
		CreatedAt      time.Time  `gorm:"not null"`
		ExpiresAt      time.Time  `gorm:"not null"`
	}
	return tx.Migrator().CreateTable(&tenantStamp{}, &session{}, &passwordReset{}, &tenantInvitation{})
}

// extendOriginalTenant adds our columns to the original's table. A user is a member
// until another part of the program gives another role: a takeover makes the core
// user that owns the organization the owner.
func extendOriginalTenant(tx *gorm.DB) error {
	type tenantUser struct {
		ID             int32
		EmailCanonical string `gorm:"type:varchar;not null;default:('');uniqueIndex:ix_tenant_users_email_canonical"`
		CoreUserID     *int32 `gorm:"uniqueIndex:ix_tenant_users_core_user_id"`
		Role           string `gorm:"type:varchar;not null;default:('member')"`
	}
	return inOrder(
		tx, addColumns(&tenantUser{}, "EmailCanonical", "CoreUserID", "Role"),
		func(tx *gorm.DB) error { return fillEmailCanonical(tx, "tenant_users") },
		func(tx *gorm.DB) error {
			return tx.Migrator().CreateIndex(&tenantUser{}, "ix_tenant_users_email_canonical")
		},
		func(tx *gorm.DB) error {
			return tx.Migrator().CreateIndex(&tenantUser{}, "ix_tenant_users_core_user_id")
		},
	)
}
