// Package tenants decides which database a request may use. It keeps the registry
// of tenants in the core database, lends their databases to requests, and makes
// and deletes databases so that none stays unfinished.
package tenants

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// Limits on expensive work, each for the whole process.
const (
	maxMaking    = 2 // databases made or dropped at once: more is not faster
	maxMigrating = 2 // tenants migrated at once on first use
)

// Tenant is a tenant and its database, lent to a request.
type Tenant struct {
	ID   string
	Slug models.Slug
	DB   *gorm.DB

	row     *atomic.Pointer[row] // the handle's
	discard func()               // lets the next request open the database anew
}

// Owner returns the core user who owns the tenant. The data is at most 2 seconds
// old, as the tenant's status is.
func (t *Tenant) Owner() models.Owner { return t.row.Load().Owner }

// HasOrganization reports whether the tenant belongs to an organization.
func (t *Tenant) HasOrganization() bool { return t.Owner().ID != 0 }

// Admit is KindTenantSuspended if the tenant is suspended, as far as this process knows,
// unless a user of that role may enter it all the same: an owner, if an owner has
// suspended it.
func (t *Tenant) Admit(role models.Role) error {
	row := t.row.Load()
	if row.Status != models.TenantSuspended || row.SuspendedByOwner && role == models.RoleOwner {
		return nil
	}
	return models.ErrTenantSuspended
}

// Classify turns an error of the tenant's database into KindBusy if no connection
// was free in time, and into KindTenantUnavailable if the database is
// unreachable. It returns any other error as it is. After a write to a database that was
// replaced, the next request reads the tenant's row again.
func (t *Tenant) Classify(err error) error {
	if errors.Is(err, database.ErrReplaced) {
		t.discard()
	}
	return classify(err)
}

// newTenant returns a tenant that is being made. Its first rows are written through it.
func newTenant(record *models.Tenant, db *gorm.DB) *Tenant {
	t := &Tenant{ID: record.ID, Slug: record.Slug, DB: db, row: &atomic.Pointer[row]{}, discard: func() {}}
	t.row.Store(&row{Tenant: *record})
	return t
}

// classify is Classify for a tenant without a handle.
func classify(err error) error {
	_, known := errors.AsType[*models.Error](err)
	switch {
	case known:
		return err
	case IsBusy(err):
		return models.ErrBusy.Because(err)
	case database.IsUnavailable(err):
		return models.ErrTenantUnavailable.Because(err)
	}
	return err
}

// Options are the settings of a Manager, and of a fleet.Fleet.
type Options struct {
	Backend        database.Backend
	DatabasePrefix string // of tenant databases, for example "multitenant_"
	AutoCreate     bool   // whether a registration may make a new tenant
	Spares         int    // how many databases are created in advance
	// SlugRest is how long only the owner of a deleted tenant may use its slug again; 0
	// frees it at once.
	SlugRest time.Duration
	// AuditKeep is how long events stay on record; 0 keeps them for good.
	AuditKeep time.Duration
	// KeepReplaced is how long a database is kept that a restored one has replaced.
	KeepReplaced time.Duration
	Logger       *slog.Logger
	// LastBackups, if set, says that each tenant that is deleted gets a last backup.
	LastBackups LastBackups
	// Migrations, if set, replace the tenants' migrations, so that a test can stand
	// for another release.
	Migrations []*gormigrate.Migration
	// AnySchema lets a fleet.Fleet read a core database of another schema than this
	// code's. It must change nothing then.
	AnySchema bool
	// OnStep, if set, is called after each step of making and deleting a tenant, so
	// that a test can stop the process there.
	OnStep func(Step)
	// OnProvisioned, if set, is called each time the making of a tenant has ended.
	// It must not block.
	OnProvisioned func(Provisioned)
}

// Manager makes, lends, suspends and deletes the databases of tenants. It is
// safe for concurrent use, also by several processes.
type Manager struct {
	databases     *Databases
	core          *gorm.DB // databases.Core
	logger        *slog.Logger
	autoCreate    bool
	spares        int
	slugRest      time.Duration
	auditKeep     time.Duration
	keepReplaced  time.Duration
	onProvisioned func(Provisioned) // may be nil
	lastBackups   LastBackups       // may be nil
	counts        *counts

	handles   *handles
	slugs     slugLocks           // held while a tenant is made
	making    *semaphore.Weighted // databases that are made empty, or dropped
	copying   *semaphore.Weighted // databases that are made of a copy, which takes long
	migrating *semaphore.Weighted
	// openSpares are those that this process has open for their claims.
	openSpares openSpares
	// longLocks are the locks that may be held for long, for a migration or a removal: all
	// that this process may hold but one, so that requests can always make tenants. One of
	// them is left by migrations.
	longLocks *semaphore.Weighted

	reported   map[Stray]bool  // only the background that reports uses it
	waiting    map[string]bool // tenants whose last backup failed; only the background that reconciles uses it
	unfinished chan struct{}   // asks the background to reconcile at once
	claimed    chan struct{}   // asks the background to make spares at once
	closing    chan struct{}   // closed by Close
	stop       context.CancelFunc
	background sync.WaitGroup
	isClosed   atomic.Bool
}

// New migrates the core database and starts the background work, which also removes
// what dead processes have left unfinished. Close ends it. It returns the errors of
// MigrateCore and Open.
func New(ctx context.Context, o Options) (*Manager, error) {
	if err := MigrateCore(ctx, o.Backend, o.DatabasePrefix); err != nil {
		return nil, err
	}
	m, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	m.background.Go(func() { m.watch(background) })
	m.background.Go(func() { m.keepReconciling(background) })
	m.background.Go(func() { every(background, tidyEvery, m.handles.sweep) })
	m.background.Go(func() {
		m.report(background)
		every(background, reportEvery, func() { m.report(background) })
	})
	m.background.Go(func() { m.keepSpares(background) })
	m.background.Go(func() { m.keepForgetting(background) })
	m.background.Go(func() { m.keepPruning(background) })
	return m, nil
}

// Open returns a Manager for a command: it changes nothing by itself and starts
// no background work. Close ends it. It returns the errors of OpenDatabases.
func Open(ctx context.Context, o Options) (*Manager, error) {
	databases, err := OpenDatabases(ctx, o)
	if err != nil {
		return nil, err
	}
	locks := int64(o.Backend.MaxLocks())
	m := &Manager{
		databases:     databases,
		core:          databases.Core,
		logger:        o.Logger,
		autoCreate:    o.AutoCreate,
		spares:        o.Spares,
		slugRest:      o.SlugRest,
		auditKeep:     o.AuditKeep,
		keepReplaced:  o.KeepReplaced,
		onProvisioned: o.OnProvisioned,
		lastBackups:   o.LastBackups,
		counts:        &counts{},
		making:        semaphore.NewWeighted(maxMaking),
		copying:       semaphore.NewWeighted(min(maxMaking, max(1, locks-3))), // longLocks does not count a copy's lock
		migrating:     semaphore.NewWeighted(min(maxMigrating, locks-2)),
		longLocks:     semaphore.NewWeighted(locks - 1),
		reported:      make(map[Stray]bool),
		waiting:       make(map[string]bool),
		unfinished:    make(chan struct{}, 1),
		claimed:       make(chan struct{}, 1),
		closing:       make(chan struct{}),
		stop:          func() {},
	}
	m.handles = newHandles(o.Backend.MaxOpen(), m, m.counts)
	if o.OnStep != nil {
		databases.step = o.OnStep
	}
	databases.drain = m.drain
	databases.deleted = func() { m.counts.deleted.Add(1) }
	return m, nil
}

// HoldLong waits until this process may hold a lock for long, and leaves one for requests.
func (m *Manager) HoldLong(ctx context.Context) (release func(), err error) {
	if err := m.longLocks.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { m.longLocks.Release(1) }, nil
}

// InstallationID is that of Databases.
func (m *Manager) InstallationID() string { return m.databases.InstallationID() }

// Core returns the core database.
func (m *Manager) Core() *gorm.DB {
	return m.core
}

// Ready returns an error if the core database does not answer or cannot be written.
func (m *Manager) Ready(ctx context.Context) error { return m.databases.Backend.Ready(ctx) }

// Close stops the background work and closes the databases of tenants. It waits
// until ctx ends for those in use, and returns the error of ctx. A second call does
// nothing.
func (m *Manager) Close(ctx context.Context) error {
	if m.isClosed.Swap(true) {
		return nil
	}
	m.stop()
	close(m.closing)
	ended := make(chan struct{})
	go func() {
		m.background.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return errors.Join(m.openSpares.keep(nil), m.handles.shut(ctx))
}

// IsUnavailable reports whether the error says that a database is unreachable.
func IsUnavailable(err error) bool {
	return database.IsUnavailable(err)
}

// IsConflict reports whether the error says that a constraint of a database refused a
// change.
func IsConflict(err error) bool {
	return database.IsConflict(err)
}

// IsReadOnly reports whether the error says that the core database cannot be written.
func IsReadOnly(err error) bool {
	return errors.Is(err, database.ErrReadOnly)
}

// IsInterrupted reports whether the error says that the caller has left or that the
// time of the request is over.
func IsInterrupted(err error) bool {
	return database.IsContextError(err)
}

// IsBusy reports whether the error says that no connection to a tenant's or to the
// core database was free.
func IsBusy(err error) bool {
	return errors.Is(err, database.ErrBusy)
}
