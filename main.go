// Command multitenant serves the Multi-Tenant API: a backend with one core
// database and a database for each tenant.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"multitenant/auth"
	"multitenant/config"
	"multitenant/controllers"
	"multitenant/database"
	"multitenant/tenants"
)

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10

	// leaveDelay is how long the service still accepts requests after it has
	// said that it is not ready, so that whoever routes to it can notice.
	leaveDelay      = time.Second
	shutdownTimeout = 10 * time.Second
	closeTimeout    = 2 * time.Second

	// gcPercent suits a small heap that serves many short requests: Go's own 100
	// would collect it hundreds of times a minute. GOGC overrides it.
	gcPercent = 400
)

func main() {
	if err := run(context.Background(), environ(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends or the process is told to stop; a second signal
// ends it at once.
func run(ctx context.Context, environ map[string]string, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	if environ["GOGC"] == "" {
		debug.SetGCPercent(gcPercent)
	}
	cfg, err := config.Load(environ, ".")
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	logger, flush := newLogger(stderr, cfg.LogLevel, cfg.LogFormat)
	defer flush()
	cfg.Database.Logger = logger

	backend, err := database.Open(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer func() { logFailure(logger, backend.Close()) }()
	manager, err := tenants.New(ctx, tenants.Options{
		Backend:        backend,
		DatabasePrefix: cfg.Database.TenantPrefix,
		AutoCreate:     cfg.TenantAutoCreate,
		Logger:         logger,
	})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		logFailure(logger, manager.Close(closing))
	}()

	status := &controllers.Status{Tenants: manager}
	handler, err := newHandler(&cfg, logger, manager, status) //nolint:contextcheck // requests bring their own
	if err != nil {
		return err
	}
	return serve(ctx, cfg.HTTPAddr, handler, status, logger)
}

// newHandler wires the API together.
func newHandler(
	cfg *config.Config, logger *slog.Logger, manager *tenants.Manager, status *controllers.Status,
) (http.Handler, error) {
	tokens, err := auth.NewTokens(cfg.Tokens)
	if err != nil {
		return nil, err
	}
	passwords, err := auth.NewPasswords(cfg.Passwords)
	if err != nil {
		return nil, err
	}
	return controllers.NewRouter(&controllers.Options{
		Tenants:        manager,
		Tokens:         tokens,
		Passwords:      passwords,
		Status:         status,
		Logger:         logger,
		AllowedOrigins: cfg.CORSAllowedOrigins,
		TrustedProxies: cfg.TrustedProxies,
	})
}

// serve answers requests until ctx ends, then lets those under way finish.
func serve(ctx context.Context, addr string, handler http.Handler, status *controllers.Status, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	base := "http://" + listener.Addr().String()
	logger.InfoContext(ctx, "serving", "api", base, "docs", base+"/docs")

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	logger.InfoContext(ctx, "stopping")
	status.Leave()
	<-time.After(leaveDelay)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		return errors.Join(fmt.Errorf("stop serving: %w", err), server.Close())
	}
	return nil
}

func logFailure(logger *slog.Logger, err error) {
	if err != nil {
		logger.Error("close", "error", err)
	}
}

func environ() map[string]string {
	variables := make(map[string]string)
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		variables[name] = value
	}
	return variables
}
