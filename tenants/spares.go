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
	// other requests are claiming some, and clients may have some open.
	spareCandidates = 8
	// sparesLock is the lock of the process that makes spares.
	sparesLock = "spares"
)

// lockSpare locks a spare. The session is nil if the spare is not to be had: another
// request claims it or has claimed it, or a client has its database open.
func (m *Manager) lockSpare(ctx context.Context, id string) (database.Session, *models.Tenant, error) {
	session, free, err := m.databases.Backend.TryLock(ctx, LockKey(id))
	if err != nil || !free {
		return nil, nil, err
	}
	record, err := models.FindTenant(ctx, m.core, id)
	isSpare := err == nil && record.Status == models.TenantSpare
	if models.IsKind(err, models.KindTenantNotFound) {
		err = nil
	}
	if isSpare {
		isSpare, err = m.isUnused(ctx, session, &record)
	}
	if !isSpare {
		session.Unlock()
		return nil, nil, err
	}
	return session, &record, nil
}

// isUnused reports whether no client has the spare open, as a monitoring agent may.
// Such a spare stays for later, because a database in use cannot be renamed.
func (m *Manager) isUnused(ctx context.Context, session database.Session, spare *models.Tenant) (bool, error) {
	inUse, err := session.InUse(ctx, spare.DatabaseName)
	if inUse {
		m.logger.WarnContext(ctx, "spare database passed over: a client has it open", "database", spare.DatabaseName)
	}
	return err == nil && !inUse, err
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
		if _, err := m.migrateIfBehind(ctx, &old[i]); err != nil {
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
