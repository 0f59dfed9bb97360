package tests_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// TestDeletingUnderAutovacuum: a worker of the server is at work in the database.
// It belongs to a superuser, and the server ends it for a DROP DATABASE.
func TestDeletingUnderAutovacuum(t *testing.T) {
	t.Parallel()
	settings := onCluster(t, pgtest.Start(t, "--autovacuum=on", "--autovacuum_naptime=1"))
	app := testkit.Start(t, settings)
	owner := app.Token("", "ada@example.com")
	app.Organization(owner, "acme")
	settings.Exec(t, settings.DatabaseName("acme"),
		"CREATE TABLE bloat (id int) WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)",
		"INSERT INTO bloat SELECT generate_series(1, 100000)", "DELETE FROM bloat WHERE id % 2 = 0")
	testkit.Await(t, 30*time.Second, func() error {
		if adminText(t, &settings, `SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'
			AND query LIKE '%bloat%' AND datname = '`+settings.DatabaseName("acme")+"'") == "0" {
			return errors.New("no worker of autovacuum is in the tenant")
		}
		return nil
	})

	deleted := app.Delete("/api/organizations/acme", owner)

	require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
	settings.RequireTidy(t)
}

// TestDeletingAClosedDatabase: the administrator lets no session into it.
func TestDeletingAClosedDatabase(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	settings.Administer(t, `ALTER DATABASE "`+p.acmeDB+`" CONNECTION LIMIT 0`, `ALTER DATABASE "`+p.globexDB+`" ALLOW_CONNECTIONS false`,
		"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname IN ('"+p.acmeDB+"', '"+p.globexDB+"')")
	said := requireDiagnosis(t, &settings, 1, "", "closed of acme: "+p.acmeDB+", repairable", "closed of globex: "+p.globexDB+", repairable")
	require.Contains(t, said, "CONNECTION LIMIT is 0")

	for _, slug := range []string{"acme", "globex"} {
		deleted := p.Delete("/api/organizations/"+slug, p.owner)
		require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
	}

	settings.RequireTidy(t)
}

// TestDeletingUnderAnAdministrator: a session that the application may not end keeps
// the database, and the log says whose it is. The tenant is refused, no new session
// begins, and the deletion is finished later.
func TestDeletingUnderAnAdministrator(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	owner := app.Token("", "ada@example.com")
	app.Organization(owner, "acme")
	member := app.Token("acme", "grace@example.com")
	leave := sitIn(t, settings, settings.DatabaseName("acme"))

	app.Delete("/api/organizations/acme", owner).RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")

	require.Contains(t, app.Log.String(), "database is in use")
	require.Contains(t, app.Log.String(), "postgres (process ")
	app.Get(profilePath, member).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
	_, err := pgx.Connect(t.Context(), replaceDatabase(t, settings.Admin, settings.DatabaseName("acme")))
	require.ErrorContains(t, err, "not currently accepting connections")
	require.Equal(t, 1, tenantsOf(t, app, "acme"))
	leave()
	app.Close()
	app = testkit.Start(t, settings)
	settings.RequireTidy(t)
	require.Zero(t, tenantsOf(t, app, "acme"))
}

// TestDeletingIsRetriedInItsTime: while the lock of one unfinished tenant is held, as
// another server holds it, a deletion that the server refuses is not tried again.
func TestDeletingIsRetriedInItsTime(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	owner := app.Token("", "ada@example.com")
	app.Organization(owner, "acme")
	app.Organization(owner, "globex")
	refused := settings.DatabaseName("acme")
	settings.Administer(t, `ALTER DATABASE "`+refused+`" OWNER TO postgres`)
	t.Cleanup(func() {
		settings.Administer(t, `ALTER DATABASE "`+refused+`" OWNER TO "`+appRole(t, &settings)+`"`)
	})
	session, err := app.Backend.Lock(t.Context(), "tenant "+idOf(t, &settings, "slug = 'globex'"))
	require.NoError(t, err)
	defer session.Unlock()
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'globex'")

	app.Delete("/api/organizations/acme", owner).RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")

	before := app.Tenants.Figures().Reconciled
	testkit.Await(t, 30*time.Second, func() error {
		if left := app.Tenants.Figures().Reconciled.Left - before.Left; left < 5 {
			return fmt.Errorf("the locked tenant was tried %d times", left)
		}
		return nil
	})
	require.LessOrEqual(t, app.Tenants.Figures().Reconciled.Failed, 2, "once, and once more if 30 seconds have passed")
}

// TestDeletingEndsSessions that the application may end: its own and those of the
// tenant's role, also in a transaction and when they come again.
func TestDeletingEndsSessions(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	owner := app.Token("", "ada@example.com")
	app.Organization(owner, "acme")
	name, role := settings.DatabaseName("acme"), roleOf(t, &settings, "acme")
	settings.Administer(t, "ALTER ROLE "+role+" PASSWORD 'mine'")
	ctx, stop := context.WithCancel(t.Context())
	entered, stopped := make(chan struct{}, 1), make(chan struct{})
	inside := loginURL(t, &settings, role, "mine", name)
	go func() {
		defer close(stopped)
		comeAgain(ctx, inside, entered)
	}()
	<-entered
	own, err := pgx.Connect(t.Context(), replaceDatabase(t, settings.Database.URL, name))
	require.NoError(t, err)
	_, err = own.Exec(t.Context(), "BEGIN; SELECT count(*) FROM tenant_users")
	require.NoError(t, err)

	deleted := app.Delete("/api/organizations/acme", owner)

	stop()
	<-stopped
	require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
	require.Error(t, own.Ping(t.Context()))
	settings.RequireTidy(t)
}

// loginURL leads a role into a database.
func loginURL(t *testing.T, settings *testkit.Settings, role, password, name string) string {
	t.Helper()
	address, err := url.Parse(replaceDatabase(t, settings.Admin, name))
	require.NoError(t, err)
	address.User = url.UserPassword(role, password)
	return address.String()
}

// comeAgain has a session at work in a database, and begins another one when it was
// ended, until ctx ends.
func comeAgain(ctx context.Context, address string, entered chan<- struct{}) {
	for ctx.Err() == nil {
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			continue
		}
		select {
		case entered <- struct{}{}:
		default:
		}
		_, _ = conn.Exec(ctx, "SELECT pg_sleep(60)") // until it is ended
		_ = conn.Close(ctx)
	}
}
