package tenants

import (
	"context"
	"fmt"
	"time"

	"multitenant/models"
)

const (
	refreshEvery = time.Second
	// maxAge bounds how long a tenant is served after another process has suspended
	// or deleted it. Older rows are read again before a request is admitted; if core
	// is unreachable, the request is refused.
	maxAge         = 2 * time.Second
	refreshTimeout = 2 * time.Second
	// acquireWait bounds how long a request waits until a database is opened or
	// migrated; the opening itself continues.
	acquireWait = 5 * time.Second
)

// Acquire lends the database of the tenant with that slug. The caller must call
// release. The errors: KindTenantNotFound, KindTenantSuspended,
// KindTenantUnavailable if the database cannot be opened, and KindBusy if too many
// others are in use.
func (m *Manager) Acquire(ctx context.Context, slug models.Slug) (tenant *Tenant, release func(), err error) {
	record, err := models.FindTenantBySlug(ctx, m.core, slug)
	if err != nil {
		return nil, nil, err
	}
	return m.lend(ctx, &record)
}

// AcquireID is Acquire for a tenant's id, as a token has it. It needs no query if
// the tenant's database is open and admits requests, else one.
func (m *Manager) AcquireID(ctx context.Context, id string) (tenant *Tenant, release func(), err error) {
	if err := m.ensureFresh(ctx); err != nil {
		return nil, nil, err
	}
	if h, found := m.handles.borrow(id); found {
		if tenant, release, err := admitted(h, admit); err == nil {
			return tenant, release, nil
		}
		// Another process may have resumed the tenant a moment ago.
		if err := m.lookAgain(ctx, id); err != nil {
			return nil, nil, err
		}
	}
	h, err := m.handle(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return admitted(h, admit)
}

// lend lends the database of a tenant whose row was just read.
func (m *Manager) lend(ctx context.Context, record *models.Tenant) (tenant *Tenant, release func(), err error) {
	if err := admit(record.Status); err != nil {
		return nil, nil, err
	}
	h, err := m.handle(ctx, record.ID)
	if err != nil {
		return nil, nil, err
	}
	if admit(h.record.Load().Status) != nil {
		// The open handle's row may be older than the row just read.
		if err := m.lookAgain(ctx, record.ID); err != nil {
			h.release()
			return nil, nil, err
		}
	}
	return admitted(h, admit)
}

func (m *Manager) handle(ctx context.Context, id string) (*handle, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireWait)
	defer cancel()
	return m.handles.acquire(ctx, id, false)
}

// admitted returns the tenant, or ends the lease if admits refuses the tenant's last
// known status.
func admitted(h *handle, admits func(models.TenantStatus) error) (tenant *Tenant, release func(), err error) {
	if err := admits(h.record.Load().Status); err != nil {
		h.release()
		return nil, nil, err
	}
	return &h.tenant, h.release, nil
}

// admit returns nil if a tenant of that status admits requests. An unfinished
// tenant and a spare do not exist for them.
func admit(status models.TenantStatus) error {
	switch status {
	case models.TenantReady:
		return nil
	case models.TenantSuspended:
		return models.ErrTenantSuspended
	case models.TenantMaking, models.TenantSpare, models.TenantProvisioning, models.TenantDeleting, models.TenantUndoing:
		return models.ErrTenantNotFound
	}
	return fmt.Errorf("tenant has unknown status %q", status)
}

// ensureFresh makes sure that the rows of the open tenants are at most maxAge old.
func (m *Manager) ensureFresh(ctx context.Context) error {
	if time.Since(time.Unix(0, m.refreshed.Load())) < maxAge {
		return nil
	}
	_, err, _ := m.refreshes.Do("", func() (any, error) {
		// Other requests wait for this, so it must not end with the first one.
		return nil, m.refresh(context.WithoutCancel(ctx))
	})
	return err
}

func (m *Manager) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	started := time.Now()
	if err := m.handles.refresh(ctx, m.handles.ids()); err != nil {
		return fmt.Errorf("read registry: %w", err)
	}
	if err := m.noticeRoles(ctx); err != nil {
		return err
	}
	m.refreshed.Store(started.UnixNano())
	return nil
}

// noticeRoles retires the databases that are served without a role of their own, once the
// application's role may make roles. The next lease gives each its role.
func (m *Manager) noticeRoles(ctx context.Context) error {
	if m.databases.Roles == nil || m.databases.CanCreateRoles() {
		return nil
	}
	if err := m.databases.Roles.Refresh(ctx); err != nil {
		return err
	}
	if m.databases.CanCreateRoles() {
		m.logger.InfoContext(ctx, "tenants get roles of their own from now on")
		m.handles.retireRoleless()
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
