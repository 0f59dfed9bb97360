package commands

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"multitenant/config"
	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tenants"
)

// commandCloseTimeout is longer than undoing a tenant takes: after a command,
// nobody else waits.
const commandCloseTimeout = 25 * time.Second

// installation is what the settings lead to: a log, and an engine with the
// core database open on it.
type installation struct {
	config     config.Config
	logger     *slog.Logger
	flush      func() // writes the last of the log
	backend    database.Backend
	invocation *Invocation
}

// enter reads the settings by load and opens the core database, which must exist
// if existing says so. Close ends it.
func enter(
	ctx context.Context, inv *Invocation, load func(map[string]string, string) (config.Config, error), existing bool,
) (*installation, error) {
	cfg, err := load(inv.Environ, ".")
	if err != nil {
		return nil, &settingsError{fmt.Errorf("settings:\n%w", err)}
	}
	cfg.Database.Existing = existing
	logger, flush := NewLogger(inv.Stderr, cfg.LogLevel, cfg.LogFormat)
	cfg.Database.Logger = logger
	backend, err := connect.Open(ctx, cfg.Database)
	if err != nil {
		flush()
		return nil, err
	}
	return &installation{config: cfg, logger: logger, flush: flush, backend: backend, invocation: inv}, nil
}

// withManager does what a command does with an opened Manager, between entering
// the installation and leaving it.
func withManager(ctx context.Context, inv *Invocation, anySchema bool, do func(*tenants.Manager) error) error {
	in, err := enter(ctx, inv, config.LoadKeyless, true)
	if err != nil {
		return err
	}
	defer in.close()
	return in.manage(ctx, anySchema, do)
}

func (in *installation) manage(ctx context.Context, anySchema bool, do func(*tenants.Manager) error) error {
	options := in.options()
	options.AnySchema = anySchema
	manager, err := tenants.Open(ctx, options)
	if err != nil {
		return err
	}
	defer in.closeManager(ctx, manager, commandCloseTimeout)
	return do(manager)
}

// options are for a Manager of the installation.
func (in *installation) options() tenants.Options {
	return tenants.Options{
		Backend:        in.backend,
		DatabasePrefix: in.config.Database.TenantPrefix,
		AutoCreate:     in.config.TenantAutoCreate,
		Spares:         in.config.TenantSpares,
		Logger:         in.logger,
		Migrations:     in.invocation.Migrations,
	}
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
