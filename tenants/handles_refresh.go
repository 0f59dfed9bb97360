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

// refresh reads the registry's rows of these tenants and keeps them with the
// handles there are; a tenant without a row is retired. What this process
// itself changed meanwhile is never undone by an older row: it reads again.
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

// apply keeps rows that were read when changes was the count of changes, and
// reports whether it still is.
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
		case rows[id] == nil:
			hs.remove(h)
		default:
			h.record.Store(rows[id])
		}
	}
	return true
}

// changed notes that this process has given the tenant a new status.
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

// ownerChanged notes that this process has changed a core user, for the tenants
// that they own.
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
