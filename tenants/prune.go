package tenants

import (
	"context"
	"time"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

const (
	forgetEvery = time.Hour
	pruneEvery  = 24 * time.Hour
	// prunePause follows each tenant, since its database is opened: however many tenants
	// there are, they take little of the processors at a time.
	prunePause   = 100 * time.Millisecond
	pruneTimeout = 30 * time.Second // for one batch
	pruneBatch   = 1000
	// operationsKept is how long operations stay in core after their end.
	operationsKept = 30 * 24 * time.Hour
	// coreAuditLock is the lock of the process that prunes core's audit trail.
	coreAuditLock = "core audit"
)

// keepForgetting removes rows and databases that have no more use, at once and at each
// tick, until ctx ends.
func (m *Manager) keepForgetting(ctx context.Context) {
	forget := func() {
		m.forgetSlugs(ctx)
		m.pruneOperations(ctx)
		m.dropOldReplaced(ctx)
	}
	forget()
	every(ctx, forgetEvery, forget)
}

// keepPruning removes old events, if the settings want that, at once and at each tick,
// until ctx ends.
func (m *Manager) keepPruning(ctx context.Context) {
	if m.auditKeep == 0 {
		return
	}
	m.pruneAll(ctx)
	every(ctx, pruneEvery, func() { m.pruneAll(ctx) })
}

// forgetSlugs removes the slugs whose rest has ended.
func (m *Manager) forgetSlugs(ctx context.Context) {
	err := models.ForgetSlugs(ctx, m.core, m.core.NowFunc().Add(-m.slugRest))
	if err != nil && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "remove slugs whose rest has ended", "error", err)
	}
}

// pruneOperations removes the operations that ended long ago.
func (m *Manager) pruneOperations(ctx context.Context) {
	err := models.PruneOperations(ctx, m.core, m.core.NowFunc().Add(-operationsKept))
	if err != nil && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "remove old operations", "error", err)
	}
}

// pruneAll removes old events from core, then from one tenant after the other.
func (m *Manager) pruneAll(ctx context.Context) {
	before := m.core.NowFunc().Add(-m.auditKeep)
	m.pruneOne(ctx, coreAuditLock, "core", func(ctx context.Context) (int, error) {
		return pruneBatchOf(ctx, m.core, before)
	})
	all := models.Selection{Claimed: true, Fleet: true}
	err := models.EachTenant(ctx, m.core, all, func(record *models.Tenant) error {
		m.pruneOne(ctx, LockKey(record.ID), record.Name(), func(ctx context.Context) (int, error) {
			return m.pruneTenant(ctx, record.ID, before)
		})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(prunePause):
			return nil
		}
	})
	if err != nil && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "list tenants to prune their audit trails", "error", err)
	}
}

// pruneOne removes the old events of one database. It takes the lock for each batch
// anew, so that a request that needs the lock waits for one batch at most. It leaves the
// rest to the next tick if another process has the lock.
func (m *Manager) pruneOne(ctx context.Context, lock, name string, prune func(context.Context) (int, error)) {
	total := 0
	removed, err := m.pruneUnder(ctx, lock, prune)
	for err == nil && removed > 0 {
		total += removed
		removed, err = m.pruneUnder(ctx, lock, prune)
	}
	if err != nil && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "prune audit trail", "database", name, "error", err)
	}
	if total > 0 {
		m.logger.InfoContext(ctx, "pruned audit trail", "database", name, "removed", total)
	}
}

// pruneUnder calls prune if no other process has the lock; otherwise it returns 0.
func (m *Manager) pruneUnder(ctx context.Context, lock string, prune func(context.Context) (int, error)) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	if err := m.longLocks.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	defer m.longLocks.Release(1)
	session, free, err := m.databases.Backend.TryLock(ctx, lock)
	if err != nil || !free {
		return 0, err
	}
	defer session.Unlock()
	return prune(ctx)
}

// pruneTenant removes a batch of old events of a tenant, whose lock the caller must hold.
// It leaves a database alone that is being deleted or was not taken over yet.
func (m *Manager) pruneTenant(ctx context.Context, id string, before time.Time) (removed int, err error) {
	one := models.Selection{ID: id, Claimed: true, Fleet: true}
	err = models.EachTenant(ctx, m.core, one, func(record *models.Tenant) error {
		if record.SchemaVersion == "" {
			return nil
		}
		db, err := m.databases.OpenStamped(ctx, record)
		if err != nil {
			return err
		}
		defer func() { _ = database.Close(db) }() // all that was written is committed
		removed, err = pruneBatchOf(ctx, db, before)
		return err
	})
	return removed, err
}

// pruneBatchOf removes a batch of old events of a database. It looks first, because the
// removal keeps others from writing.
func pruneBatchOf(ctx context.Context, db *gorm.DB, before time.Time) (int, error) {
	pruning := models.Pruning{Table: database.Qualified(db, auditTable), Before: before, Limit: pruneBatch}
	count, err := models.CountPrunable(ctx, db, pruning)
	if err != nil || count == 0 {
		return 0, err
	}
	return count, migrations.RemoveEvents(ctx, db, pruning.Table, func(tx *gorm.DB) error {
		return models.PruneEvents(tx, pruning)
	})
}
