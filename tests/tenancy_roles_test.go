package tests_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// roleOf returns the role of the tenant with that slug.
func roleOf(t *testing.T, settings *testkit.Settings, slug string) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT role FROM tenants WHERE slug = '"+slug+"'")
}

// appRole returns the application's own role.
func appRole(t *testing.T, settings *testkit.Settings) string {
	t.Helper()
	address, err := url.Parse(settings.Database.URL)
	require.NoError(t, err)
	return address.User.Username()
}

// TestTenantsHaveRoles: each is served through a role of its own, which can log
// in and nothing else, by a password that the server does not know.
func TestTenantsHaveRoles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	core := app.Token("", "ada@example.com")
	app.Organization(core, "acme")
	app.Token("globex", "hank@example.com")
	require.NotEqual(t, roleOf(t, &settings, "acme"), roleOf(t, &settings, "globex"))
	asked := administrator(t, &settings)
	for _, slug := range []string{"acme", "globex"} {
		require.Equal(t, http.StatusUnauthorized, app.Login(slug, "nobody@example.com").Code)
		role := roleOf(t, &settings, slug)
		require.Contains(t, role, settings.Database.TenantPrefix+"_role_")
		require.Equal(t, "t f f f f f f 100", asked(`SELECT concat_ws(' ', rolcanlogin, rolinherit, rolsuper, rolcreatedb,
			rolcreaterole, rolreplication, rolbypassrls, rolconnlimit) FROM pg_roles WHERE rolname = '`+role+"'"))
		require.True(t, strings.HasPrefix(asked("SELECT rolpassword FROM pg_authid WHERE rolname = '"+role+"'"), "SCRAM-SHA-256$1:"))
		require.Equal(t, role, asked("SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity WHERE datname = '"+
			settings.DatabaseName(slug)+"'"), "nobody else is connected")
		require.Equal(t, settings.DatabaseName(slug), asked(`SELECT string_agg(datname, ' ') FROM pg_database
			WHERE has_database_privilege('`+role+`', oid, 'CONNECT') AND (starts_with(datname, '`+settings.Database.TenantPrefix+`')
			OR datname = '`+settings.CoreName()+"')"), "what it may connect to, of ours")
	}
}

// TestWithoutCreateRole: it says so, and works with one role. Once it may make
// roles, tenants get theirs, and what was theirs stays.
func TestWithoutCreateRole(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Administer(t, "ALTER ROLE "+appRole(t, &settings)+" NOCREATEROLE")
	app := testkit.Start(t, settings)
	require.Equal(t, 1, strings.Count(app.Log.String(), "does not keep tenants apart"))
	core := app.Token("", "ada@example.com")
	app.Organization(core, "acme")
	app.Organization(core, "globex")
	member := app.Token("acme", "grace@example.com")
	require.Empty(t, roleOf(t, &settings, "acme"))
	app.Close()

	settings.Administer(t, "ALTER ROLE "+appRole(t, &settings)+" CREATEROLE")
	app = testkit.Start(t, settings)
	require.NotContains(t, app.Log.String(), "does not keep tenants apart")
	require.Equal(t, http.StatusOK, app.Get(profilePath, member).Code)
	require.NotEmpty(t, roleOf(t, &settings, "acme"), "it has its role from its first use on")
	requireWhole(t, app, "acme")
	require.Equal(t, "tenants: 1 migrated, 0 failed, 0 left\n", settings.Command(t, "migrate").RequireCode(t, 0).Stdout, "globex gets its own")
	require.NotEmpty(t, roleOf(t, &settings, "globex"))
	requireWhole(t, app, "globex")
	app.Close()

	settings.Administer(t, "ALTER ROLE "+appRole(t, &settings)+" NOCREATEROLE")
	app = testkit.Start(t, settings)
	require.Equal(t, http.StatusOK, app.Get(profilePath, member).Code)
	require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/globex", core).Code)
	require.Contains(t, app.Log.String(), "role left behind")
}

// TestDeletingEndsTheSessionsOfTheRole, whoever has them.
func TestDeletingEndsTheSessionsOfTheRole(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	first, second := testkit.Start(t, settings), testkit.Start(t, settings)
	core := first.Token("", "ada@example.com")
	first.Organization(core, "acme")
	requireWhole(t, second, "acme") // and has connections to it

	require.Equal(t, http.StatusNoContent, first.Delete("/api/organizations/acme", core).Code)

	settings.RequireTidy(t)
	require.Equal(t, http.StatusNotFound, first.Delete("/api/organizations/acme", core).Code)
}

// TestCoreIsClosedToOthers: only its owner gets in.
func TestCoreIsClosedToOthers(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	stranger := testkit.Fresh(t, testkit.Postgres)
	require.Equal(t, "t", adminText(t, &settings, publicMayConnect(settings.CoreName())), "as databases are made")

	testkit.Start(t, settings)

	require.Equal(t, "f", adminText(t, &settings, publicMayConnect(settings.CoreName())))
	stranger.Database.URL = replaceDatabase(t, stranger.Database.URL, settings.CoreName())
	_, err := testkit.Open(t, stranger)
	require.ErrorContains(t, err, "permission denied")
}

func publicMayConnect(name string) string {
	return "SELECT has_database_privilege('public', '" + name + "', 'CONNECT')"
}

// adminText returns the one value a query asks for, as text, as the server's
// administrator sees it.
func adminText(t *testing.T, settings *testkit.Settings, query string) string {
	t.Helper()
	return administrator(t, settings)(query)
}

// administrator is adminText for several queries, in one session until the end of the
// test.
func administrator(t *testing.T, settings *testkit.Settings) (text func(query string) string) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), settings.Admin)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(context.WithoutCancel(t.Context())) }) // it has done what it was for
	return func(query string) (text string) {
		t.Helper()
		require.NoError(t, admin.QueryRow(t.Context(), query, pgx.QueryExecModeSimpleProtocol).Scan(&text), query)
		return text
	}
}

// A tenant that was served as the application's own role is served as its own, once it has
// one, without a restart.
func TestTenantsAreServedAsTheirRoleOnceTheyHaveOne(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	administer := administratorIn(t, &settings, settings.CoreName())
	app := appRole(t, &settings)
	administer(`ALTER ROLE "` + app + `" NOCREATEROLE`)
	server := testkit.Start(t, settings)
	member := server.Token("acme", "grace@example.com")
	const users = "SELECT coalesce(string_agg(DISTINCT usename::text, ' '), '') FROM pg_stat_activity WHERE datname = '%s'"
	query := fmt.Sprintf(users, settings.DatabaseName("acme"))
	require.Equal(t, app, testkit.Scalar[string](t, &settings, settings.CoreName(), query))
	administer(`ALTER ROLE "` + app + `" CREATEROLE`)

	testkit.Await(t, 10*time.Second, func() error {
		if me := server.Get("/api/users/me", member); me.Code != http.StatusOK {
			t.Errorf("%d %s", me.Code, me.Raw)
		}
		now := testkit.Scalar[string](t, &settings, settings.CoreName(), query)
		if strings.Contains(now, app) || !strings.Contains(now, "_role_") {
			return fmt.Errorf("it is served as %s", now)
		}
		return nil
	})
}
