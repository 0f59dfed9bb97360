package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"multitenant/database"
	"multitenant/models"
)

const (
	refreshEvery = time.Second
	// maxAge bounds how long a tenant is served after another process has suspended
	// or deleted it. Older rows are read again before a request is admitted; if core
	// is unreachable, the request is refused.
	maxAge         = 2 * time.Second
	refreshTimeout = 2 * time.Second
)

// Acquire lends the database of the tenant with that slug. The caller must call
// release. The errors: KindTenantNotFound, KindTenantSuspended,
// KindTenantUnavailable if the database cannot be opened, and KindBusy if too many
// others are in use.
func (m *Manager) Acquire(ctx context.Context, slug models.Slug) (tenant *Tenant, release func(), err error) {
	return m.acquireSlug(ctx, slug, false)
}

// AcquireEvenSuspended is Acquire that also lends a suspended tenant: for a login, since
// only a user with the right password may learn that it is suspended, and for the operator.
func (m *Manager) AcquireEvenSuspended(ctx context.Context, slug models.Slug) (tenant *Tenant, release func(), err error) {
	return m.acquireSlug(ctx, slug, true)
}

func (m *Manager) acquireSlug(
	ctx context.Context, slug models.Slug, evenSuspended bool,
) (tenant *Tenant, release func(), err error) {
	record, err := models.FindTenantBySlug(ctx, m.core, slug)
	if err != nil {
		return nil, nil, err
	}
	return m.lend(ctx, &record, evenSuspended)
}

// CheckAgreement is KindTenantTokenRequired if a request names another tenant than its
// token does. id is that of the token's tenant, and known a slug of that tenant; both are
// empty for a token of the core, with which no name agrees. Core is asked only where the
// slugs differ, since named may be an alias. No name agrees with every token.
func (m *Manager) CheckAgreement(ctx context.Context, id string, known, named models.Slug) error {
	switch {
	case named == "", named == known:
		return nil
	case id == "":
		return models.ErrTenantTokenRequired
	}
	record, err := models.FindTenantBySlug(ctx, m.core, named)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && record.ID != id {
		return models.ErrTenantTokenRequired.Because(err)
	}
	return m.ClassifyCore(err)
}

// lend lends the database of a tenant whose row was just read.
func (m *Manager) lend(ctx context.Context, record *models.Tenant, evenSuspended bool) (tenant *Tenant, release func(), err error) {
	if err := admit(record.Status, evenSuspended); err != nil {
		return nil, nil, err
	}
	return m.handles.lend(ctx, record.ID, record.Status, evenSuspended)
}

// AcquireID is Acquire for a tenant's id, as a token has it. It needs no query if the
// tenant's database is open and its row, which is not old, admits requests; else one.
func (m *Manager) AcquireID(ctx context.Context, id string) (tenant *Tenant, release func(), err error) {
	return m.handles.lend(ctx, id, models.TenantReady, false)
}

// AcquireIDEvenSuspended is AcquireEvenSuspended for a tenant's id. It takes as long for a
// suspended tenant as for any other.
func (m *Manager) AcquireIDEvenSuspended(ctx context.Context, id string) (tenant *Tenant, release func(), err error) {
	return m.handles.lend(ctx, id, "", true)
}

// AcquireIDForOwner is AcquireID for the owners of a tenant, whom it also lends a suspended
// tenant. The caller must ask the tenant whether it admits the user.
func (m *Manager) AcquireIDForOwner(ctx context.Context, id string) (tenant *Tenant, release func(), err error) {
	return m.handles.lend(ctx, id, models.TenantReady, true)
}

// lend lends the tenant's database. status, if set, is the tenant's status as the caller
// knows it. A row that is old or says otherwise is read again before it decides.
func (hs *handles) lend(
	ctx context.Context, id string, status models.TenantStatus, evenSuspended bool,
) (tenant *Tenant, release func(), err error) {
	came := time.Now()
	for {
		h, err := hs.acquire(ctx, id, evenSuspended)
		if err != nil {
			return nil, nil, err
		}
		if known := h.row.Load(); known.decides(came, status) {
			if err := admit(known.Status, evenSuspended); err != nil {
				h.release()
				return nil, nil, err
			}
			return &h.tenant, h.release, nil
		}
		h.release()
		if _, err := hs.lookAgain(ctx, id); err != nil {
			return nil, nil, fmt.Errorf("read registry: %w", err)
		}
	}
}

// IsDeleted reports whether the error says that the tenant's database or role is missing,
// and the registry says that the tenant is deleted: another process may have deleted it
// since this one read its row.
func (m *Manager) IsDeleted(ctx context.Context, t *Tenant, err error) bool {
	if !errors.Is(err, database.ErrNotExist) && !database.IsLoginRefused(err) {
		return false
	}
	record, err := m.handles.lookAgain(ctx, t.ID)
	return err == nil && (record == nil || models.IsKind(admit(record.Status, true), models.KindTenantNotFound))
}

// admit returns nil if a tenant of that status admits requests, or is suspended and
// evenSuspended is set. An unfinished tenant and a spare do not exist for requests.
func admit(status models.TenantStatus, evenSuspended bool) error {
	switch status {
	case models.TenantReady:
		return nil
	case models.TenantSuspended:
		if evenSuspended {
			return nil
		}
		return models.ErrTenantSuspended
	case models.TenantMaking, models.TenantSpare, models.TenantProvisioning, models.TenantDeleting, models.TenantUndoing:
		return models.ErrTenantNotFound
	}
	return fmt.Errorf("tenant has unknown status %q", status)
}

func (m *Manager) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	if _, err := m.handles.refresh(ctx, m.handles.ids()); err != nil {
		return fmt.Errorf("read registry: %w", err)
	}
	return m.noticeRoles(ctx)
}

// noticeRoles notices that the application's role may make roles, or that it may not any
// more. Once it may, it retires the databases that are served without a role of their own;
// the next lease gives each its role.
func (m *Manager) noticeRoles(ctx context.Context) error {
	if m.databases.Roles == nil {
		return nil
	}
	could := m.databases.CanCreateRoles()
	if err := m.databases.Roles.Refresh(ctx); err != nil {
		return err
	}
	switch can := m.databases.CanCreateRoles(); {
	case can && !could:
		m.logger.InfoContext(ctx, "tenants get roles of their own from now on")
		m.handles.retireRoleless()
	case could && !can:
		m.logger.WarnContext(ctx, "the role may not create roles any more: new tenants get no role of their own")
	}
	return nil
}

// watch reads the rows of the open tenants every second, until ctx ends.
func (m *Manager) watch(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	reachable := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := m.refresh(ctx)
		if ctx.Err() == nil && reachable != (err == nil) {
			reachable = err == nil
			m.logger.WarnContext(ctx, "core database", "reachable", reachable, "error", err)
		}
	}
}

// read returns the rows of those tenants that are registered.
func (m *Manager) read(ctx context.Context, ids []string) ([]models.Tenant, error) {
	return models.ListTenants(ctx, m.core, ids)
}
