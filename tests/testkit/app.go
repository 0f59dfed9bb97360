// Package testkit starts the whole application for black-box tests: the real
// router on real databases, spoken to over HTTP.
package testkit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/backups"
	"multitenant/backups/export"
	"multitenant/commands"
	"multitenant/commands/metrics"
	"multitenant/commands/server"
	"multitenant/controllers"
	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/pgtest"
)

// Secret is the key that tests sign tokens with.
const Secret = "a test secret of at least thirty-two bytes"

// Engine is one of the two engines; its text names the sub-test.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Settings are what a test may choose. The zero value of all but the database
// is right for most.
type Settings struct {
	Database       database.Options
	Engine         Engine
	NoAutoCreate   bool
	Spares         int
	SlugRest       time.Duration           // of deleted tenants; by default their slugs are free at once
	OnStep         func(tenants.Step)      `json:"-"`
	Migrations     []*gormigrate.Migration `json:"-"` // of tenants, to be another release
	AllowedOrigins []string
	TrustedProxies []string
	AuditKeep      time.Duration // of events; by default for good
	Backups        string        // the folder of backups; by default none are kept
	KeepReplaced   time.Duration // of replaced databases; by default an hour
	Admin          string        `json:"-"` // the URL of a superuser, for what others do to the server
	OpenFiles      int           // how many a process of its own may have open; zero: as many as this one
	Quiet          bool          // logs and limits clients as main does, but logs to nowhere: for benchmarks
	Metrics        bool          // exports metrics, see Scrape
	// SessionLifetime is how long sessions last; zero means 90 days.
	SessionLifetime time.Duration `json:"-"`
	// NoBlocklist lets users have the commonest passwords.
	NoBlocklist bool `json:"-"`
	// CoreRegistration is open by default.
	CoreRegistration models.Registration `json:"-"`
	// Limits are none by default, so that tests may do what they like.
	Limits *limits.Options `json:"-"`
	// Passwords are hashed cheaply by default, and whoever waits for it does so for long.
	Passwords auth.PasswordOptions `json:"-"`
	// Variables are added to the environment of commands. Those of backups also say where
	// the application keeps last backups.
	Variables map[string]string
	// Now is the clock of tokens and sessions, and Keys sign and verify tokens: the
	// first signs, Secret alone where there are none.
	Now  func() time.Time `json:"-"`
	Keys []string         `json:"-"`

	// OnCore, if set, is given the core database before any other work is done on it.
	OnCore func(core *gorm.DB) `json:"-"`

	// SQL returns core for the core database of coreURL: a session of PostgreSQL takes long.
	core    *sql.DB
	coreURL string
}

// App is a running application.
type App struct {
	Settings Settings
	URL      string
	Tenants  *tenants.Manager
	Backend  database.Backend
	Status   *controllers.Status
	Log      *Log
	TokenKit *auth.Tokens
	Hashing  *auth.Passwords
	Metrics  *metrics.Metrics // nil without the setting
	Exports  *export.Exports  // nil without the setting of backups

	kept   *backups.Backups                  // nil without the setting
	rest   func()                            // ends the worker
	clock  *atomic.Pointer[func() time.Time] // of a lent application, see SetClock
	server *httptest.Server                  // nil where the application is another process
	client *http.Client
	tb     testing.TB
}

// Each runs the test on both engines, in parallel, each with an application and
// databases of its own.
func Each(t *testing.T, test func(t *testing.T, app *App)) {
	t.Helper()
	EachEngine(t, func(t *testing.T, settings Settings) {
		t.Helper()
		test(t, Start(t, settings))
	})
}

// EachEngine runs the test on both engines, in parallel, each with settings
// that name fresh databases.
func EachEngine(t *testing.T, test func(t *testing.T, settings Settings)) {
	t.Helper()
	onEach(t, func(t *testing.T, engine Engine) {
		t.Helper()
		test(t, Fresh(t, engine))
	})
}

func onEach(t *testing.T, test func(t *testing.T, engine Engine)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []Engine{SQLite, Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// Fresh returns settings that name a new, empty core database.
func Fresh(tb testing.TB, engine Engine) Settings {
	tb.Helper()
	settings := Settings{Engine: engine, Database: database.Options{
		// Its own prefix keeps a test's databases apart on a shared server.
		TenantPrefix:   "t" + strings.ToLower(rand.Text()[:8]) + "_",
		MaxConnections: 30,
	}}
	if engine == Postgres {
		settings.Database.URL, settings.Admin = pgtest.Database(tb), pgtest.Server(tb)
		settings.coreURL = settings.Database.URL
		settings.core = settings.open(tb, settings.CoreName())
	} else {
		settings.Database.URL = "sqlite://" + filepath.Join(tb.TempDir(), "data", "core.db")
	}
	return settings
}

// Start starts an application and ends it with the test. Several may be started
// on the same settings: they are replicas then.
func Start(tb testing.TB, settings Settings) *App {
	tb.Helper()
	app, err := Open(tb, settings)
	require.NoError(tb, err)
	return app
}

// Open is Start for those who expect an error.
func Open(tb testing.TB, settings Settings) (*App, error) {
	tb.Helper()
	app := &App{Settings: settings, Log: &Log{}, tb: tb}
	logger := slog.New(slog.NewTextHandler(app.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if settings.Quiet {
		logger, _ = commands.NewLogger(io.Discard, slog.LevelInfo, "text")
	}
	settings.Database.Logger = logger

	var err error
	if app.Backend, err = connect.Open(tb.Context(), settings.Database); err != nil {
		return nil, err
	}
	if settings.OnCore != nil {
		settings.OnCore(app.Backend.Core())
	}
	options := tenants.Options{
		Backend:        app.Backend,
		DatabasePrefix: settings.Database.TenantPrefix,
		AutoCreate:     !settings.NoAutoCreate,
		Spares:         settings.Spares,
		SlugRest:       settings.SlugRest,
		AuditKeep:      settings.AuditKeep,
		KeepReplaced:   cmp.Or(settings.KeepReplaced, time.Hour),
		Logger:         logger,
		OnStep:         settings.OnStep,
		Migrations:     settings.Migrations,
	}
	if text := settings.Variables["BACKUP_URL"]; text != "" {
		options.LastBackups = settings.lastBackups(tb, text)
	}
	if settings.Metrics {
		app.Metrics = metrics.New()
		options.OnProvisioned = app.Metrics.Provisioned
	}
	app.Tenants, err = tenants.New(tb.Context(), options)
	if err != nil {
		require.NoError(tb, app.Backend.Close())
		return nil, err
	}
	app.Status = &controllers.Status{Tenants: app.Tenants}
	app.TokenKit, err = auth.NewTokens(settings.tokens(app.Tenants.InstallationID()))
	require.NoError(tb, err)
	app.work(options)
	app.serve(logger)
	tb.Cleanup(app.Close)
	return app, nil
}

func (s *Settings) tokens(installation string) auth.TokenOptions {
	options := auth.TokenOptions{
		Secret: []byte(Secret), Installation: installation, Algorithm: "HS256", Lifetime: 30 * time.Minute, RefreshLifetime: 30 * 24 * time.Hour, Now: s.Now,
		SessionLifetime: cmp.Or(s.SessionLifetime, 90*24*time.Hour),
	}
	for i, key := range s.Keys {
		if i == 0 {
			options.Secret = []byte(key)
			continue
		}
		options.PreviousSecrets = append(options.PreviousSecrets, []byte(key))
	}
	return options
}

func (app *App) serve(logger *slog.Logger) {
	if app.Settings.Passwords.Cost == 0 {
		app.Settings.Passwords.Cost, app.Settings.Passwords.Wait = 4, 30*time.Second
	}
	passwords, err := auth.NewPasswords(app.Settings.Passwords)
	require.NoError(app.tb, err)
	app.Hashing = passwords
	options := &controllers.Options{
		Tenants:        app.Tenants,
		Tokens:         app.TokenKit,
		Passwords:      passwords,
		Status:         app.Status,
		Logger:         logger,
		Limits:         limits.New(app.Settings.Limits),
		Backups:        app.kept,
		Exports:        app.Exports,
		AllowedOrigins: app.Settings.AllowedOrigins,
		TrustedProxies: app.Settings.TrustedProxies,

		PasswordRules:    models.PasswordRules{Blocklist: !app.Settings.NoBlocklist},
		CoreRegistration: cmp.Or(app.Settings.CoreRegistration, models.RegistrationOpen),
	}
	if app.Metrics != nil {
		app.Metrics.Watch(app.Tenants, app.Backend)
		options.Meter = app.Metrics
	}
	router, err := controllers.NewRouter(options)
	require.NoError(app.tb, err)
	app.server = httptest.NewUnstartedServer(router)
	if app.Settings.Quiet {
		app.server.Config = server.New(router, logger)
	}
	app.server.Start()
	app.client = app.server.Client()
	app.URL = app.server.URL
}

// Close ends the application as main does. Closing twice does no harm.
func (app *App) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's own has ended when Cleanup runs
	defer cancel()
	app.server.CloseClientConnections()
	app.server.Close()
	app.rest()
	require.NoError(app.tb, app.Tenants.Close(ctx))
	_ = app.Backend.Close() // the server may be gone, as a test of faults wants it
}

// Log keeps what the application logged.
type Log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

var _ io.Writer = (*Log)(nil)

// Write adds to the log.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// String returns all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *Log) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}
