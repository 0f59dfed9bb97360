package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	// earlySpares is how many spares a process keeps open. The other connections for making
	// are left to databases that are being made.
	earlySpares = 2
	// openWait bounds the wait for such a session, during which no process can claim the spare.
	openWait = 2 * time.Second
)

// lockSpare locks a spare. The session is nil if the spare is not to be had: another
// request claims it or has claimed it.
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
	if !isSpare {
		session.Unlock()
		return nil, nil, err
	}
	return session, &record, nil
}

// isUnused reports whether no client has the spare open, as a monitoring agent may.
// Such a spare stays for later, because a database in use cannot be renamed.
func (m *Manager) isUnused(ctx context.Context, session database.Session, spare *models.Tenant) (bool, error) {
	_, others, err := session.CountSessions(ctx, spare.DatabaseName)
	if others > 0 {
		m.logger.WarnContext(ctx, "spare database passed over: a client has it open", "database", spare.DatabaseName)
	}
	return err == nil && others == 0, err
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
			return errors.Join(err, m.openNextSpares(ctx))
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
	err = m.buildSpare(ctx, session, record, count < earlySpares)
	switch {
	case errors.Is(err, errEnough):
		return false, nil
	case err != nil:
		<-m.undo(ctx, newClaim(session, record))
		return false, err
	}
	m.databases.step(StepSpare)
	return true, nil
}

// buildSpare registers and builds a spare. One that is claimed next stays open: to open it
// later takes its lock. buildSpare returns errEnough if another process has made the last
// one that was missing.
func (m *Manager) buildSpare(ctx context.Context, session database.Session, record *models.Tenant, isNext bool) error {
	err := m.databases.register(ctx, record, func(ctx context.Context, tx *gorm.DB) error {
		reserved, err := models.ReserveSpare(ctx, tx, record, m.databases.spareForm(), m.spares)
		if err == nil && !reserved {
			err = errEnough
		}
		return err
	})
	if err != nil {
		return err
	}
	db, err := m.databases.build(ctx, session, record, nil)
	if err != nil {
		return err
	}
	if isNext && m.databases.Backend.OpensEarly() && m.openSpares.lacks(record.ID) {
		m.openSpares.put(record.ID, db)
	} else {
		err = session.Leave(ctx, record.DatabaseName, db)
	}
	if err == nil {
		_, err = models.MoveTenant(ctx, m.core, record.ID, models.TenantSpare, models.TenantMaking)
	}
	return err
}

// makeSparesSoon makes the background check the spares at once. It never blocks.
func (m *Manager) makeSparesSoon() { wake(m.claimed) }

// openSpares are the spares that this process has open for their claims, by their ids.
type openSpares struct {
	mu   sync.Mutex
	byID map[string]*gorm.DB
}

// lacks reports whether a spare is not open, and fewer than earlySpares are.
func (o *openSpares) lacks(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byID[id] == nil && len(o.byID) < earlySpares
}

// rank is less for a spare that is open than for another.
func (o *openSpares) rank(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID[id] != nil {
		return 0
	}
	return 1
}

func (o *openSpares) put(id string, db *gorm.DB) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID == nil {
		o.byID = make(map[string]*gorm.DB)
	}
	o.byID[id] = db
}

// take returns an open spare, which the caller must Close, or nil.
func (o *openSpares) take(id string) *gorm.DB {
	o.mu.Lock()
	defer o.mu.Unlock()
	db := o.byID[id]
	delete(o.byID, id)
	return db
}

// keep closes those that are not among these spares: other processes have claimed them.
func (o *openSpares) keep(spares []models.Tenant) (err error) {
	for _, db := range o.takeOthers(spares) {
		err = errors.Join(err, database.Close(db))
	}
	return err
}

func (o *openSpares) takeOthers(spares []models.Tenant) (others []*gorm.DB) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, db := range o.byID {
		if !slices.ContainsFunc(spares, func(spare models.Tenant) bool { return spare.ID == id }) {
			delete(o.byID, id)
			others = append(others, db)
		}
	}
	return others
}

// openNextSpares opens the spares that are claimed next, unless another process has them
// open.
func (m *Manager) openNextSpares(ctx context.Context) error {
	if !m.databases.Backend.OpensEarly() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, spareTimeout)
	defer cancel()
	spares, err := models.ListSpares(ctx, m.core, m.databases.spareForm(), spareCandidates)
	if err == nil {
		err = m.openSpares.keep(spares)
	}
	for i := 0; i < len(spares) && err == nil; i++ {
		if m.openSpares.lacks(spares[i].ID) {
			err = m.openSpare(ctx, spares[i].ID)
		}
	}
	return err
}

// openSpare opens a spare under its lock, so that no process renames it meanwhile.
func (m *Manager) openSpare(ctx context.Context, id string) error {
	if err := m.longLocks.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.longLocks.Release(1)
	session, record, err := m.lockSpare(ctx, id)
	if err != nil || session == nil {
		return err
	}
	defer session.Unlock()
	own, others, err := session.CountSessions(ctx, record.DatabaseName)
	if err != nil || own+others > 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	db, err := m.databases.Backend.OpenDatabase(ctx, record.DatabaseName, m.databases.StampedWith(id))
	if err != nil {
		return fmt.Errorf("open spare database: %w", err)
	}
	m.openSpares.put(id, db)
	return nil
}
