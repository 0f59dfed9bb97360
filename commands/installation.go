package commands

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"multitenant/config"
	"multitenant/database"
	"multitenant/tenants"
)

const closeTimeout = 2 * time.Second

// installation is what the settings lead to: a log, and an engine with the
// core database open on it.
type installation struct {
	config     config.Config
	logger     *slog.Logger
	flush      func() // writes the last of the log
	backend    database.Backend
	invocation *Invocation
}

// enter reads the settings and opens the core database. Close ends it.
func enter(ctx context.Context, inv *Invocation) (*installation, error) {
	cfg, err := config.Load(inv.Environ, ".")
	if err != nil {
		return nil, fmt.Errorf("settings:\n%w", err)
	}
	logger, flush := newLogger(inv.Stderr, cfg.LogLevel, cfg.LogFormat)
	cfg.Database.Logger = logger
	backend, err := database.Open(ctx, cfg.Database)
	if err != nil {
		flush()
		return nil, err
	}
	return &installation{config: cfg, logger: logger, flush: flush, backend: backend, invocation: inv}, nil
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

func (in *installation) closeManager(ctx context.Context, manager *tenants.Manager) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
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
