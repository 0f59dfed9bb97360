package tests_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// alterEach gives a role or a database settings that change what statements mean, or
// end them.
func alterEach(subject string) []string {
	settings := []string{
		"client_encoding = 'LATIN1'", "standard_conforming_strings = off", "search_path = nowhere", "DateStyle = 'SQL, DMY'",
		"IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kolkata'", "bytea_output = escape", "array_nulls = off",
		"transform_null_equals = on", "row_security = off", "exit_on_error = on", "default_transaction_isolation = serializable",
		"default_transaction_deferrable = on", "lock_timeout = 1", "idle_in_transaction_session_timeout = 1",
		"statement_timeout = 30", // a session needs a moment until it can change this
		"idle_session_timeout = 500",
	}
	for i, setting := range settings {
		settings[i] = "ALTER " + subject + " SET " + setting
	}
	return settings
}

// requireUnaffected requires that texts and times come back as they were sent.
func (p *pair) requireUnaffected(t *testing.T) {
	t.Helper()
	const text = `Grüße, 'ß' \ "€" 🙂`
	changed := p.Put(profilePath, p.acme, testkit.JSON{"bio": text})
	require.Equal(t, text, changed.Text(p.App, "bio"), changed.Raw)
	me := p.Get(profilePath, p.acme)
	require.Equal(t, http.StatusOK, me.Code, me.Raw)
	require.Equal(t, text, me.Text(p.App, "bio"))
	require.Regexp(t, `Z$`, me.Text(p.App, "created_at"))
	p.Register("acme", "grace@example.com").RequireProblem(p.App, 400, "email_taken", "Email already registered")
}

// The program asks for the settings that it relies on.
func TestServerSettingsChangeNothing(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	for _, role := range []string{appRole(t, &settings), roleOf(t, &settings, "acme")} {
		settings.Administer(t, alterEach(`ROLE "`+role+`"`)...)
	}
	p.Close() // so that all sessions are new
	p.App = testkit.Start(t, settings)

	p.requireUnaffected(t)
	p.Organization(p.owner, "initech")
	p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	settings.Command(t, "migrate", "rollback", "--to", "202611290210_create_tenant_tables", "--yes").RequireCode(t, 0)
	settings.Command(t, "migrate").RequireCode(t, 0)
	// Others who log in as these roles would miss the tables.
	requireDiagnosis(t, &settings, 1, "", "search_path of -: "+settings.CoreName()+", repairable", "search_path of acme: "+p.acmeDB+", repairable")
}

// A pooler does not pass on most settings, so the tenant's role has them: they count
// more than the database's.
func TestDatabaseSettingsChangeNothingBehindPgBouncer(t *testing.T) {
	t.Parallel()
	_, settings := behindPooler(t, testkit.Fresh(t, testkit.Postgres))
	p := newPair(t, settings)
	settings.Administer(t, append(alterEach(`DATABASE "`+p.acmeDB+`"`), "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '"+p.acmeDB+"'")...)
	p.Close()
	p.App = testkit.Start(t, settings)

	p.requireUnaffected(t)
}

// A role has a number of connections that it may have, of all processes and clients
// together. A tenant whose role has no connection left is refused; no other is.
func TestTenantsConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Database.TenantConnections = 7
	p := newPair(t, settings)
	role := roleOf(t, &settings, "acme")
	require.Equal(t, "7", adminText(t, &settings, "SELECT rolconnlimit::text FROM pg_roles WHERE rolname = '"+role+"'"))

	// As if other clients had all of them.
	settings.Administer(t, `ALTER ROLE "`+role+`" CONNECTION LIMIT 0`,
		"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '"+p.acmeDB+"'")
	for range 3 {
		refused := p.Login("acme", "grace@example.com")
		require.Equal(t, http.StatusServiceUnavailable, refused.Code, refused.Raw)
		require.NotEmpty(t, refused.Header.Get("Retry-After"))
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	}
	settings.Administer(t, `ALTER ROLE "`+role+`" CONNECTION LIMIT 7`)
	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")

	// A tenant alone does not ask for more than its role may have.
	for _, me := range testkit.TryAtOnceBy(t, 24, p.App, repeat(240, func(int) testkit.Request {
		return testkit.Request{Method: http.MethodPut, Path: profilePath, Token: p.acme, Body: testkit.JSON{"bio": "busy"}}
	})) {
		require.Equal(t, http.StatusOK, me.Code, me.Raw)
	}
}

// TestParametersOfTheURL are taken as psql takes them: %20 is a space, and a plus sign
// is none.
func TestParametersOfTheURL(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Database.URL += "&application_name=" + settings.Database.TenantPrefix + "my%20app+1&options=-c%20statement_timeout%3D54321"
	app := testkit.Start(t, settings)
	var timeout string
	require.NoError(t, app.Tenants.Core().Raw("SHOW statement_timeout").Scan(&timeout).Error)
	require.Equal(t, "54321ms", timeout)
	require.NotZero(t, testkit.Scalar[int](t, &settings, settings.CoreName(),
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = '"+settings.Database.TenantPrefix+"my app+1'"))
}

// TestSSLOfAsyncpg: its users write ssl where PostgreSQL has sslmode.
func TestSSLOfAsyncpg(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	url := strings.Replace(settings.Database.URL, "sslmode=disable", "ssl=", 1)
	settings.Database.URL = url + "false"
	testkit.Start(t, settings)
	settings.Database.URL = url + "true"
	_, err := testkit.Open(t, settings)
	require.ErrorContains(t, err, "TLS", "the test's server has none")
}
