package tenants

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
// none, made now under a private name, as that of a copy always is.
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
	if err := m.checkRest(ctx, m.core, slug, models.Claimant{OwnerID: plan.ownerID(), TenantID: plan.copied().comesBack()}); err != nil {
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
func (m *Manager) checkRest(ctx context.Context, core *gorm.DB, slug models.Slug, by models.Claimant) error {
	if m.slugRest == 0 {
		return nil
	}
	return models.CheckRest(ctx, core, slug, by, m.restFrom())
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
	// Those that another process has open take longer.
	slices.SortStableFunc(spares, func(a, b models.Tenant) int {
		return cmp.Compare(m.openSpares.rank(a.ID), m.openSpares.rank(b.ID))
	})
	for i := range spares {
		if claimed, err = m.claimOne(ctx, spares[i].ID, slug, plan); claimed || err != nil {
			return claimed, err
		}
	}
	return false, nil
}

// claimOne turns this spare into the tenant. One that a client has open counts as not
// claimed, and so does one that can never be claimed, which is removed.
func (m *Manager) claimOne(ctx context.Context, id string, slug models.Slug, plan plan) (claimed bool, err error) {
	session, record, err := m.lockSpare(ctx, id)
	if err != nil || session == nil {
		return false, err
	}
	defer session.Unlock()
	if unused, err := m.isUnused(ctx, session, record); err != nil || !unused {
		return false, err
	}
	m.databases.step(StepLocked)
	c := newClaim(session, record)
	err = m.complete(ctx, c, slug, plan)
	if err == nil {
		return true, nil
	}
	isBad := errors.Is(err, errUnfit) || errors.Is(err, database.ErrInUse)
	if isBad {
		m.logger.ErrorContext(ctx, "spare database is no good", "database", c.private, "error", err)
		// The next database gets the slug even if this one cannot be dropped yet.
		if failed := models.Unclaim(ctx, m.core, record.ID, c.private); failed != nil {
			err, isBad = errors.Join(err, failed), false
		}
	}
	undone := m.undo(ctx, c)
	if isBad {
		return false, nil
	}
	<-undone
	return true, err
}

// claimNew makes a database and turns it into the tenant.
func (m *Manager) claimNew(ctx context.Context, slug models.Slug, plan plan) error {
	turns, err := m.takeTurnOf(ctx, plan)
	if err != nil {
		return err
	}
	defer turns.Release(1)
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
	c := newClaim(session, record)
	if err == nil {
		c.open, err = m.databases.build(ctx, session, record, plan.copied())
	}
	if err == nil {
		err = m.complete(ctx, c, slug, plan)
	}
	if err != nil {
		<-m.undo(ctx, c)
	}
	return err
}

// takeTurnOf waits for the plan's turn, and returns the turns to give it back to. Copies take
// long: they have turns of their own, and no bound on the wait.
func (m *Manager) takeTurnOf(ctx context.Context, plan plan) (*semaphore.Weighted, error) {
	if plan.copied() != nil {
		return m.copying, m.copying.Acquire(ctx, 1)
	}
	return m.making, takeTurn(ctx, m.making)
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
