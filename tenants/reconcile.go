package tenants

import (
	"context"
	"time"

	"multitenant/models"
)

const (
	tidyEvery   = 30 * time.Second
	reportEvery = time.Minute
	// tryAgainAfter is how soon a tenant is looked at again whose lock was not
	// free: the server may still be busy with a statement of a dead process.
	tryAgainAfter = time.Second
	settleTimeout = 10 * time.Second // for each tenant, so that none keeps the others waiting
)

// Step names a point between two steps of making or deleting a tenant, at
// which a process may die.
type Step string

// The steps, in their order.
const (
	StepLocked   Step = "locked"   // the tenant's lock is held, nothing is written
	StepReserved Step = "reserved" // the registry's row is there, and the role
	StepCreated  Step = "created"  // the database exists under its private name, empty
	StepBuilt    Step = "built"    // it is migrated and stamped
	StepSpare    Step = "spare"    // it is in the stock, and nobody's
	StepNamed    Step = "named"    // it is claimed, with the organization's row, and has its public name
	StepSeeded   Step = "seeded"   // its first rows are written
	StepReady    Step = "ready"    // it is open to everybody
	StepMarked   Step = "marked"   // it is marked for deletion, and refused to everybody
	StepDropped  Step = "dropped"  // the database is gone
	StepDeleted  Step = "deleted"  // the rows are gone
)

func (m *Manager) step(step Step) {
	if m.onStep != nil {
		m.onStep(step)
	}
}

// tidy closes databases that nobody uses, removes what was left unsettled and
// warns of what nobody can explain, until ctx ends.
func (m *Manager) tidy(ctx context.Context) {
	ticker, reporter := time.NewTicker(tidyEvery), time.NewTicker(reportEvery)
	defer ticker.Stop()
	defer reporter.Stop()
	m.report(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.unsettled:
			m.reconcile(ctx)
		case <-ticker.C:
			m.handles.sweep()
			m.reconcile(ctx)
		case <-reporter.C:
			m.report(ctx)
		}
	}
}

// reconcile removes the tenants whose making or removing a dead process has
// left unsettled. One whose lock is held is being worked on, and is left.
func (m *Manager) reconcile(ctx context.Context) {
	unsettled, err := models.ListUnsettledTenants(ctx, m.core)
	if err != nil {
		m.logger.WarnContext(ctx, "list unsettled tenants", "error", err)
		time.AfterFunc(tryAgainAfter, m.reconcileSoon)
		return
	}
	locked := false
	for _, record := range unsettled {
		free, err := m.trySettle(ctx, record.ID)
		m.counts.noteReconciled(record.Status, free, err)
		switch {
		case err != nil:
			m.logger.ErrorContext(ctx, "remove unsettled tenant", "tenant", record.Slug, "error", err)
		case free:
			m.logger.WarnContext(ctx, "removed unsettled tenant", "tenant", record.Slug, "status", record.Status)
		default:
			locked = true
		}
	}
	if locked {
		time.AfterFunc(tryAgainAfter, m.reconcileSoon)
	}
}

// trySettle is settle for a tenant whose lock is free, and reports whether it
// was.
func (m *Manager) trySettle(ctx context.Context, id string) (free bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	session, free, err := m.backend.TryLock(ctx, lockKey(id))
	if err != nil || !free {
		return free, err
	}
	defer session.Unlock()
	return true, m.settleLocked(ctx, session, id)
}

// reconcileSoon asks the background for a reconciling. It never blocks.
func (m *Manager) reconcileSoon() {
	select {
	case m.unsettled <- struct{}{}:
	default:
	}
}
