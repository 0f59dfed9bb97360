package tenants

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"multitenant/models"
)

const (
	// permitWait bounds how long an opening waits for another tenant's database
	// to become idle.
	permitWait = 2 * time.Second
	// failureKept is how long the failure of a migration is everybody's answer.
	failureKept = time.Second
)

// keeper is what handles need of the world: the registry, and the engine.
type keeper interface {
	// read returns those of the tenants that are registered.
	read(ctx context.Context, ids []string) ([]models.Tenant, error)
	// prepare makes the tenant's database fit for opening, which may take long.
	prepare(ctx context.Context, record *models.Tenant) error
	// open opens the database of a registered tenant.
	open(ctx context.Context, record *models.Tenant) (*gorm.DB, error)
}

// fill opens the handle's database and ends the lease that enter took for it. A
// failure is everybody's who waits for the handle; that of a migration is kept
// for a moment, so that not every request tries again.
func (hs *handles) fill(h *handle) {
	defer h.release()
	defer close(h.opened)
	record, err := hs.register(h)
	if err != nil {
		h.err = err
		hs.discard(h)
		return
	}
	// No permit is held meanwhile: however many wait for their migration, the
	// others find room.
	if h.err = hs.keeper.prepare(hs.ctx, record); h.err != nil {
		time.AfterFunc(failureKept, func() { hs.discard(h) })
		return
	}
	if h.tenant.DB, h.err = hs.openWithPermit(record); h.err != nil {
		hs.discard(h)
	}
}

// register reads the tenant's row of the registry into the handle.
func (hs *handles) register(h *handle) (*models.Tenant, error) {
	ctx, cancel := context.WithTimeout(hs.ctx, refreshTimeout)
	defer cancel()
	if err := hs.refresh(ctx, []string{h.tenant.ID}); err != nil {
		return nil, err
	}
	if record := h.record.Load(); record != nil {
		return record, nil
	}
	return nil, models.ErrTenantNotFound
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

// permit waits for leave to have one more database open; KindBusy when all are
// in use for too long.
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

// makeRoom counts an opening that waits, and closes an idle database for it if
// there is one. If there is none, the next that becomes idle is closed.
func (hs *handles) makeRoom(waiting int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.waiting += waiting
	if waiting > 0 {
		hs.evict()
	}
}
