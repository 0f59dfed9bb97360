// Package fleet is what operators run over all tenants: migrate, rollback, status,
// doctor and isolation.
package fleet

import (
	"context"
	"fmt"

	"multitenant/models"
	"multitenant/tenants"
)

// Fleet is all tenants of an installation. It keeps nothing open and works beside
// servers that run. It is safe for concurrent use.
type Fleet struct {
	databases *tenants.Databases
	hasRoles  bool // whether each tenant can have a role; false with Options.AnySchema
}

// Open returns the fleet and changes nothing. It returns the errors of
// tenants.OpenDatabases. With Options.AnySchema only Status, EachFailed,
// HasRegistry, CheckCore, EachBehind and Examine may be called, and what it has found may be
// repaired.
func Open(ctx context.Context, o tenants.Options) (*Fleet, error) {
	databases, err := tenants.OpenDatabases(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Fleet{databases: databases, hasRoles: !o.AnySchema && databases.CanCreateRoles()}, nil
}

// CheckCore returns database.ErrOlderSchema or database.ErrNewerSchema if the
// core database has another schema than this code.
func (f *Fleet) CheckCore(ctx context.Context) error { return f.databases.CheckCore(ctx) }

// Plan says which tenants a run is about, and how many are worked on at once.
type Plan struct {
	Slug       models.Slug // only this tenant; empty means all
	OnlyFailed bool        // only tenants whose last migration failed
	Parallel   int         // how many at once, 1 or more
}

// choose narrows a selection to the plan's tenant, if the plan names one.
func (f *Fleet) choose(ctx context.Context, plan Plan, selection models.Selection) (models.Selection, error) {
	if plan.Slug == "" {
		return selection, nil
	}
	record, err := models.FindTenantBySlug(ctx, f.databases.Core, plan.Slug)
	if err != nil {
		return selection, err
	}
	if !record.Status.IsFinished() {
		return selection, fmt.Errorf("it is %s: what is being made or removed is not touched", record.Status)
	}
	selection.ID = record.ID
	return selection, nil
}

// withSpare calls do with a spare unless a request is claiming it. It holds the lock
// meanwhile, because a database that is in use cannot be renamed.
func (f *Fleet) withSpare(
	ctx context.Context, record *models.Tenant, do func(ctx context.Context, now *models.Tenant) error,
) error {
	session, free, err := f.databases.TryLock(ctx, record.ID)
	if err != nil || !free {
		return err
	}
	defer session.Unlock()
	now, err := models.FindTenant(ctx, f.databases.Core, record.ID)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && now.Status != models.TenantSpare {
		return nil
	}
	if err != nil {
		return err
	}
	return do(ctx, &now)
}

// isGone reports whether the tenant has been removed, marked for deletion or renamed
// since its row was read.
func (f *Fleet) isGone(ctx context.Context, record *models.Tenant) (bool, error) {
	now, err := models.FindTenant(ctx, f.databases.Core, record.ID)
	if models.IsKind(err, models.KindTenantNotFound) {
		return true, nil
	}
	return err == nil && (now.DatabaseName != record.DatabaseName || !now.Status.IsFinished()), err
}
