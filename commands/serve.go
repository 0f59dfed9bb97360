package commands

import (
	"context"
	"fmt"
	"net/http"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/commands/metrics"
	"multitenant/commands/server"
	"multitenant/config"
	"multitenant/controllers"
	"multitenant/tenants"
	"multitenant/version"
)

const (
	// leaveDelay is how long the service still accepts requests after it has
	// said that it is not ready, so that a load balancer can notice.
	leaveDelay      = time.Second
	shutdownTimeout = 10 * time.Second
	// serveCloseTimeout bounds the closing of what tenants still have open.
	serveCloseTimeout = 2 * time.Second

	// gcPercent suits a small heap that serves many short requests: Go's own 100
	// would collect it hundreds of times a minute. GOGC overrides it.
	gcPercent = 400
)

type serveCommand struct{}

// Help describes the command.
func (serveCommand) Help() string {
	return "Migrates the core database and answers requests until it is told to stop by SIGTERM or SIGINT. " +
		"Meanwhile it removes what a killed process left half-made."
}

// Run serves until ctx ends.
func (serveCommand) Run(ctx context.Context, inv *Invocation) error {
	if inv.Environ["GOGC"] == "" {
		debug.SetGCPercent(gcPercent)
	}
	signal.Ignore(syscall.SIGPIPE) // the reader of the log may end before the server
	ports, err := openPorts(ctx, inv)
	if err != nil {
		return err
	}
	defer ports.close()
	in, err := openInstallation(ctx, inv, config.Load, false)
	if err != nil {
		return err
	}
	defer in.close()
	options := in.options()
	exported := newMetrics(&in.config)
	if exported != nil {
		options.OnProvisioned = exported.Provisioned
	}
	manager, err := tenants.New(ctx, options)
	if err != nil {
		return err
	}
	defer in.closeManager(ctx, manager, serveCloseTimeout)

	work, err := in.startWork(ctx, manager)
	if err != nil {
		return err
	}
	defer work.stop(ctx)
	status := &controllers.Status{Tenants: manager}
	handler, err := newHandler(in, manager, status, exported, work) //nolint:contextcheck // requests bring their own
	if err != nil {
		return err
	}
	if exported != nil && work.schedule != nil {
		exported.Backups = work.schedule.Figures
	}
	defer in.serveMetrics(ctx, ports.metrics, exported, manager)()
	return in.serve(ctx, ports, handler, status)
}

// ports are the program's addresses.
type ports struct {
	api     *server.Server
	metrics *server.Server // nil where the settings want none
}

// openPorts begins to listen, and makes nothing else: a program whose port is taken leaves
// no token key, no folder and no table behind.
func openPorts(ctx context.Context, inv *Invocation) (*ports, error) {
	cfg, err := inv.settings(config.LoadKeyless)
	if err != nil {
		return nil, err
	}
	opened := &ports{}
	if opened.api, err = server.Listen(ctx, cfg.HTTPAddr); err != nil || cfg.MetricsAddr == "" {
		return opened, withHint(err, "HTTP_ADDR says where the API listens: choose an address that is free")
	}
	if opened.metrics, err = server.Listen(ctx, cfg.MetricsAddr); err != nil {
		opened.close()
		return nil, withHint(fmt.Errorf("metrics: %w", err), "METRICS_ADDR says where they are served: choose an address that is free")
	}
	return opened, nil
}

func (p *ports) close() {
	p.api.Close()
	if p.metrics != nil {
		p.metrics.Close()
	}
}

// newHandler wires the API together.
func newHandler(
	in *installation, manager *tenants.Manager, status *controllers.Status, exported *metrics.Metrics, work *work,
) (http.Handler, error) {
	options := in.config.Tokens
	options.Installation = manager.InstallationID()
	tokens, err := auth.NewTokens(options)
	if err != nil {
		return nil, err
	}
	passwords, err := auth.NewPasswords(in.config.Passwords)
	if err != nil {
		return nil, err
	}
	router := &controllers.Options{
		Tenants:   manager,
		Tokens:    tokens,
		Passwords: passwords,
		Status:    status,
		Logger:    in.logger,
		Limits:    limits.New(in.config.Limits),
		Backups:   work.backups,
		Exports:   work.exports,

		PasswordRules:    in.config.PasswordRules,
		CoreRegistration: in.config.CoreRegistration,
		AllowedOrigins:   in.config.CORSAllowedOrigins,
		TrustedProxies:   in.config.TrustedProxies,
	}
	if exported != nil {
		router.Meter = exported
	}
	return controllers.NewRouter(router)
}

// serve answers requests until ctx ends, then lets those under way finish.
func (in *installation) serve(ctx context.Context, ports *ports, handler http.Handler, status *controllers.Status) error {
	api := ports.api
	api.Serve(handler, in.logger)
	in.announce(ctx, ports)

	select {
	case <-api.Ended():
		return api.Err()
	case <-ctx.Done():
	}
	status.Leave()
	api.Leave()
	in.logger.InfoContext(ctx, "stopping")
	<-time.After(leaveDelay)
	if err := api.Stop(ctx, shutdownTimeout); err != nil {
		in.logger.WarnContext(ctx, "stop", "error", err) // their clients were slow; the stop is still in order
	}
	return nil
}

// announce names in one line, as a rule the first of the log, the addresses, the program and
// its data. It holds no secret. Warnings about the settings follow.
func (in *installation) announce(ctx context.Context, ports *ports) {
	url := ports.api.URL()
	told := []any{"api", url, "docs", url + "/docs", "console", url + "/console"}
	if ports.metrics != nil {
		told = append(told, "metrics", ports.metrics.URL()+"/metrics")
	}
	told = append(told, "version", version.Read().Number, "engine", in.backend.Core().Name(), "data", in.backend.Place())
	in.logger.InfoContext(ctx, "serving", told...)
	for _, warning := range in.config.Warnings {
		in.logger.WarnContext(ctx, "settings", "warning", warning)
	}
}

// metricsShutdownTimeout is short: it comes on top of the API's, and what a
// scrape cut off would have told the next process tells too.
const metricsShutdownTimeout = time.Second

// newMetrics returns nil where the settings want none.
func newMetrics(cfg *config.Config) *metrics.Metrics {
	if cfg.MetricsAddr == "" {
		return nil
	}
	return metrics.New()
}

// serveMetrics answers Prometheus on an address of its own until stop is called,
// which lets a scrape under way finish. Without metrics it does nothing.
func (in *installation) serveMetrics(
	ctx context.Context, api *server.Server, exported *metrics.Metrics, manager *tenants.Manager,
) (stop func()) {
	if exported == nil {
		return func() {}
	}
	exported.Watch(manager, in.backend)
	api.Serve(exported.Handler(in.logger), in.logger)
	go func() {
		<-api.Ended()
		// The API goes on without: only the operator misses them.
		if !api.IsLeaving() {
			in.logger.ErrorContext(ctx, "serve metrics", "error", api.Err())
		}
	}()
	return func() { in.logFailure(api.Stop(ctx, metricsShutdownTimeout)) }
}
