package models

import (
	"context"

	"gorm.io/gorm"
)

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
// and returns the tenant as changed. The errors are those of FindTenantOfOwner.
func ChangeTenant(
	ctx context.Context, db *gorm.DB, event *Event, id string, change func(tenant *Tenant),
) (tenant Tenant, err error) {
	err = recorded(ctx, db, event.InCore(), func(tx *gorm.DB) error {
		var err error
		if tenant, err = takeOfOwner(ctx, gorm.G[Tenant](tx, forUpdate()), id); err != nil {
			return err
		}
		change(&tenant)
		return tx.Model(&tenant).Select("status", "suspended_by_owner", "registration", "updated_at").Updates(&tenant).Error
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
