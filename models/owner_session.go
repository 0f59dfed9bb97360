package models

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// CreateOwnerSession begins a session inside a tenant for the core user who owns its
// organization, without a password: the core session that the owner is signed in by is
// its parent. The user inside becomes the actor of the event. An owner who was removed or
// deactivated inside is active and an owner again, since they could also delete the
// organization; else they keep their role. KindOwnerEmailTaken when another user inside
// has their address.
func CreateOwnerSession(ctx context.Context, db *gorm.DB, event *Event, owner *CoreUser, session *Session) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		inside, err := admitOwner(ctx, tx, owner)
		if err != nil {
			return err
		}
		session.UserID, session.Epoch = inside.ID, owner.SessionEpoch
		session.ParentID, session.ParentFamily = owner.Session().ID, owner.Session().FamilyHash
		event.By(&inside.Account)
		return createSession[TenantUser](ctx, tx, event, session, inside.HashedPassword)
	})
}

// CheckParent returns KindInvalidToken unless the core session that made a session inside
// a tenant still lives, and is the owner's.
func CheckParent(ctx context.Context, core *gorm.DB, owner Owner, parent SessionKey) error {
	user, err := FindSignedIn[CoreUser](ctx, core, owner.ID, parent)
	if IsKind(err, KindUserNotFound) || err == nil && !user.IsSignedIn() {
		return ErrInvalidToken.Because(err)
	}
	return err
}

// admitOwner returns the active user inside the tenant who is the core user, locked.
func admitOwner(ctx context.Context, tx *gorm.DB, owner *CoreUser) (TenantUser, error) {
	user, err := findCoreUser(ctx, tx, owner.ID)
	if IsKind(err, KindUserNotFound) {
		user, err = makeOwner(ctx, tx, owner)
	}
	if err != nil || user.IsActive {
		return user, err
	}
	user.IsActive, user.Role = true, RoleOwner
	return user, updateUser(ctx, tx, &user, "is_active", "role")
}

// makeOwner inserts the owner, unless a concurrent request has done so.
func makeOwner(ctx context.Context, tx *gorm.DB, owner *CoreUser) (TenantUser, error) {
	user := OwnerOf(owner)
	err := gorm.G[TenantUser](tx, clause.OnConflict{DoNothing: true}).Create(ctx, &user)
	if err != nil {
		return user, err
	}
	made, err := findCoreUser(ctx, tx, owner.ID)
	if !IsKind(err, KindUserNotFound) {
		return made, err
	}
	taken, err := gorm.G[TenantUser](tx).
		Where("email = ? OR email_canonical = ?", user.Email, user.EmailCanonical).Count(ctx, "id")
	if err == nil && taken > 0 {
		err = Errorf(KindOwnerEmailTaken, "Somebody else in the organization has your email address")
	}
	if err != nil {
		return user, err
	}
	// The conflict was neither on the owner nor on the address. This statement fails with
	// the name of the constraint.
	user = OwnerOf(owner)
	return user, CreateUser(ctx, tx, &user)
}

func findCoreUser(ctx context.Context, tx *gorm.DB, coreUserID int64) (TenantUser, error) {
	user, err := gorm.G[TenantUser](tx, forUpdate()).Where("core_user_id = ?", coreUserID).Take(ctx)
	return user, lookup(err, ErrUserNotFound)
}
