package tenants

import (
	"context"
	"time"

	"multitenant/database"
	"multitenant/models"
)

const (
	// spareTimeout bounds the making of one spare.
	spareTimeout = time.Minute
	// spareCandidates is how many spares are tried before a new database is made:
	// other requests hold the locks of those that they are claiming.
	spareCandidates = 8
	// sparesLock is the lock of the process that makes spares.
	sparesLock = "spares"
)

// lockSpare locks a spare that no other request is claiming. The session is nil
// if there is none.
func (m *Manager) lockSpare(ctx context.Context) (database.Session, *models.Tenant, error) {
	spares, err := models.ListSpares(ctx, m.core, m.databases.Version, spareCandidates)
	if err != nil {
		return nil, nil, err
	}
	for i := range spares {
		session, free, err := m.databases.Backend.TryLock(ctx, LockKey(spares[i].ID))
		if err != nil {
			return nil, nil, err
		}
		if !free {
			continue
		}
		// Another request may have claimed it before it was locked.
		record, err := models.FindTenant(ctx, m.core, spares[i].ID)
		if err == nil && record.Status == models.TenantSpare {
			return session, &record, nil
		}
		session.Unlock()
		if err != nil && !models.IsKind(err, models.KindTenantNotFound) {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// keepSpares makes spares until there are enough, and again whenever one is
// claimed, until ctx ends.
func (m *Manager) keepSpares(ctx context.Context) {
	if m.spares == 0 {
		return
	}
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		if err := m.makeSpares(ctx); err != nil && ctx.Err() == nil {
			m.logger.ErrorContext(ctx, "make spare database", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.claimed:
		case <-ticker.C:
		}
	}
}

// makeSpares migrates the old spares and makes those that are missing. One
// process does so at a time, one database after the other: the server makes them
// no faster in parallel.
func (m *Manager) makeSpares(ctx context.Context) error {
	session, free, err := m.databases.Backend.TryLock(ctx, sparesLock)
	if err != nil {
		return err
	}
	if !free {
		// The process that holds the lock may have counted before the last claim.
		time.AfterFunc(tryAgainAfter, m.makeSparesSoon)
		return nil
	}
	defer session.Unlock()
	old, err := models.ListOldSpares(ctx, m.core, m.databases.Version)
	if err != nil {
		return err
	}
	for i := range old {
		if err := m.migrateIfBehind(ctx, &old[i]); err != nil {
			m.logger.ErrorContext(ctx, "migrate spare database", "database", old[i].DatabaseName, "error", err)
		}
	}
	for {
		count, err := models.CountSpares(ctx, m.core, m.databases.Version)
		if err != nil || count >= int64(m.spares) {
			return err
		}
		if err := m.makeSpare(ctx); err != nil {
			return err
		}
	}
}

// makeSpare makes one spare. If it fails, the reconciler removes what is left.
func (m *Manager) makeSpare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, spareTimeout)
	defer cancel()
	if err := m.making.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.making.Release(1)
	record := m.databases.newRecord()
	session, err := m.databases.Lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	if err := m.databases.build(ctx, session, record); err != nil {
		return m.undo(ctx, session, record, err)
	}
	if _, err := models.MoveTenant(ctx, m.core, record.ID, models.TenantSpare, models.TenantMaking); err != nil {
		return err
	}
	m.databases.step(StepSpare)
	return nil
}

// makeSparesSoon makes the background check the spares at once. It never blocks.
func (m *Manager) makeSparesSoon() {
	select {
	case m.claimed <- struct{}{}:
	default:
	}
}
