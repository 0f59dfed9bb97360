package tenants

import (
	"context"
	"time"

	"multitenant/models"
)

// row is a tenant's row of the registry as this process last read it. The zero value was
// not read yet.
type row struct {
	models.Tenant

	// Both times are of the monotonic clock: a clock that is set back makes no row young.
	asked   time.Time // when the registry was asked for the row
	changed time.Time // when this process last changed it
}

// decides reports whether the row may say if a request that came at that time is served.
// status, if set, is the tenant's status as the request knows it. A row that says
// otherwise must not be older than the request.
func (r *row) decides(came time.Time, status models.TenantStatus) bool {
	if time.Since(r.asked) >= maxAge {
		return false
	}
	agrees := status == "" || r.Status == status
	return !r.asked.Before(came) || agrees && r.asked.After(r.changed)
}

// ids returns the tenants whose databases are open or being opened.
func (hs *handles) ids() []string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	ids := make([]string, 0, len(hs.byID))
	for id := range hs.byID {
		ids = append(ids, id)
	}
	return ids
}

// refresh reads the rows of these tenants into their handles and returns them. It retires
// the handles of tenants without a row, and of tenants that have another role, slug or
// database now.
// Of several refreshes at once, the one that asked last has the last word, whenever the
// answers come.
func (hs *handles) refresh(ctx context.Context, ids []string) (map[string]*models.Tenant, error) {
	asked := time.Now()
	records, err := hs.keeper.read(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*models.Tenant, len(records))
	for i := range records {
		found[records[i].ID] = &records[i]
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, id := range ids {
		if h := hs.byID[id]; h != nil {
			hs.update(h, found[id], asked)
		}
	}
	return found, nil
}

// update stores what the registry said when it was asked: the tenant's row, or nil for
// none. The caller must hold hs.mu.
func (hs *handles) update(h *handle, record *models.Tenant, asked time.Time) {
	known := h.row.Load()
	switch {
	case known.asked.After(asked):
	case record == nil, h.isOpen() && h.isOutdated(record):
		hs.remove(h)
	default:
		h.row.Store(&row{Tenant: *record, asked: asked, changed: known.changed})
	}
}

// isOutdated reports whether an open handle is not what the tenant's row would have opened.
func (h *handle) isOutdated(record *models.Tenant) bool {
	return h.role != record.Role || h.tenant.Slug != record.Slug || h.database != record.DatabaseName
}

// retireRoleless retires the handles of databases that are open without a role of their
// own.
func (hs *handles) retireRoleless() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, h := range hs.byID {
		if h.isOpen() && h.role == "" {
			hs.remove(h)
		}
	}
}

// changed notes that this process has changed the tenant's row. Requests that come later
// read it again.
func (hs *handles) changed(id string) {
	hs.noteChange(func(h *handle) bool { return h.tenant.ID == id })
}

// ownerChanged is changed for the tenants that the core user owns.
func (hs *handles) ownerChanged(ownerID int64) {
	hs.noteChange(func(h *handle) bool {
		known := h.row.Load()
		return known.ID == "" || known.Owner.ID == ownerID
	})
}

func (hs *handles) noteChange(concerns func(*handle) bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, h := range hs.byID {
		if concerns(h) {
			noted := *h.row.Load()
			noted.changed = time.Now()
			h.row.Store(&noted)
		}
	}
}
