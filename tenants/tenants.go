// Package tenants decides which database a request may touch. It keeps the
// registry of tenants in the core database, makes and deletes their databases
// so that nothing is ever half-done, and lends them out one lease at a time.
package tenants

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/go-gormigrate/gormigrate/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

// Limits on work that costs the server much, each for the whole process.
const (
	maxMaking    = 2 // databases made or dropped at once: more is not faster
	maxMigrating = 2 // tenants migrated at once on first use
)

// Tenant is what a lease lends: one tenant and its database.
type Tenant struct {
	ID   string
	Slug models.Slug
	DB   *gorm.DB

	record *atomic.Pointer[models.Tenant] // the handle's
}

// Owner returns what is known of the core user who owns the tenant, which is as
// old as what is known of the tenant's status.
func (t *Tenant) Owner() models.Owner { return t.record.Load().Owner }

// Classify returns the error of something that was done in the tenant's database,
// as KindBusy where it had to wait for a connection for too long, and as
// KindTenantUnavailable where it says that the database is out of reach.
func (t *Tenant) Classify(err error) error {
	if _, known := errors.AsType[*models.Error](err); known {
		return err
	}
	switch {
	case IsBusy(err):
		return models.ErrBusy.Because(err)
	case database.IsUnavailable(err):
		return models.ErrTenantUnavailable.Because(err)
	}
	return err
}

// Options says what a Manager works with.
type Options struct {
	Backend        database.Backend
	DatabasePrefix string // of tenant databases, for example "multitenant_"
	AutoCreate     bool   // whether a registration may make a new tenant
	Spares         int    // databases kept ready for tenants to come
	Logger         *slog.Logger
	// Migrations, where they are set, stand in for the tenants' own, so that a
	// test can be another release.
	Migrations []*gormigrate.Migration
	// AnySchema lets Open look at a core database of another schema than this
	// code's; nothing may be changed then.
	AnySchema bool
	// OnStep, where it is set, is called after each step of making and deleting
	// a tenant, so that a test can stop the process just there.
	OnStep func(Step)
	// OnProvisioned, where it is set, is told how each making of a tenant has
	// ended. It must not wait.
	OnProvisioned func(Provisioned)
}

// Manager makes, lends, suspends and deletes the databases of tenants. It is
// safe for use by several goroutines, and by several processes at once.
type Manager struct {
	backend    database.Backend
	roles      database.Roles // nil on an engine without roles
	core       *gorm.DB
	prefix     string
	autoCreate bool
	spares     int
	logger     *slog.Logger
	onStep     func(Step)

	onProvisioned func(Provisioned)
	counts        *counts

	installation models.Installation // tells our databases from those of another core on the same server
	migrations   []*gormigrate.Migration
	version      string // the newest of migrations

	handles   *handles
	slugs     slugLocks // of callers in this process that want to make a tenant
	making    *semaphore.Weighted
	migrating *semaphore.Weighted

	refreshed atomic.Int64       // when the handles' rows were last read, in Unix nanoseconds
	refreshes singleflight.Group // of requests that find them too old

	reported   map[stray]bool // what was warned of; only the tidying looks at it
	unsettled  chan struct{}  // asks for a reconciling before its time
	claimed    chan struct{}  // asks for a refill of the stock
	stop       context.CancelFunc
	background sync.WaitGroup
	isClosed   atomic.Bool
}

// New migrates the core database, finishes what dead processes have left
// half-done, and starts the background work. Close ends it.
func New(ctx context.Context, o Options) (*Manager, error) {
	if err := MigrateCore(ctx, o.Backend, o.DatabasePrefix); err != nil {
		return nil, err
	}
	m, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	m.reconcile(ctx)

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	m.background.Go(func() { m.watch(background) })
	m.background.Go(func() { m.tidy(background) })
	m.background.Go(func() { m.stock(background) })
	return m, nil
}

// Open returns a Manager that does only what it is told, for commands: it
// changes nothing, and starts nothing in the background. It fails with
// database.ErrOlderSchema or database.ErrNewerSchema where the core database
// has another schema than this code. Close ends it.
func Open(ctx context.Context, o Options) (*Manager, error) {
	m := &Manager{
		backend:    o.Backend,
		roles:      o.Backend.Roles(),
		core:       o.Backend.Core(),
		prefix:     o.DatabasePrefix,
		autoCreate: o.AutoCreate,
		spares:     o.Spares,
		logger:     o.Logger,
		onStep:     o.OnStep,
		migrations: o.Migrations,
		making:     semaphore.NewWeighted(maxMaking),
		migrating:  semaphore.NewWeighted(maxMigrating),
		reported:   make(map[stray]bool),
		unsettled:  make(chan struct{}, 1),
		claimed:    make(chan struct{}, 1),
		stop:       func() {},

		onProvisioned: o.OnProvisioned,
		counts:        &counts{},
	}
	if m.migrations == nil {
		m.migrations = migrations.Tenant()
	}
	m.version = database.LatestID(m.migrations)
	if !o.AnySchema {
		if err := m.identify(ctx); err != nil {
			return nil, err
		}
	}
	m.handles = newHandles(o.Backend.MaxOpen(), m, m.counts)
	return m, nil
}

// identify makes sure of core's schema and learns core's own id. The prefix may
// never change: the names of the databases that are being made begin with it, and
// with another those that a dead process has left would not be found.
func (m *Manager) identify(ctx context.Context) error {
	if err := checkCore(ctx, m.backend, m.prefix); err != nil {
		return err
	}
	installation, err := models.FindInstallation(ctx, m.core)
	if err != nil {
		return fmt.Errorf("read the core database's identity: %w", err)
	}
	if installation.DatabasePrefix != m.prefix {
		return fmt.Errorf("the databases of this core begin with %q, and not with %q: set TENANT_DATABASE_PREFIX back",
			installation.DatabasePrefix, m.prefix)
	}
	m.installation = installation
	return nil
}

// Core returns the core database.
func (m *Manager) Core() *gorm.DB {
	return m.core
}

// Ready reports whether the core database answers.
func (m *Manager) Ready(ctx context.Context) error {
	db, err := m.core.DB()
	if err != nil {
		return err
	}
	return db.PingContext(ctx)
}

// Close stops the background work and closes the databases of tenants; it
// waits for those in use until ctx ends. Closing twice does no harm.
func (m *Manager) Close(ctx context.Context) error {
	if m.isClosed.Swap(true) {
		return nil
	}
	m.stop()
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
	return m.handles.shut(ctx)
}

// IsUnavailable reports whether the error says that a database is out of
// reach, rather than that something is wrong with what it was asked.
func IsUnavailable(err error) bool {
	return database.IsUnavailable(err)
}

// IsBusy reports whether the error says that no connection was free, be it to a
// tenant's database or to core.
func IsBusy(err error) bool {
	return errors.Is(err, database.ErrBusy)
}
