package tenants

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	makingWait  = 8 * time.Second // how long a request waits for its turn to make a tenant
	settleWait  = 8 * time.Second // how long it waits for another's making or deleting of the same tenant
	settlePoll  = 25 * time.Millisecond
	undoTimeout = 20 * time.Second // undoing is detached from the request: it must not be cut off with it
	lockTimeout = 5 * time.Second
)

// Plan describes a tenant to be made.
type Plan struct {
	Slug models.Slug
	// Reserve, where it is set, writes the rows of core that come with the
	// tenant, in the very transaction that takes its slug.
	Reserve func(ctx context.Context, tx *gorm.DB, tenantID string) error
	// Seed writes the tenant's first rows. It may be repeated for another plan
	// when it fails; what it wrote here is gone then.
	Seed func(ctx context.Context, tenant *Tenant) error
}

// Provision makes a tenant: when it returns nil, its database is there,
// migrated, seeded and open; when it returns an error, nothing is left of it,
// or will be as soon as the reconciler comes by. The errors: KindInvalidSlug,
// KindSlugTaken, KindBusy when others are being made for too long, whatever
// Reserve and Seed return.
//
// The registry's row comes first and takes the slug. The database is made under
// a name that only this tenant's can have, and gets its public name when it is
// complete; so a database that bears the public name already is recognised as
// somebody else's. The tenant's lock is held throughout: whoever finds an
// unfinished row whose lock is free knows that its maker is dead.
func (m *Manager) Provision(ctx context.Context, plan Plan) error {
	if err := plan.Slug.CheckNew(); err != nil {
		return err
	}
	// The unique index decides; this spares those who come too late the waiting.
	if _, err := models.FindTenantBySlug(ctx, m.core, plan.Slug); err == nil {
		return models.ErrSlugTaken()
	}
	if err := takeTurn(ctx, m.making); err != nil {
		return err
	}
	defer m.making.Release(1)

	record := models.Tenant{
		ID:            uuid.NewString(),
		Slug:          plan.Slug,
		DatabaseName:  m.prefix + string(plan.Slug),
		Status:        models.TenantProvisioning,
		SchemaVersion: m.version,
	}
	session, err := m.lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	m.step(StepLocked)

	if err := m.reserve(ctx, &record, plan.Reserve); err != nil {
		m.reconcileSoon() // the answer to the commit may have been lost
		return err
	}
	m.step(StepReserved)
	if err := m.make(ctx, session, &record, plan.Seed); err != nil {
		return m.undo(ctx, session, &record, err)
	}
	return nil
}

// Occupied reports whether Provision failed because a database that is not
// ours bears the tenant's name.
func Occupied(err error) bool {
	return errors.Is(err, database.ErrExist) || errors.Is(err, database.ErrForeign)
}

func (m *Manager) reserve(ctx context.Context, record *models.Tenant, more func(context.Context, *gorm.DB, string) error) error {
	return m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := models.CreateTenant(ctx, tx, record); err != nil || more == nil {
			return err
		}
		return more(ctx, tx, record.ID)
	})
}

// make takes a reserved tenant through all the steps to ready.
func (m *Manager) make(
	ctx context.Context, session database.Session, record *models.Tenant, seed func(context.Context, *Tenant) error,
) error {
	if err := m.build(ctx, session, record); err != nil {
		return err
	}
	if err := m.claim(ctx, session, record); err != nil {
		return err
	}
	h, err := m.handle(ctx, record)
	if err != nil {
		return err
	}
	defer h.release()
	if err := seed(ctx, &h.tenant); err != nil {
		return h.tenant.Blame(err)
	}
	m.step(StepSeeded)
	moved, err := models.MoveTenant(ctx, m.core, record.ID, models.TenantReady, models.TenantProvisioning)
	if err != nil || !moved {
		return errors.Join(err, errUnavailable())
	}
	m.handles.changed(record.ID, models.TenantReady)
	m.step(StepReady)
	return nil
}

// build makes the tenant's database under its private name: empty, migrated,
// stamped, and closed again.
func (m *Manager) build(ctx context.Context, session database.Session, record *models.Tenant) error {
	name := m.privateName(record.ID)
	if err := session.Create(ctx, name); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	m.step(StepCreated)
	db, err := m.backend.OpenDatabase(ctx, name, nil)
	if err != nil {
		return fmt.Errorf("open new database: %w", err)
	}
	err = database.Migrate(ctx, db, m.migrations)
	if err == nil {
		err = models.CreateStamp(ctx, db, record.ID)
	}
	if err := errors.Join(err, database.Close(db)); err != nil {
		return fmt.Errorf("migrate new database: %w", err)
	}
	m.step(StepBuilt)
	return nil
}

// claim gives a built database its public name.
func (m *Manager) claim(ctx context.Context, session database.Session, record *models.Tenant) error {
	err := session.Rename(ctx, m.privateName(record.ID), record.DatabaseName)
	if Occupied(err) {
		m.logger.ErrorContext(ctx, "a database that is not ours bears the name of a new tenant",
			"tenant", record.Slug, "database", record.DatabaseName)
		return models.ErrSlugTaken().Because(err)
	}
	if err != nil {
		return fmt.Errorf("rename new database: %w", err)
	}
	m.step(StepNamed)
	return nil
}

// undo removes what was made of a tenant and returns why. It goes on when the
// request has no more time to wait for it; where it fails, the reconciler will
// do it.
func (m *Manager) undo(ctx context.Context, session database.Session, record *models.Tenant, cause error) error {
	undone := make(chan struct{})
	m.background.Go(func() {
		defer close(undone)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		// A session that was cut off in the middle of a statement is of no more
		// use; its lock is free once the server is done with the statement.
		session.Unlock()
		if err := m.settle(ctx, record.ID); err != nil {
			m.logger.ErrorContext(ctx, "undo tenant", "tenant", record.Slug, "error", err)
			m.reconcileSoon()
		}
	})
	select {
	case <-undone:
	case <-ctx.Done():
	}
	return cause
}

// privateName is the name of a tenant's database while it is made. It can be
// no tenant's public name, since no slug begins with an underscore.
func (m *Manager) privateName(id string) string {
	core := strings.ReplaceAll(m.installation, "-", "")
	return m.prefix + "_spare_" + core[:12] + "_" + strings.ReplaceAll(id, "-", "")[:16]
}

func (m *Manager) lock(ctx context.Context, id string) (database.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	session, err := m.backend.Lock(ctx, lockKey(id))
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, errBusy().Because(err)
	}
	return session, err
}

func lockKey(id string) string {
	return "tenant " + id
}

func takeTurn(ctx context.Context, queue *semaphore.Weighted) error {
	ctx, cancel := context.WithTimeout(ctx, makingWait)
	defer cancel()
	if err := queue.Acquire(ctx, 1); err != nil {
		return errBusy().Because(err)
	}
	return nil
}
