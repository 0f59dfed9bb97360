package tenants

import (
	"context"

	"multitenant/models"
)

// AcquireForLogin is Acquire for a login. It also lends a suspended tenant, since only
// a user with the right password may learn that it is suspended.
func (m *Manager) AcquireForLogin(ctx context.Context, slug models.Slug) (tenant *Tenant, release func(), err error) {
	record, err := models.FindTenantBySlug(ctx, m.core, slug)
	if err != nil {
		return nil, nil, err
	}
	if err := admitLogin(record.Status); err != nil {
		return nil, nil, err
	}
	h, err := m.handleForLogin(ctx, record.ID)
	if err != nil {
		return nil, nil, err
	}
	if h.record.Load().Status != record.Status {
		// The open handle's row may be older than the row just read.
		if err := m.handles.refresh(ctx, []string{record.ID}); err != nil {
			h.release()
			return nil, nil, err
		}
	}
	return admitted(h, admitLogin)
}

// AcquireIDForLogin is AcquireForLogin for a tenant's id.
func (m *Manager) AcquireIDForLogin(ctx context.Context, id string) (tenant *Tenant, release func(), err error) {
	if err := m.ensureFresh(ctx); err != nil {
		return nil, nil, err
	}
	h, err := m.handleForLogin(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return admitted(h, admitLogin)
}

func (m *Manager) handleForLogin(ctx context.Context, id string) (*handle, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireWait)
	defer cancel()
	for {
		h, err := m.handles.acquire(ctx, id, true)
		// Another request, which is refused, may have begun the opening.
		if !models.IsKind(err, models.KindTenantSuspended) || ctx.Err() != nil {
			return h, err
		}
	}
}

// admitLogin is admit for a login.
func admitLogin(status models.TenantStatus) error {
	if status == models.TenantSuspended {
		return nil
	}
	return admit(status)
}
