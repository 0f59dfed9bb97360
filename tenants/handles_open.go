package tenants

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"multitenant/models"
)

const (
	// permitWait bounds how long an opening waits until another tenant's database is
	// idle.
	permitWait = 2 * time.Second
	// failureKept is how long all requests get the error of a failed migration.
	failureKept = time.Second
)

// keeper reads the registry and opens databases for handles.
type keeper interface {
	// read returns the rows of those tenants that are registered.
	read(ctx context.Context, ids []string) ([]models.Tenant, error)
	// prepare migrates the tenant's database if necessary, which may take minutes. It
	// returns the row as it is then: the tenant may have got its role.
	prepare(ctx context.Context, record *models.Tenant) (*models.Tenant, error)
	// open opens the database of a registered tenant.
	open(ctx context.Context, record *models.Tenant) (*gorm.DB, error)
}

// fill opens the handle's database and ends the lease that was taken for opening
// it. All requests that wait for the handle get the same error. The error of a
// migration is kept for failureKept, so that not every request tries again.
func (hs *handles) fill(h *handle) {
	defer h.release()
	defer close(h.opened)
	record, err := hs.register(h)
	if err != nil {
		h.err = err
		hs.discard(h)
		return
	}
	// No permit is held yet, so tenants that wait for their migration do not keep
	// others from being opened.
	if record, h.err = hs.keeper.prepare(hs.ctx, record); h.err != nil {
		time.AfterFunc(failureKept, func() { hs.discard(h) })
		return
	}
	h.role, h.database = record.Role, record.DatabaseName
	if h.tenant.DB, h.err = hs.openWithPermit(record); h.err != nil {
		hs.discard(h)
	}
}

// register reads the tenant's row of the registry into the handle. A database that
// admits no requests is not opened.
func (hs *handles) register(h *handle) (*models.Tenant, error) {
	ctx, cancel := context.WithTimeout(hs.ctx, refreshTimeout)
	defer cancel()
	if _, err := hs.refresh(ctx, []string{h.tenant.ID}); err != nil {
		return nil, err
	}
	record := h.row.Load().Tenant
	if record.ID == "" {
		return nil, models.ErrTenantNotFound
	}
	h.tenant.Slug = record.Slug
	return &record, admit(record.Status, h.evenSuspended)
}

func (hs *handles) openWithPermit(record *models.Tenant) (*gorm.DB, error) {
	if err := hs.permit(); err != nil {
		hs.counts.openBusy.Add(1)
		return nil, err
	}
	db, err := hs.keeper.open(hs.ctx, record)
	if err != nil {
		hs.counts.openFailed.Add(1)
		hs.permits.Release(1)
		return nil, err
	}
	hs.counts.opened.Add(1)
	hs.counts.open.Add(1)
	return db, nil
}

// permit waits for a permit to open one more database. It returns KindBusy if all
// databases stay in use for permitWait.
func (hs *handles) permit() error {
	if hs.permits.TryAcquire(1) {
		return nil
	}
	ctx, cancel := context.WithTimeout(hs.ctx, permitWait)
	defer cancel()
	hs.makeRoom(1)
	defer hs.makeRoom(-1)
	if err := hs.permits.Acquire(ctx, 1); err != nil {
		return models.ErrBusy.Because(errors.New("every tenant database that may be open is in use"))
	}
	return nil
}

// makeRoom adds to the count of waiting openings and closes an idle database for
// a new one. If there is none, the next handle that becomes idle is closed.
func (hs *handles) makeRoom(waiting int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.waiting += waiting
	if waiting > 0 {
		hs.evict()
	}
}
