package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"multitenant/backups"
	"multitenant/config"
	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tenants"
	"multitenant/tenants/fleet"
)

// commandCloseTimeout is longer than undoing a tenant takes, because no request
// waits for the end of a command.
const commandCloseTimeout = 25 * time.Second

// installation has the settings, a log, and an engine with the open core database.
type installation struct {
	config     config.Config
	logger     *slog.Logger
	flush      func() // writes the last of the log
	backend    database.Backend
	invocation *Invocation
}

// openInstallation reads the settings with load and opens the core database, which
// must exist if existing is true. The caller must call close.
func openInstallation(
	ctx context.Context, inv *Invocation, load func(map[string]string, string) (config.Config, error), existing bool,
) (*installation, error) {
	cfg, err := inv.settings(load)
	if err != nil {
		return nil, err
	}
	cfg.Database.Existing = existing
	logger, flush := NewLogger(inv.Stderr, cfg.LogLevel, cfg.LogFormat)
	cfg.Database.Logger = logger
	backend, err := connect.Open(ctx, cfg.Database)
	if err != nil {
		flush()
		if !errors.Is(err, database.ErrNotExist) { // that says what to run
			err = withHint(err, "DATABASE_URL says where core is: is it right, and does its server run?")
		}
		return nil, err
	}
	return &installation{config: cfg, logger: logger, flush: flush, backend: backend, invocation: inv}, nil
}

// settings reads the settings with load.
func (inv *Invocation) settings(load func(map[string]string, string) (config.Config, error)) (config.Config, error) {
	cfg, err := load(inv.Environ, ".")
	if err != nil {
		return config.Config{}, withHint(&settingsError{fmt.Errorf("settings:\n%w", err)},
			"set them in the environment or in .env.local; .env and docs/settings.md explain each")
	}
	return cfg, nil
}

// withManager is withInstallation for a command that needs nothing else.
func withManager(ctx context.Context, inv *Invocation, do func(*tenants.Manager) error) error {
	return withInstallation(ctx, inv, func(_ *installation, m *tenants.Manager) error { return do(m) })
}

// withInstallation opens the installation and a Manager for a command, calls do and
// closes both.
func withInstallation(ctx context.Context, inv *Invocation, do func(*installation, *tenants.Manager) error) error {
	in, err := openInstallation(ctx, inv, config.LoadKeyless, true)
	if err != nil {
		return err
	}
	defer in.close()
	manager, err := tenants.Open(ctx, in.options())
	if err != nil {
		return err
	}
	defer in.closeManager(ctx, manager, commandCloseTimeout)
	return do(in, manager)
}

// withFleet opens the installation and its fleet for a command, calls do and closes
// the installation. With anySchema the core database may have any schema, and the
// command must change nothing.
func withFleet(ctx context.Context, inv *Invocation, anySchema bool, do func(*fleet.Fleet) error) error {
	return withInstalledFleet(ctx, inv, anySchema, func(_ *installation, all *fleet.Fleet) error { return do(all) })
}

// withInstalledFleet is withFleet for a command that needs the installation, too.
func withInstalledFleet(ctx context.Context, inv *Invocation, anySchema bool, do func(*installation, *fleet.Fleet) error) error {
	in, err := openInstallation(ctx, inv, config.LoadKeyless, true)
	if err != nil {
		return err
	}
	defer in.close()
	options := in.options()
	options.AnySchema = anySchema
	all, err := fleet.Open(ctx, options)
	if err != nil {
		return err
	}
	return do(in, all)
}

// options are the options of a Manager or a fleet of the installation.
func (in *installation) options() tenants.Options {
	options := tenants.Options{
		Backend:        in.backend,
		DatabasePrefix: in.config.Database.TenantPrefix,
		AutoCreate:     in.config.TenantAutoCreate,
		Spares:         in.config.TenantSpares,
		SlugRest:       in.config.TenantSlugRest,
		AuditKeep:      in.config.AuditKeep,
		KeepReplaced:   in.config.KeepReplaced,
		Logger:         in.logger,
		Migrations:     in.invocation.Migrations,
		OnStep:         in.invocation.OnStep,
	}
	if !in.config.Backups.Place.IsNone() {
		options.LastBackups = in.lastBackups()
	}
	return options
}

func (in *installation) lastBackups() *backups.Last {
	kept := &in.config.Backups
	return backups.NewLast(kept.Place, kept.Keys, kept.Recipients, kept.PgDump)
}

func (in *installation) closeManager(ctx context.Context, manager *tenants.Manager, limit time.Duration) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	in.logFailure(manager.Close(closing))
}

func (in *installation) close() {
	in.logFailure(in.backend.Close())
	in.flush()
}

func (in *installation) logFailure(err error) {
	if err != nil {
		in.logger.Error("close", "error", err)
	}
}
