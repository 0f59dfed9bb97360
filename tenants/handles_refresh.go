package tenants

import (
	"context"

	"multitenant/models"
)

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

// refresh reads the rows of these tenants into their handles. It retires the handles of
// tenants without a row, and of tenants that have another role now. If this process
// changes a row meanwhile,
// refresh reads again, so that an older row never replaces a newer one.
func (hs *handles) refresh(ctx context.Context, ids []string) error {
	for {
		changes := hs.changeCount()
		records, err := hs.keeper.read(ctx, ids)
		if err != nil {
			return err
		}
		if hs.apply(changes, ids, records) {
			return nil
		}
	}
}

func (hs *handles) changeCount() int {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.changes
}

// apply stores rows in the handles if the count of changes is still changes, and
// reports whether it was.
func (hs *handles) apply(changes int, ids []string, records []models.Tenant) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.changes != changes {
		return false
	}
	rows := make(map[string]*models.Tenant, len(records))
	for i := range records {
		rows[records[i].ID] = &records[i]
	}
	for _, id := range ids {
		h, found := hs.byID[id]
		switch {
		case !found:
		case rows[id] == nil, h.isOpen() && h.role != rows[id].Role:
			hs.remove(h)
		default:
			h.record.Store(rows[id])
		}
	}
	return true
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

// changed stores a status that this process has given the tenant.
func (hs *handles) changed(id string, status models.TenantStatus) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.changes++
	h, found := hs.byID[id]
	if !found || h.record.Load() == nil {
		return
	}
	record := *h.record.Load()
	record.Status = status
	h.record.Store(&record)
}

// ownerChanged stores a change that this process has made to a core user in the
// handles of the tenants that the user owns.
func (hs *handles) ownerChanged(owner models.Owner) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.changes++
	for _, h := range hs.byID {
		if old := h.record.Load(); old != nil && old.Owner.ID == owner.ID {
			record := *old
			record.Owner = owner
			h.record.Store(&record)
		}
	}
}
