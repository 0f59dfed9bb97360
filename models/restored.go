package models

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// Takeover says how a copy of a tenant's database becomes that of another tenant.
type Takeover struct {
	From, To string // the ids of the tenants
	// Owner is the core user who is to be the owner inside; nil for a tenant without an
	// organization.
	Owner *CoreUser
	// NeedsOwner refuses a copy in which another user has the address of the owner.
	// Otherwise such a tenant has no owner.
	NeedsOwner bool
	// Mask replaces what names the users but the owner, see Masks. The caller must have
	// lifted the guard of the audit trail.
	Mask bool
}

// TakeOverCopy makes the database, which is a copy of that of one tenant, the database of
// another. It removes sessions, password resets and invitations, which may have ended
// since the copy was made. It ends the links to core users, whose numbers may mean other
// users now, and deactivates the users who were linked: they have no password. The user
// who was linked and has the address of the owner is linked to the owner again; otherwise
// the owner is made anew. It fails if the copy is not stamped as that of t.From, and with
// KindOwnerEmailTaken.
func TakeOverCopy(ctx context.Context, db *gorm.DB, t *Takeover) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		stamped, err := gorm.G[Stamp](tx).Where("tenant_id = ?", t.From).Update(ctx, "tenant_id", t.To)
		if err == nil && stamped != 1 {
			err = fmt.Errorf("the copy is not stamped as that of tenant %s", t.From)
		}
		if err != nil {
			return err
		}
		if err := endAll(ctx, tx); err != nil {
			return err
		}
		if err := unlink(tx, t.Owner); err != nil {
			return err
		}
		if t.Mask {
			err = maskAll(tx, t.Owner)
		}
		if err != nil || t.Owner == nil {
			return err
		}
		_, err = makeOwner(ctx, tx, t.Owner)
		if !t.NeedsOwner && IsKind(err, KindOwnerEmailTaken) {
			return nil
		}
		return err
	})
}

// UnexportedTables are the tables of a tenant that no export has: those that let users in,
// the stamp, and the migrations, which an export names elsewhere.
func UnexportedTables() []string {
	return []string{"sessions", "password_resets", Stamp{}.TableName(), "schema_migrations", "alembic_version"}
}

// SecretColumns are the columns that no export has, of whatever table.
func SecretColumns() []string {
	return []string{passwordColumn, "token_hash", "previous_hash", "family_hash", "parent_family", "salt", "secret"}
}

// endAll ends all that lets a user in without a password.
func endAll(ctx context.Context, tx *gorm.DB) error {
	if _, err := gorm.G[Session](tx).Where("id IS NOT NULL").Delete(ctx); err != nil {
		return err
	}
	if _, err := gorm.G[PasswordReset](tx).Where("id IS NOT NULL").Delete(ctx); err != nil {
		return err
	}
	_, err := gorm.G[Invitation](tx).Where("id IS NOT NULL").Delete(ctx)
	return err
}

// unlink ends the links to core users. The user with the address of the owner is linked
// to the owner instead.
func unlink(tx *gorm.DB, owner *CoreUser) error {
	linked := tx.Model(&TenantUser{}).Where("core_user_id IS NOT NULL").Session(&gorm.Session{})
	others := linked
	if owner != nil {
		others = linked.Where("email_canonical <> ?", owner.EmailCanonical)
	}
	err := others.Select("CoreUserID", "IsActive").UpdateColumns(&TenantUser{}).Error
	if err != nil || owner == nil {
		return err
	}
	again := TenantUser{Account: Account{IsActive: true}, Role: RoleOwner, CoreUserID: &owner.ID}
	return linked.Select("CoreUserID", "IsActive", "Role").UpdateColumns(&again).Error
}

// TakeOverCore makes core, which was made of a backup, fit to be used again, and records
// the event. It removes sessions and password resets, which may have ended since the
// backup was made, operations that had not ended, and the tenants that were being made or
// removed then, the spares and what restores had replaced:
// their databases are not brought back.
func TakeOverCore(ctx context.Context, db *gorm.DB, event *Event) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if _, err := gorm.G[Session](tx).Where("id IS NOT NULL").Delete(ctx); err != nil {
			return err
		}
		if _, err := gorm.G[PasswordReset](tx).Where("id IS NOT NULL").Delete(ctx); err != nil {
			return err
		}
		if _, err := gorm.G[ReplacedDatabase](tx).Where("database_name IS NOT NULL").Delete(ctx); err != nil {
			return err
		}
		if _, err := gorm.G[Operation](tx).Where("ended_at IS NULL").Delete(ctx); err != nil {
			return err
		}
		lost, err := gorm.G[Tenant](tx).Where("status NOT IN ?", []TenantStatus{TenantReady, TenantSuspended}).Find(ctx)
		if err != nil {
			return err
		}
		for i := range lost {
			if err := DeleteTenant(ctx, tx, lost[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// FindFleetRestore returns the event that began the restoration of the fleet; nil if none
// was begun that has not ended.
func FindFleetRestore(ctx context.Context, db *gorm.DB) (*Event, error) {
	events, err := gorm.G[Event](db).Where("action IN ?", []Action{ActionFleetRestoreBegun, ActionFleetRestored}).
		Order("id DESC").Limit(1).Find(ctx)
	if err != nil || len(events) == 0 || events[0].Action == ActionFleetRestored {
		return nil, err
	}
	return &events[0], nil
}
