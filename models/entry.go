package models

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// EnterTenant begins a session inside a tenant for the core user who owns its
// organization, without a password. Where people inside have removed or
// deactivated them they are an owner again, for they could as well delete it all;
// else they have the role that they were given. KindOwnerEmailTaken when somebody
// else is registered with their address.
func EnterTenant(ctx context.Context, db *gorm.DB, owner *CoreUser, session *Session) (inside TenantUser, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if inside, err = admitOwner(ctx, tx, owner); err != nil {
			return err
		}
		session.UserID, session.Epoch = inside.ID, owner.SessionEpoch
		return CreateSession[TenantUser](ctx, tx, session, inside.HashedPassword)
	})
	return inside, err
}

// admitOwner returns the active user that the core user is inside, locked.
func admitOwner(ctx context.Context, tx *gorm.DB, owner *CoreUser) (TenantUser, error) {
	user, err := findCoreUser(ctx, tx, owner.ID)
	if IsKind(err, KindUserNotFound) {
		user, err = makeOwner(ctx, tx, owner)
	}
	if err != nil || user.IsActive {
		return user, err
	}
	user.IsActive, user.Role = true, RoleOwner
	return user, UpdateUser(ctx, tx, &user, "is_active", "role")
}

// makeOwner inserts the owner, if no other request does so at the same time.
func makeOwner(ctx context.Context, tx *gorm.DB, owner *CoreUser) (TenantUser, error) {
	user := OwnerOf(owner)
	err := tx.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&user).Error
	if err != nil {
		return user, err
	}
	user, err = findCoreUser(ctx, tx, owner.ID)
	if IsKind(err, KindUserNotFound) { // it is the address that is taken
		err = Errorf(KindOwnerEmailTaken, "Somebody else in the organization has your email address").Because(err)
	}
	return user, err
}

func findCoreUser(ctx context.Context, tx *gorm.DB, coreUserID int64) (TenantUser, error) {
	var user TenantUser
	err := tx.WithContext(ctx).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("core_user_id = ?", coreUserID).Take(&user).Error
	return user, lookup(err, ErrUserNotFound)
}
