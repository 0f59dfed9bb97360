package models

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// TakeOverCopy makes the database, which is a copy of that of the tenant from, the
// database of the tenant to. It removes sessions, password resets and invitations, which
// may have ended since the copy was made. It ends the links to core users, whose numbers
// may mean other users now, and deactivates the users who were linked: they have no
// password. The user who was linked and has the address of owner is linked to owner
// again; otherwise the owner is made anew, unless another user has the address. owner is
// nil for a tenant without an organization. TakeOverCopy fails if the copy is not stamped
// as that of from.
func TakeOverCopy(ctx context.Context, db *gorm.DB, from, to string, owner *CoreUser) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		stamped, err := gorm.G[Stamp](tx).Where("tenant_id = ?", from).Update(ctx, "tenant_id", to)
		if err == nil && stamped != 1 {
			err = fmt.Errorf("the copy is not stamped as that of tenant %s", from)
		}
		if err != nil {
			return err
		}
		if err := endAll(ctx, tx); err != nil {
			return err
		}
		if err := unlink(tx, owner); err != nil || owner == nil {
			return err
		}
		_, err = makeOwner(ctx, tx, owner)
		if IsKind(err, KindOwnerEmailTaken) {
			return nil
		}
		return err
	})
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
