package models

import (
	"context"

	"gorm.io/gorm"
)

// CreateTenantUser inserts a user on behalf of the actor of the event, who must be
// allowed to make one of that role. The errors: KindRoleRequired, KindEmailTaken, and
// for an actor who was removed or deactivated meanwhile KindUserNotFound and
// KindInvalidToken.
func CreateTenantUser(ctx context.Context, db *gorm.DB, event *Event, user *TenantUser) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), event.actorID())
		if err != nil {
			return err
		}
		if !c.actor.Role.MayManage(user.Role) {
			return ErrRoleRequired
		}
		if err := CreateUser(ctx, tx, user); err != nil {
			return err
		}
		event.About(TargetUser, user.ID, user.Email)
		return nil
	})
}

// ChangeTenantUser changes a user on behalf of the actor of the event, and returns
// the user as changed. change is called with the user, makes its changes and returns
// their columns. Each kind of change is recorded by itself. A deactivated user loses
// all sessions. The errors: those of CreateTenantUser, KindUserNotFound also for the
// user, and KindLastOwner.
func ChangeTenantUser(
	ctx context.Context, db *gorm.DB, event *Event, id int64, change func(user *TenantUser) (columns []string),
) (user TenantUser, err error) {
	err = recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), id)
		if err != nil {
			return err
		}
		user = c.target
		columns := change(&user)
		if err := c.check(&user); err != nil {
			return err
		}
		if err := updateTenantUser(ctx, tx, &user, columns); err != nil {
			return err
		}
		event.About(TargetUser, user.ID, user.Email)
		return recordAllButLast(ctx, tx, event, changesOf(&c.target, &user))
	})
	return user, err
}

func updateTenantUser(ctx context.Context, tx *gorm.DB, user *TenantUser, columns []string) error {
	if len(columns) == 0 {
		return nil
	}
	if err := updateUser(ctx, tx, user, columns...); err != nil || user.IsActive {
		return err
	}
	return endSessions(ctx, tx, user.ID)
}

// RemoveTenantUser removes a user, their sessions and the resets that they issued, on
// behalf of the actor of the event. The errors are those of ChangeTenantUser.
func RemoveTenantUser(ctx context.Context, db *gorm.DB, event *Event, id int64) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), id)
		if err != nil {
			return err
		}
		if err := c.check(&TenantUser{}); err != nil {
			return err
		}
		event.About(TargetUser, c.target.ID, c.target.Email)
		// A later user may get the same id, and must not vouch for these.
		if _, err := gorm.G[PasswordReset](tx).Where("issued_by = ?", c.target.ID).Delete(ctx); err != nil {
			return err
		}
		_, err = gorm.G[TenantUser](tx).Where("id = ?", c.target.ID).Delete(ctx)
		return err
	})
}

// circle holds the users on whom a change depends, locked and as they are now: the
// actor, the target, and the number of other active owners.
type circle struct {
	actor, target TenantUser
	otherOwners   int
}

// lockCircle locks the actor, the target and all owners, in the order of their ids.
// Of two concurrent changes of owners one waits for the other, and then sees its
// result.
func lockCircle(ctx context.Context, tx *gorm.DB, actorID, targetID int64) (*circle, error) {
	users, err := gorm.G[TenantUser](tx, forUpdate()).
		Where("role = ? OR id IN ?", RoleOwner, []int64{actorID, targetID}).Order("id").Find(ctx)
	if err != nil {
		return nil, err
	}
	var c circle
	for i := range users {
		user := &users[i]
		if user.ID == actorID {
			c.actor = *user
		}
		switch {
		case user.ID == targetID:
			c.target = *user
		case user.isActiveOwner():
			c.otherOwners++
		}
	}
	return &c, c.checkThere()
}

// checkThere returns an error for an actor who may no longer act, and for a target
// that does not exist.
func (c *circle) checkThere() error {
	switch {
	case c.actor.ID == 0:
		return ErrUserNotFound
	case !c.actor.IsActive:
		return ErrInvalidToken
	case !c.actor.Role.Manages():
		return ErrRoleRequired
	case c.target.ID == 0:
		return ErrUserNotFound
	}
	return nil
}

// lockIssuer is lockCircle for the use of a credential that the actor issued earlier for
// the target. For an actor who owns the organization, the core user must be active.
func lockIssuer(ctx context.Context, tx *gorm.DB, owner Owner, issuerID, targetID int64) (*circle, error) {
	c, err := lockCircle(ctx, tx, issuerID, targetID)
	if err != nil {
		return nil, err
	}
	if core := c.actor.CoreUserID; core != nil && (*core != owner.ID || !owner.IsActive) {
		return nil, ErrInvalidToken
	}
	return c, nil
}

// check returns an error when the actor may not change the target to next.
func (c *circle) check(next *TenantUser) error {
	switch {
	case !c.actor.Role.MayManage(c.target.Role) || !c.actor.Role.MayManage(next.Role):
		return ErrRoleRequired
	case c.target.isActiveOwner() && !next.isActiveOwner() && c.otherOwners == 0:
		return Errorf(KindLastOwner, "A tenant must keep an owner")
	}
	return nil
}

func (u *TenantUser) isActiveOwner() bool { return u.IsActive && u.Role == RoleOwner }

// ActAsOwner calls do on behalf of the actor of the event, who stays an active owner of the
// tenant until do has ended, and records the event in the tenant's database. The errors:
// KindRoleRequired, KindUserNotFound and KindInvalidToken for an actor who is no active
// owner, and those of do.
func ActAsOwner(ctx context.Context, db *gorm.DB, event *Event, do func() error) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		c, err := lockCircle(ctx, tx, event.actorID(), event.actorID())
		if err != nil {
			return err
		}
		if c.actor.Role != RoleOwner {
			return ErrRoleRequired
		}
		return do()
	})
}

// FindTenantOfOwner returns the tenant with that id, for an owner inside to manage.
// KindTenantSuspended for one that the operator has suspended. KindTenantNotFound for one
// that is being deleted.
func FindTenantOfOwner(ctx context.Context, db *gorm.DB, id string) (Tenant, error) {
	return takeOfOwner(ctx, gorm.G[Tenant](db), id)
}

// ChangeTenant changes the tenant on behalf of an owner inside, records the event in core
// and returns the tenant as changed. If its last backup is due then, it queues the
// operation that deletes the tenant. A deletion also fails if a constraint that is not ours
// keeps the tenant's rows in core. The errors are those of FindTenantOfOwner.
func ChangeTenant(
	ctx context.Context, db *gorm.DB, event *Event, id string, change func(tenant *Tenant),
) (tenant Tenant, err error) {
	err = recorded(ctx, db, event.InCore(), func(tx *gorm.DB) error {
		var err error
		if tenant, err = takeOfOwner(ctx, gorm.G[Tenant](tx, forUpdate()), id); err != nil {
			return err
		}
		before := tenant
		change(&tenant)
		changed := tx.Model(&tenant).Select("status", "suspended_by_owner", "backup_due", "registration", "updated_at").Updates(&tenant)
		if changed.Error != nil || tenant.Status != TenantDeleting {
			return changed.Error
		}
		if err := tryDelete(ctx, tx, id); err != nil || !tenant.BackupDue {
			return err
		}
		return queueDeletion(ctx, tx, event.InCore(), &before)
	})
	return tenant, err
}

func takeOfOwner(ctx context.Context, query gorm.Interface[Tenant], id string) (Tenant, error) {
	tenant, err := query.Where("id = ?", id).Take(ctx)
	switch {
	case err != nil:
		return tenant, lookup(err, ErrTenantNotFound)
	case tenant.Status == TenantReady, tenant.Status == TenantSuspended && tenant.SuspendedByOwner:
		return tenant, nil
	case tenant.Status == TenantSuspended:
		return tenant, ErrTenantSuspended
	}
	return tenant, ErrTenantNotFound
}
