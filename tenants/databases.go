package tenants

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

// lockTimeout bounds how long Lock and TryLock wait.
const lockTimeout = 5 * time.Second

// Databases knows the databases of all tenants: their names, locks, logins and
// roles, how to open and migrate them, how to remove what is unfinished, and how
// to find what is unexplained. A Manager and a fleet.Fleet stand on it. It keeps
// nothing open and is safe for concurrent use. Its fields must not be changed.
type Databases struct {
	Backend    database.Backend
	Roles      database.Roles // nil on an engine without roles
	Core       *gorm.DB
	Prefix     string                  // of the tenant databases' names
	Migrations []*gormigrate.Migration // of tenant databases
	Version    string                  // the newest of Migrations
	Logger     *slog.Logger

	installation models.Installation // tells our databases from those of another core on the same server

	// A Manager sets these; otherwise they do nothing.
	step    func(Step)                           // is called after each step of making and deleting
	drain   func(ctx context.Context, id string) // closes the tenant's open handle before its database is dropped
	deleted func()                               // counts a deleted tenant
}

// OpenDatabases reads the core's identity and changes nothing. With o.AnySchema
// it reads nothing. It returns database.ErrOlderSchema or
// database.ErrNewerSchema if the core database has another schema than this code.
func OpenDatabases(ctx context.Context, o Options) (*Databases, error) {
	d := &Databases{
		Backend:    o.Backend,
		Roles:      o.Backend.Roles(),
		Core:       o.Backend.Core(),
		Prefix:     o.DatabasePrefix,
		Migrations: o.Migrations,
		Logger:     o.Logger,
		step:       func(Step) {},
		drain:      func(context.Context, string) {},
		deleted:    func() {},
	}
	if d.Migrations == nil {
		d.Migrations = migrations.Tenant()
	}
	d.Version = database.LatestID(d.Migrations)
	if o.AnySchema {
		return d, nil
	}
	return d, d.Identify(ctx)
}

// Identify checks the core's schema and reads the core's own id, where core was opened
// with Options.AnySchema. The prefix may never change: the names of unfinished databases
// begin with it, and another prefix would not find those that a dead process has left.
func (d *Databases) Identify(ctx context.Context) error {
	if err := d.CheckCore(ctx); err != nil {
		return err
	}
	installation, err := models.FindInstallation(ctx, d.Core)
	if err != nil {
		return fmt.Errorf("read the core database's identity: %w", err)
	}
	if installation.DatabasePrefix != d.Prefix {
		return fmt.Errorf("the databases of this core begin with %q, and not with %q: set TENANT_DATABASE_PREFIX back",
			installation.DatabasePrefix, d.Prefix)
	}
	d.installation = installation
	return nil
}

// InstallationID returns the random id of the core database, which all its processes
// share and no other installation has.
func (d *Databases) InstallationID() string { return d.installation.ID }

// CheckCore returns database.ErrOlderSchema or database.ErrNewerSchema if the
// core database has another schema than this code, with advice for the operator.
func (d *Databases) CheckCore(ctx context.Context) error {
	applied, err := database.Applied(ctx, d.Core)
	if err == nil {
		err = database.CheckSchema(applied, migrations.Core(d.Prefix))
	}
	switch {
	case errors.Is(err, database.ErrOlderSchema):
		return fmt.Errorf("core %w: run migrate first", err)
	case errors.Is(err, database.ErrNewerSchema):
		return fmt.Errorf("core %w: use that version or a later one", err)
	case err != nil:
		return fmt.Errorf("core database: %w", err)
	}
	return nil
}

// Lock takes the tenant's lock, which every process respects. It waits for at most
// 5 seconds and then returns an error of KindBusy.
func (d *Databases) Lock(ctx context.Context, id string) (database.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	session, err := d.Backend.Lock(ctx, LockKey(id))
	return session, lockError(ctx, err)
}

// TryLock is Lock if the tenant's lock is free, which it reports. It waits only while
// this process holds as many locks as it may.
func (d *Databases) TryLock(ctx context.Context, id string) (session database.Session, free bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	session, free, err = d.Backend.TryLock(ctx, LockKey(id))
	return session, free, lockError(ctx, err)
}

func lockError(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return models.ErrBusy.Because(err)
	}
	return err
}

// LockKey returns the name of the lock of the tenant with that id.
func LockKey(id string) string { return "tenant " + id }

// PrivateName returns the name of the tenant's database before a tenant has
// claimed it. It is no tenant's public name, since no slug begins with an
// underscore.
func (d *Databases) PrivateName(id string) string {
	return d.PrivatePrefix(DatabaseNoun) + shortID(id)
}

// publicName returns the name that a tenant's database gets when the tenant claims it. It is
// made of the slug alone, unless a tenant that once had the slug has a database of that name.
func (d *Databases) publicName(ctx context.Context, id string, slug models.Slug) (string, error) {
	name := d.Prefix + string(slug)
	taken, err := models.HasDatabase(ctx, d.Core, name)
	if err != nil || !taken {
		return name, err
	}
	end := "_" + shortID(id)
	return name[:min(len(name), maxDatabaseNameBytes-1-len(end))] + end, nil
}

// roleName returns the name of the tenant's role, whether it has one or not.
func (d *Databases) roleName(id string) string {
	return d.PrivatePrefix(RoleNoun) + shortID(id)
}

// PrivatePrefix begins the names that only this core gives to things of that
// noun. The core's id is in it, so several installations can share a server.
func (d *Databases) PrivatePrefix(noun string) string {
	kind := "spare"
	if noun == RoleNoun {
		kind = "role"
	}
	return d.Prefix + "_" + kind + "_" + strings.ReplaceAll(d.installation.ID, "-", "")[:12] + "_"
}

func shortID(id string) string { return strings.ReplaceAll(id, "-", "")[:16] }

// Step names a point between two steps of making or deleting a tenant, at which
// a process may die.
type Step string

// The steps, in their order.
const (
	StepLocked   Step = "locked"   // the tenant's lock is held, nothing is written
	StepReserved Step = "reserved" // the registry's row and the role exist
	StepCreated  Step = "created"  // the database exists under its private name, empty
	StepBuilt    Step = "built"    // it is migrated and stamped
	StepSpare    Step = "spare"    // it is a spare, which no tenant has claimed
	StepNamed    Step = "named"    // a tenant has claimed it: there is a slug, and the organization's row
	StepSeeded   Step = "seeded"   // its first rows are written
	StepReady    Step = "ready"    // it has its public name, and requests are admitted
	StepMarked   Step = "marked"   // it is marked for deletion, and requests are refused
	StepKept     Step = "kept"     // the last backup that was due is made
	StepDropped  Step = "dropped"  // the database is gone
	StepDeleted  Step = "deleted"  // the rows are gone
	StepFenced   Step = "fenced"   // a database that is to be replaced takes no writes
	StepClosed   Step = "closed"   // on SQLite it takes none for good; core does not say so yet
)
