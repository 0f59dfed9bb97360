package tests_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/database/migrations"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// onCluster are settings for a cluster of the test's own.
func onCluster(t testing.TB, cluster *pgtest.Cluster) testkit.Settings {
	t.Helper()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Engine, settings.Database.URL, settings.Admin = testkit.Postgres, cluster.Database(t), cluster.URL()
	return settings
}

// TestPostgresGoesAndComesBack, in order and by being killed, while people are
// at work.
func TestPostgresGoesAndComesBack(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	app := testkit.Start(t, onCluster(t, cluster))
	l := newLoad(t, app)

	for _, end := range []func() error{cluster.Stop, cluster.Kill} {
		l.await(t, 10, l.registrations)
		require.NoError(t, end())
		l.await(t, 5, l.refusals)
		require.Equal(t, http.StatusOK, app.Get("/health", "").Code)
		app.Get("/ready", "").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")
		require.NoError(t, cluster.Start())
		l.requireRecovery(t)
	}

	l.requireKept(t)
}

// TestPostgresIsSilent: the network swallows everything, and says so to nobody.
func TestPostgresIsSilent(t *testing.T) {
	t.Parallel()
	proxy, settings := testkit.StartProxy(t, testkit.Fresh(t, testkit.Postgres))
	app := testkit.Start(t, settings)
	l := newLoad(t, app)

	l.await(t, 10, l.registrations)
	proxy.Hold()
	begun := time.Now()
	require.Equal(t, http.StatusOK, app.Get("/health", "").Code)
	require.Less(t, time.Since(begun), slack)
	app.Get("/ready", "").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")
	l.await(t, 4, l.refusals)
	proxy.Release()
	l.requireRecovery(t)

	l.requireKept(t)
}

func TestCoreIsNotThere(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Database.URL += "&application_name=nobody"
	missing := settings
	missing.Database.URL = replaceDatabase(t, settings.Database.URL, "nowhere")

	_, err := testkit.Open(t, missing)

	require.ErrorContains(t, err, `core database "nowhere" does not exist`)
	require.NotContains(t, err.Error(), "password")
	_, err = connect.Open(t.Context(), database.Options{URL: "postgres://a:secret@127.0.0.1:1/core", MaxConnections: 40})
	require.ErrorContains(t, err, "core database")
	require.NotContains(t, err.Error(), "secret")
}

const nicknameID = "209901010000_add_nickname"

// withNickname is the program with one more migration, which fails where the column is.
func withNickname(settings testkit.Settings) testkit.Settings {
	return nextRelease(settings, &gormigrate.Migration{
		ID:      nicknameID,
		Migrate: func(tx *gorm.DB) error { return tx.Exec("ALTER TABLE tenant_users ADD COLUMN nickname text").Error },
	})
}

// setBack makes acme look like a tenant that the last version has left: the last
// migration is not recorded.
func setBack(t *testing.T, settings testkit.Settings) {
	t.Helper()
	settings.Exec(t, settings.CoreName(),
		"UPDATE tenants SET schema_version = '"+database.LatestID(migrations.Tenant())+"' WHERE slug = 'acme'")
	settings.Exec(t, settings.DatabaseName("acme"), "DELETE FROM schema_migrations WHERE id = '"+nicknameID+"'")
}

// makeWay takes out of acme what keeps that migration from running.
func makeWay(t *testing.T, settings testkit.Settings) {
	t.Helper()
	settings.Exec(t, settings.DatabaseName("acme"), "ALTER TABLE tenant_users RENAME COLUMN nickname TO in_the_way")
}

// TestAMigrationFails: that tenant is out of service, its schema is as it was,
// and the registry says why; nobody else notices, and once it is repaired it
// works.
func TestAMigrationFails(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings = withNickname(settings)
		p := newPair(t, settings)
		p.Close()
		setBack(t, settings)
		before := settings.Dump(t, p.acmeDB)
		p.App = testkit.Start(t, settings)

		p.requireUnavailable(t, p.App, "acme", p.acme)

		require.Equal(t, before, settings.Dump(t, p.acmeDB), "a failed migration has left something")
		require.Contains(t, testkit.Scalar[string](t, &settings, settings.CoreName(),
			"SELECT error FROM tenants WHERE slug = 'acme'"), "nickname")
		require.Empty(t, testkit.Scalar[string](t, &settings, settings.CoreName(),
			"SELECT error FROM tenants WHERE slug = 'globex'"))
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")

		makeWay(t, settings)
		testkit.Await(t, slack, func() error { // the failure is everybody's answer for a moment
			if me := p.Get("/api/users/me", p.acme); me.Code != http.StatusOK {
				return errors.New(me.Raw)
			}
			return nil
		})
		p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
		require.Equal(t, "/"+nicknameID, testkit.Scalar[string](t, &settings, settings.CoreName(),
			"SELECT error || '/' || schema_version FROM tenants WHERE slug = 'acme'"))
	})
}

// TestAMigrationTakesItsTime: those who wait are told to come back, and nobody
// else waits; the migration goes on without them.
func TestAMigrationTakesItsTime(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings = withNickname(settings)
		p := newPair(t, settings)
		p.Close()
		setBack(t, settings)
		makeWay(t, settings)
		hold, err := settings.SQL(t, p.acmeDB).Conn(t.Context())
		require.NoError(t, err)
		for _, statement := range map[testkit.Engine][]string{
			testkit.SQLite:   {"BEGIN IMMEDIATE"},
			testkit.Postgres: {"BEGIN", "LOCK TABLE tenant_users IN ACCESS EXCLUSIVE MODE"},
		}[settings.Engine] {
			_, err := hold.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		p.App = testkit.Start(t, settings)

		waiting := make(chan testkit.Response, 1)
		begun := time.Now()
		go func() { waiting <- p.Get("/api/users/me", p.acme) }()
		for range 5 {
			at := time.Now()
			p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
			require.Less(t, time.Since(at), slack, "the others wait as well")
		}
		refused := <-waiting
		refused.RequireProblem(p.App, 503, "tenant_unavailable", "Tenant is unavailable")
		require.Less(t, time.Since(begun), patience)

		_, err = hold.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, errors.Join(err, hold.Close()))
		testkit.Await(t, recovery+slack, func() error {
			if me := p.Get("/api/users/me", p.acme); me.Code != http.StatusOK {
				return errors.New(me.Raw)
			}
			return nil
		})
	})
}

func replaceDatabase(t testing.TB, address, name string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.Path = "/" + name
	return parsed.String()
}
