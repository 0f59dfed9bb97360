package tests_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// behindPooler returns settings by which tenants are served through a PgBouncer
// in transaction mode.
func behindPooler(t *testing.T, settings testkit.Settings) (*pgtest.Pooler, testkit.Settings) {
	t.Helper()
	pooler := pgtest.StartPooler(t, settings.Admin, settings.Database.TenantPrefix)
	settings.Database.TenantURL = pooler.URL()
	settings.OnStep = func(step tenants.Step) {
		if step == tenants.StepReserved { // from which on there is the role
			_ = pooler.Admit(t.Context()) // where it is not, nobody gets into the tenant, and the test fails
		}
	}
	return pooler, settings
}

// allThrough are settings by which core, too, is reached through a pooler.
func allThrough(t *testing.T, pooler *pgtest.Pooler, settings testkit.Settings) testkit.Settings {
	t.Helper()
	require.NoError(t, pooler.Admit(t.Context()))
	address, err := url.Parse(settings.Database.URL)
	require.NoError(t, err)
	way, err := url.Parse(pooler.URL())
	require.NoError(t, err)
	address.Host, address.RawQuery = way.Host, way.RawQuery
	settings.Database.URL = address.String()
	return settings
}

// TestCoreBehindPgBouncerIsRefused: in transaction mode a lock belongs to no process.
func TestCoreBehindPgBouncerIsRefused(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	pooler := pgtest.StartTransactionPooler(t, settings.Admin)

	_, err := testkit.Open(t, allThrough(t, pooler, settings))

	require.ErrorContains(t, err, "a pooler in transaction mode")
	require.NotContains(t, err.Error(), "password")
	require.NotContains(t, err.Error(), settings.Database.URL)
}

// TestAServerThatIsNoPostgreSQLIsRefused: these functions answer as those engines do.
func TestAServerThatIsNoPostgreSQLIsRefused(t *testing.T) {
	t.Parallel()
	for text, function := range map[string]string{
		"or to no PostgreSQL":       "pg_try_advisory_lock(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
		"the server is CockroachDB": "version() RETURNS text LANGUAGE sql AS $$SELECT 'CockroachDB CCL v25.2.1'$$",
		"the server is YugabyteDB":  "version() RETURNS text LANGUAGE sql AS $$SELECT 'PostgreSQL 15.12-YB-2025.1.0.0-b0'$$",
	} {
		settings := testkit.Fresh(t, testkit.Postgres)
		superuser := settings
		superuser.Database.URL = replaceDatabase(t, settings.Admin, settings.CoreName())
		superuser.Exec(t, settings.CoreName(), "CREATE OR REPLACE FUNCTION pg_catalog."+function)

		_, err := testkit.Open(t, settings)

		require.ErrorContains(t, err, text)
	}
}

// TestBehindPgBouncer: tenants are served through it, by their own roles, and
// nothing else goes that way; people notice nothing.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	pooler, settings := behindPooler(t, testkit.Fresh(t, testkit.Postgres))
	settings.Spares = 1
	p := newPair(t, settings)

	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
	p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	// At once, so that lookups go together.
	for _, me := range testkit.TryAtOnceBy(t, 24, p.App, repeat(240, func(int) testkit.Request {
		return testkit.Request{Method: http.MethodGet, Path: profilePath, Token: p.acme}
	})) {
		require.Equal(t, "grace@example.com", me.Text(p.App, "email"), me.Raw)
	}
	changed := p.Put(profilePath, p.acme, testkit.JSON{"bio": "compiler"})
	require.Equal(t, "compiler", changed.Text(p.App, "bio"), changed.Raw)
	p.Register("acme", "grace@example.com").RequireProblem(p.App, 400, "email_taken", "Email already registered")
	require.Equal(t, roleOf(t, &settings, "acme"), adminText(t, &settings, `SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity
		WHERE application_name = '`+pooler.Name()+`' AND datname = '`+p.acmeDB+"'"))
	// A session of the pooler that is about to begin has no name for a moment.
	testkit.Await(t, 5*time.Second, func() error {
		if past := adminText(t, &settings, `SELECT count(*)::text FROM pg_stat_activity
			WHERE application_name <> '`+pooler.Name()+`' AND starts_with(usename, '`+settings.Database.TenantPrefix+"')"); past != "0" {
			return fmt.Errorf("%s sessions go past the pooler", past)
		}
		return nil
	})

	suspend := func(active bool) {
		require.Equal(t, http.StatusOK, p.Put("/api/organizations/acme", p.owner, testkit.JSON{"is_active": active}).Code)
	}
	suspend(false)
	p.Get(profilePath, p.acme).RequireProblem(p.App, 403, "tenant_suspended", "Tenant is suspended")
	suspend(true)
	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")

	settings.DropDatabase(t, p.globexDB)
	p.requireUnavailable(t, p.App, "globex", p.globex)
	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
}

// TestManyTenantsBehindPgBouncer: at once, and each gets its own people's rows,
// through few connections to the server.
func TestManyTenantsBehindPgBouncer(t *testing.T) {
	t.Parallel()
	pooler, settings := behindPooler(t, testkit.Fresh(t, testkit.Postgres))
	app := testkit.Start(t, settings)
	const crowd, requests = 4, 240 // of two dozen at a time, where each tenant has two connections
	tokens := make([]string, crowd)
	for i := range tokens {
		tokens[i] = app.Token(member(i).Tenant, emailOf(i))
	}

	wanted := make([]string, requests)
	answers := testkit.TryAtOnceBy(t, 24, app, repeat(requests, func(request int) testkit.Request {
		i := rand.IntN(crowd)
		wanted[request] = emailOf(i)
		if request%3 == 0 {
			return testkit.Request{Method: http.MethodPut, Path: profilePath, Token: tokens[i], Body: testkit.JSON{"bio": emailOf(i)}}
		}
		return testkit.Request{Method: http.MethodGet, Path: profilePath, Token: tokens[i]}
	}))

	for i, answer := range answers {
		require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
		require.Equal(t, wanted[i], answer.Text(app, "email"), "another's row")
	}
	require.Empty(t, testkit.Scalar[string](t, &settings, settings.CoreName(), fmt.Sprintf(`SELECT coalesce(string_agg(usename || ' has ' || n, ', '), '')
		FROM (SELECT usename, count(*) AS n FROM pg_stat_activity WHERE application_name = '%s' GROUP BY usename) AS counts
		WHERE n > %d`, pooler.Name(), pooler.PoolSize())))
	settings.RequireTidy(t)
}

// TestRemadeBehindPgBouncer: the pooler keeps connections to a tenant's database,
// and the clients' to itself when that is dropped. Nobody gets from them into the
// next database of that name, in this process or another.
func TestRemadeBehindPgBouncer(t *testing.T) {
	t.Parallel()
	_, settings := behindPooler(t, testkit.Fresh(t, testkit.Postgres))
	p := newPair(t, settings)
	other := testkit.Start(t, settings)

	for range 2 {
		old := p.TokenOf("acme", "ada@example.com")
		for range 4 {
			require.Equal(t, http.StatusOK, other.Get(profilePath, old).Code)
		}
		role := roleOf(t, &settings, "acme")
		deleted := p.Delete("/api/organizations/acme", p.owner)
		require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
		p.Organization(p.owner, "acme")
		require.NotEqual(t, role, roleOf(t, &settings, "acme"))

		// Ada has the same number in both databases: only the way tells them apart.
		p.Get(profilePath, old).RequireProblem(p.App, 401, "invalid_token", "Could not validate credentials")
		testkit.Await(t, patience, func() error {
			answer := other.Get(profilePath, old)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, answer.Code, answer.Raw)
			if answer.Code != http.StatusUnauthorized {
				return errors.New(answer.Raw)
			}
			return nil
		})
		requireWhole(t, other, "acme")
		requireWhole(t, p.App, "acme")
		p.requireServed(t, other, "globex", p.globex, "hank@example.com")
	}
	settings.RequireTidy(t)
}

// TestPostgresRestartsBehindPgBouncer: the pooler lives on, and everything works
// again as soon as without it.
func TestPostgresRestartsBehindPgBouncer(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	_, settings := behindPooler(t, onCluster(t, cluster))
	app := testkit.Start(t, settings)
	l := newLoad(t, app)

	l.await(t, 10, l.registrations)
	require.NoError(t, cluster.Stop())
	l.await(t, 5, l.refusals)
	require.NoError(t, cluster.Start())
	l.requireRecovery(t)

	l.requireKept(t)
}

// TestDocsPgBouncer: these tests use the settings of docs/postgresql.md, except for
// names and addresses.
func TestDocsPgBouncer(t *testing.T) {
	t.Parallel()
	pooler := pgtest.StartPooler(t, pgtest.Server(t), "nobody")
	used, err := pooler.Settings()
	require.NoError(t, err)
	documented := regexp.MustCompile("(?s)```ini\n(.*?)```").FindStringSubmatch(readFile(t, "docs/postgresql.md"))[1]

	count := 0
	for line := range strings.Lines(documented) {
		name, _, found := strings.Cut(line, " = ")
		if !found || slices.Contains([]string{"*", "listen_port", "auth_file", "auth_user", "auth_dbname", "auth_query"}, name) {
			continue
		}
		require.Contains(t, used, line)
		count++
	}
	require.Greater(t, count, 5)
}
