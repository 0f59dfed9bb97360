package tenants

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	// spareTimeout bounds the making of one spare.
	spareTimeout = time.Minute
	// spareCandidates is how many spares are tried before a new database is made:
	// other requests are claiming some, and clients may have some open.
	spareCandidates = 8
)

// lockSpare locks a spare. The session is nil if the spare is not to be had: another
// request claims it or has claimed it, or a client has its database open.
func (m *Manager) lockSpare(ctx context.Context, id string) (database.Session, *models.Tenant, error) {
	session, free, err := m.databases.TryLock(ctx, id)
	if err != nil || !free {
		return nil, nil, err
	}
	record, err := models.FindTenant(ctx, m.core, id)
	isSpare := err == nil && record.Status == models.TenantSpare && m.databases.isCurrent(&record)
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

// spareForm is the form of a spare that can be claimed: its maker would otherwise wait for
// a migration that needs the lock which the maker holds.
func (d *Databases) spareForm() models.SpareForm {
	return models.SpareForm{SchemaVersion: d.Version, HasRole: d.CanCreateRoles()}
}

// makeSpares migrates the old spares and makes those that are missing, one database after
// the other. Other processes may do so at the same time.
func (m *Manager) makeSpares(ctx context.Context) error {
	if err := m.migrateSpares(ctx); err != nil {
		return err
	}
	for {
		if made, err := m.makeSpare(ctx); err != nil || !made {
			return err
		}
	}
}

func (m *Manager) migrateSpares(ctx context.Context) error {
	listing, cancel := context.WithTimeout(ctx, spareTimeout)
	defer cancel()
	old, err := models.ListOldSpares(listing, m.core, m.databases.spareForm())
	for i := range old {
		err := m.migrateSpare(ctx, &old[i])
		if err != nil && !models.IsKind(err, models.KindBusy) { // another process may be migrating it
			m.logger.ErrorContext(ctx, "migrate spare database", "database", old[i].DatabaseName, "error", err)
		}
	}
	return err
}

func (m *Manager) migrateSpare(ctx context.Context, record *models.Tenant) error {
	ctx, cancel := context.WithTimeout(ctx, spareTimeout)
	defer cancel()
	_, err := m.migrateIfBehind(ctx, record)
	return err
}

// errEnough says that no spare is missing.
var errEnough = errors.New("there are enough spares")

// makeSpare makes one spare, unless there are enough. If it fails, the reconciler removes
// what is left.
func (m *Manager) makeSpare(ctx context.Context) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, spareTimeout)
	defer cancel()
	count, err := models.CountSpares(ctx, m.core, m.databases.spareForm())
	if err != nil || count >= int64(m.spares) {
		return false, err
	}
	for _, turn := range []*semaphore.Weighted{m.longLocks, m.making} {
		if err := turn.Acquire(ctx, 1); err != nil {
			return false, err
		}
		defer turn.Release(1)
	}
	record := m.databases.newRecord()
	session, err := m.databases.Lock(ctx, record.ID)
	if err != nil {
		return false, err
	}
	defer session.Unlock()
	err = m.buildSpare(ctx, session, record)
	switch {
	case errors.Is(err, errEnough):
		return false, nil
	case err != nil:
		return false, m.undo(ctx, session, record, err)
	}
	m.databases.step(StepSpare)
	return true, nil
}

// buildSpare registers and builds a spare. It returns errEnough if another process has made
// the last one that was missing.
func (m *Manager) buildSpare(ctx context.Context, session database.Session, record *models.Tenant) error {
	err := m.databases.register(ctx, record, func(ctx context.Context, tx *gorm.DB) error {
		reserved, err := models.ReserveSpare(ctx, tx, record, m.databases.spareForm(), m.spares)
		if err == nil && !reserved {
			err = errEnough
		}
		return err
	})
	if err == nil {
		err = m.databases.build(ctx, session, record, nil)
	}
	if err == nil {
		_, err = models.MoveTenant(ctx, m.core, record.ID, models.TenantSpare, models.TenantMaking)
	}
	return err
}

// makeSparesSoon makes the background check the spares at once. It never blocks.
func (m *Manager) makeSparesSoon() {
	select {
	case m.claimed <- struct{}{}:
	default:
	}
}
