package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	makingWait  = 8 * time.Second  // how long a request waits for its turn to make a tenant
	undoTimeout = 20 * time.Second // undoing is detached from the request, which may be cut off
)

// provision makes a tenant. When it returns nil, the database exists, is migrated
// and seeded, and requests are admitted. When it returns an error, everything is
// removed, at once or by the reconciler. The errors: KindInvalidSlug,
// KindReservedSlug, KindSlugTaken, KindSlugResting, KindBusy if the wait for a turn is
// too long, and those of the plan.
//
// A database is complete before a tenant claims it: it is a spare or, if there is
// none, made now under a private name, as that of a copy always is. Claiming it takes
// the slug and gives the database its public name, which fails if a database of another
// has that name.
// The tenant's lock is held throughout, so an unfinished row whose lock is free
// has been left by a dead process.
func (m *Manager) provision(ctx context.Context, slug models.Slug, plan plan) error {
	began := time.Now()
	if err := slug.CheckNew(); err != nil {
		return err
	}
	// Of several requests for one slug only one succeeds. With the lock the others
	// fail without making a database.
	unlock, err := m.slugs.lock(ctx, slug)
	if err != nil {
		return models.ErrBusy.Because(err)
	}
	defer unlock()
	if _, err := models.FindTenantBySlug(ctx, m.core, slug); err == nil {
		return models.ErrSlugTaken
	}
	if err := m.checkRest(ctx, slug, models.Claimant{OwnerID: plan.ownerID(), TenantID: plan.copied().comesBack()}); err != nil {
		return err
	}
	if err := plan.admit(); err != nil {
		return err
	}
	defer m.makeSparesSoon()
	spare := false
	if plan.copied() == nil {
		spare, err = m.claimSpare(ctx, slug, plan)
	}
	if !spare && err == nil {
		err = m.claimNew(ctx, slug, plan)
	}
	if m.onProvisioned != nil {
		m.onProvisioned(Provisioned{Spare: spare, Took: time.Since(began), Err: err})
	}
	return err
}

// checkRest is KindSlugResting for the slug of a tenant that was deleted not long ago,
// for all but the core user who owned it and the tenant itself.
func (m *Manager) checkRest(ctx context.Context, slug models.Slug, by models.Claimant) error {
	if m.slugRest == 0 {
		return nil
	}
	return models.CheckRest(ctx, m.core, slug, by, m.restFrom())
}

// restFrom is since when slugs rest still.
func (m *Manager) restFrom() time.Time { return time.Now().Add(-m.slugRest) }

// Occupied reports whether a tenant could not be made because a database that is not ours
// has the tenant's name.
func Occupied(err error) bool {
	return errors.Is(err, database.ErrExist) || errors.Is(err, database.ErrForeign)
}

// claimSpare turns one of the spares into the tenant and reports whether there was
// one that could be claimed.
func (m *Manager) claimSpare(ctx context.Context, slug models.Slug, plan plan) (claimed bool, err error) {
	spares, err := models.ListSpares(ctx, m.core, m.databases.spareForm(), spareCandidates)
	if err != nil {
		return false, err
	}
	for i := range spares {
		if claimed, err = m.claimOne(ctx, spares[i].ID, slug, plan); claimed || err != nil {
			return claimed, err
		}
	}
	return false, nil
}

// claimOne turns this spare into the tenant. A spare that can never be claimed is
// removed. One that is in use stays as it is. Both count as not claimed.
func (m *Manager) claimOne(ctx context.Context, id string, slug models.Slug, plan plan) (claimed bool, err error) {
	session, record, err := m.lockSpare(ctx, id)
	if err != nil || session == nil {
		return false, err
	}
	defer session.Unlock()
	m.databases.step(StepLocked)
	err = m.complete(ctx, session, record, slug, plan)
	if err == nil {
		return true, nil
	}
	isUnfit := errors.Is(err, errUnfit)
	if isUnfit {
		m.logger.ErrorContext(ctx, "spare database is no good", "database", m.databases.PrivateName(record.ID), "error", err)
		if _, err := models.MoveTenant(ctx, m.core, record.ID, models.TenantUndoing, models.TenantSpare); err != nil {
			return true, err
		}
	}
	cause := m.undo(ctx, session, record, err)
	if isUnfit || errors.Is(cause, database.ErrInUse) {
		return false, nil
	}
	return true, cause
}

// claimNew makes a database and turns it into the tenant.
func (m *Manager) claimNew(ctx context.Context, slug models.Slug, plan plan) error {
	if err := takeTurn(ctx, m.making); err != nil {
		return err
	}
	defer m.making.Release(1)
	record := m.databases.newRecord()
	if copied := plan.copied(); copied != nil {
		record = m.databases.recordOf(cmp.Or(copied.comesBack(), record.ID))
		record.Registration = copied.Registration
	}
	session, err := m.databases.Lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	m.databases.step(StepLocked)
	err = m.databases.register(ctx, record, func(ctx context.Context, tx *gorm.DB) error {
		return models.CreateTenant(ctx, tx, record)
	})
	if err == nil {
		err = m.databases.build(ctx, session, record, plan.copied())
	}
	if err == nil {
		err = m.complete(ctx, session, record, slug, plan)
	}
	if err != nil {
		return m.undo(ctx, session, record, err)
	}
	return nil
}

// complete turns an unclaimed database into a tenant that is ready.
func (m *Manager) complete(
	ctx context.Context, session database.Session, record *models.Tenant, slug models.Slug, plan plan,
) error {
	private := record.DatabaseName
	public, err := m.databases.publicName(ctx, record.ID, slug)
	if err != nil {
		return err
	}
	record.Slug, record.DatabaseName, record.Status = slug, public, models.TenantProvisioning
	if err := m.claim(ctx, session, record, private, plan); err != nil {
		return err
	}
	return m.seed(ctx, record, plan)
}

// errUnfit says that a database can never be claimed: it is gone, or its role is.
var errUnfit = errors.New("database cannot be claimed")

// claim takes the slug and gives the database its public name.
func (m *Manager) claim(
	ctx context.Context, session database.Session, record *models.Tenant, private string, plan plan,
) error {
	var reserved error
	err := session.Claim(ctx, private, record.DatabaseName, record.Role, func(tx *gorm.DB) error {
		reserved = takeSlug(ctx, tx, record, plan)
		return reserved
	})
	if Occupied(err) {
		m.logger.ErrorContext(ctx, "a database that is not ours bears the name of a new tenant",
			"tenant", record.Slug, "database", record.DatabaseName)
		return models.ErrSlugTaken.Because(err)
	}
	isReachable := errors.Is(err, database.ErrNotExist) || !database.IsUnavailable(err)
	if err != nil && reserved == nil && isReachable && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUnfit, err)
	}
	if err != nil {
		return fmt.Errorf("claim database: %w", err)
	}
	m.databases.step(StepNamed)
	return nil
}

// takeSlug writes the rows of core that belong to the claim.
func takeSlug(ctx context.Context, tx *gorm.DB, record *models.Tenant, plan plan) error {
	claimed, err := models.ClaimTenant(ctx, tx, record)
	if err == nil && !claimed {
		err = models.ErrTenantUnavailable.Because(errors.New("a spare was removed while it was claimed"))
	}
	if err != nil {
		return err
	}
	return plan.reserve(ctx, tx, record.ID)
}

// seed writes the tenant's first rows and makes the tenant ready.
func (m *Manager) seed(ctx context.Context, record *models.Tenant, plan plan) error {
	h, err := m.handles.acquire(ctx, record.ID, false)
	if err != nil {
		return err
	}
	defer h.release()
	if err := plan.seed(ctx, &h.tenant); err != nil {
		return h.tenant.Classify(err)
	}
	m.databases.step(StepSeeded)
	if err := m.makeReady(ctx, record.ID, plan); err != nil {
		return err
	}
	m.databases.step(StepReady)
	return nil
}

// makeReady sets the status and records the event, in one transaction on core.
func (m *Manager) makeReady(ctx context.Context, id string, plan plan) error {
	return m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		moved, err := models.MoveTenant(ctx, tx, id, models.TenantReady, models.TenantProvisioning)
		if err != nil || !moved {
			return errors.Join(err, models.ErrTenantUnavailable)
		}
		return plan.record(ctx, tx)
	})
}

// undo removes what was made of a tenant and returns cause. It continues in the
// background when ctx ends. If it fails, the reconciler repeats it.
func (m *Manager) undo(ctx context.Context, session database.Session, record *models.Tenant, cause error) error {
	undone := make(chan struct{})
	m.background.Go(func() {
		defer close(undone)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		// The session is unusable if it was cut off during a statement. Its lock is
		// free once the server has ended that statement.
		session.Unlock()
		if err := m.databases.remove(ctx, record.ID); err != nil {
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

// takeTurn waits for at most makingWait, then returns KindBusy.
func takeTurn(ctx context.Context, queue *semaphore.Weighted) error {
	ctx, cancel := context.WithTimeout(ctx, makingWait)
	defer cancel()
	if err := queue.Acquire(ctx, 1); err != nil {
		return models.ErrBusy.Because(err)
	}
	return nil
}
