package tests_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// administratorIn returns what runs statements in a database as the server's
// administrator, all in one session: a session takes longer than the statements.
func administratorIn(t *testing.T, settings *testkit.Settings, name string) func(statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	admin, err := pgx.Connect(ctx, replaceDatabase(t, settings.Admin, name))
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(ctx) }) // it has done what it was for
	return func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			_, err := admin.Exec(ctx, statement)
			require.NoError(t, err, statement)
		}
	}
}

// roleSabotage is something done to a role behind the application's back, and what
// doctor says of it.
type roleSabotage struct{ does, finding, problem string }

// roleSabotages are rounds: what is done in one round is done to different tenants.
func roleSabotages() [][]roleSabotage {
	return [][]roleSabotage{
		{
			{`REVOKE SELECT ON tenant_stamp FROM "$roleA"`, "grants of acme: $acme", "may not read the stamp"},
			{`ALTER ROLE "$roleB" PASSWORD 'another'`, "role of globex: $globex", "its password is not the one"},
			{`ALTER ROLE "$roleS" NOLOGIN`, "role of -: $spare", "it may not log in"},
		},
		{
			{`REVOKE UPDATE ON tenant_users FROM "$roleA"`, "grants of acme: $acme", "may not use tenant_users"},
			{`ALTER ROLE "$roleB" NOLOGIN`, "role of globex: $globex", "it may not log in"},
			{`GRANT CONNECT ON DATABASE "$core" TO PUBLIC`, "open of -: $core", "CONNECT"},
		},
		{
			{`REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM "$roleA"`, "grants of acme: $acme", "tenant_users_id_seq"},
			{`REVOKE CONNECT ON DATABASE "$globex" FROM "$roleB"`, "role of globex: $globex", "it may not connect to the database"},
			{`GRANT CONNECT ON DATABASE "$spare" TO PUBLIC`, "open of -: $spare", "CONNECT"},
		},
		{
			{
				`DROP OWNED BY "$roleA"; SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '$roleA'; DROP ROLE "$roleA"`,
				"role of acme: $acme", "there is no such role",
			},
			{`ALTER ROLE "$roleS" CONNECTION LIMIT -1`, "role of -: $spare", "its role may take all connections"},
			{`GRANT CONNECT, TEMPORARY ON DATABASE "$globex" TO PUBLIC`, "open of globex: $globex", "CONNECT, TEMPORARY"},
		},
		{
			{`ALTER ROLE "$roleA" VALID UNTIL '2020-01-02'`, "role of acme: $acme", "VALID UNTIL 2020-01-02"},
			{`ALTER ROLE "$roleB" CONNECTION LIMIT 0`, "role of globex: $globex", "its CONNECTION LIMIT is 0"},
			{`ALTER DATABASE "$spare" SET search_path = nowhere`, "search_path of -: $spare", "search_path = nowhere"},
		},
		{
			{`ALTER DATABASE "$acme" SET default_transaction_read_only = on`, "read_only of acme: $acme", "default_transaction_read_only = on"},
			{`ALTER ROLE "$roleB" IN DATABASE "$globex" SET search_path = nowhere`, "search_path of globex: $globex", "search_path = nowhere"},
			{`ALTER ROLE "$app" SET search_path = nowhere, public`, "search_path of -: $core", "search_path = nowhere, public"},
		},
		{
			{`ALTER TABLE tenant_users ENABLE ROW LEVEL SECURITY`, "row_security of acme: $acme", "hides all rows of tenant_users"},
			{`ALTER DATABASE "$globex" CONNECTION LIMIT 0`, "closed of globex: $globex", "CONNECTION LIMIT is 0"},
		},
		{
			{
				`ALTER TABLE tenant_stamp ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
				"row_security of acme: $acme", "hides all rows of tenant_stamp",
			},
			{`ALTER DATABASE "$globex" OWNER TO "$old"`, "owner of globex: $globex", "belongs to the role $old"},
		},
		{
			{`ALTER TABLE sessions OWNER TO "$old"`, "owner of acme: $acme", "table sessions belongs to the role $old"},
			{`ALTER ROLE "$roleB" SET default_transaction_read_only = on`, "read_only of globex: $globex", "default_transaction_read_only = on"},
		},
	}
}

// A role that was changed behind the application's back is made what it was, and
// the tenant is served again.
func TestDoctorMendsRoles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := healthy(t, &settings)
	spare := func(column string) string {
		return testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT "+column+" FROM tenants WHERE status = 'spare'")
	}
	app, old := appRole(t, &settings), settings.Database.TenantPrefix+"old"
	settings.Administer(t, `CREATE ROLE "`+old+`"`, `GRANT "`+old+`" TO "`+app+`"`)
	t.Cleanup(func() { settings.Administer(t, `DROP OWNED BY "`+old+`"`, `DROP ROLE "`+old+`"`) })
	fill := strings.NewReplacer("$app", app, "$old", old, "$acme", p.acmeDB, "$globex", p.globexDB, "$spare", spare("database_name"), "$core", settings.CoreName(),
		"$roleA", roleOf(t, &settings, "acme"), "$roleB", roleOf(t, &settings, "globex"), "$roleS", spare("role")).Replace
	administer := administratorIn(t, &settings, p.acmeDB)
	for _, round := range roleSabotages() {
		want := make([]string, len(round))
		for i, sabotage := range round {
			t.Log(sabotage.does)
			administer(fill(sabotage.does))
			want[i] = fill(sabotage.finding)
		}
		problems := requireRepaired(t, &settings, want...)
		for i, sabotage := range round {
			require.Contains(t, problems[want[i]], fill(sabotage.problem))
		}
		if strings.HasPrefix(round[0].does, "DROP OWNED") { // the server has to notice that its connections are ended
			testkit.Await(t, 5*time.Second, func() error {
				if me := p.Get("/api/users/me", p.acme); me.Code != http.StatusOK {
					return fmt.Errorf("%d %s", me.Code, me.Raw)
				}
				return nil
			})
		}
		p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	}
	requireDiagnosis(t, &settings, 0, "")
	settings.Command(t, "tenants", "isolation").RequireCode(t, 0)
	require.NotContains(t, p.Log.String(), "SCRAM-SHA-256")

	// What another role has made there is its own.
	administer(`CREATE TABLE theirs (id integer)`, fill(`GRANT ALL ON theirs TO "$roleA"`))
	said := requireDiagnosis(t, &settings, 0, "--repair", fill("foreign of acme: $acme, to be decided"))
	require.Contains(t, said, "table theirs of postgres")
}

// A changed setting reaches the roles that exist.
func TestDoctorSetsConnectionLimits(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	settings.Database.TenantConnections = 50

	acme := "role of acme: " + p.acmeDB
	problems := requireRepaired(t, &settings, acme, "role of globex: "+p.globexDB)

	require.Contains(t, problems[acme], "its role may have 100 connections, and not 50")
	limits := adminText(t, &settings, "SELECT string_agg(DISTINCT rolconnlimit::text, ' ') FROM pg_roles WHERE starts_with(rolname, '"+
		settings.Database.TenantPrefix+"_role_')")
	require.Equal(t, "50", limits)
}

// A role that something depends on cannot be dropped: the log says on what, and doctor
// leaves it to the operator until nothing does.
func TestDoctorLeavesARoleThatIsNeeded(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	role := roleOf(t, &settings, "acme")
	settings.Administer(t, `GRANT CONNECT ON DATABASE postgres TO "`+role+`"`)

	require.Equal(t, http.StatusNoContent, p.Delete("/api/organizations/acme", p.owner).Code)

	require.Contains(t, p.Log.String(), "privileges for database postgres")
	said := requireDiagnosis(t, &settings, 1, "--repair", "unexplained_role of -: "+role+", to be decided")
	require.Contains(t, said, "database postgres")
	settings.Administer(t, `REVOKE CONNECT ON DATABASE postgres FROM "`+role+`"`)
	requireMended(t, &settings, "unexplained_role of -: "+role)
}

// A core database that cannot be written serves no login, and so the program is not ready.
func TestDoctorMendsAReadOnlyCore(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	app.Token("", "ada@example.com")
	core := settings.CoreName()
	settings.Administer(t, `ALTER DATABASE "`+core+`" SET default_transaction_read_only = on`,
		"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '"+core+"'")
	testkit.Await(t, 5*time.Second, func() error { // the server has to notice that its connections are ended
		if ready := app.Get("/ready", ""); ready.Code != http.StatusServiceUnavailable {
			return fmt.Errorf("%d %s", ready.Code, ready.Raw)
		}
		return nil
	})
	app.Get("/ready", "").RequireProblem(app, 503, "core_unavailable", "Service is read-only")
	app.Login("", "ada@example.com").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")
	app.Register("", "new@example.com").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")

	said := requireMended(t, &settings, "read_only of -: "+core)

	require.Contains(t, said, "default_transaction_read_only = on")
	testkit.Await(t, 5*time.Second, func() error { // a session that began read-only ends with its use
		if ready := app.Get("/ready", ""); ready.Code != http.StatusOK {
			return fmt.Errorf("%d %s", ready.Code, ready.Raw)
		}
		if login := app.Login("", "ada@example.com"); login.Code != http.StatusOK {
			return fmt.Errorf("%d %s", login.Code, login.Raw)
		}
		return nil
	})
}

func TestDoctorMendsACoreThatMayNotBeUsed(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	app.Token("", "ada@example.com")
	administer := administratorIn(t, &settings, settings.CoreName())
	for _, table := range []string{"sessions", "audit_events", "core_users"} {
		administer(`REVOKE INSERT ON ` + table + ` FROM "` + appRole(t, &settings) + `"`)
		app.Get("/ready", "").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")

		require.Contains(t, requireMended(t, &settings, "grants of -: "+settings.CoreName()), "may not use "+table)

		require.Equal(t, http.StatusOK, app.Get("/ready", "").Code)
		require.Equal(t, http.StatusOK, app.Login("", "ada@example.com").Code)
	}
	administer("ALTER SCHEMA public OWNER TO postgres", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
	app.Get("/ready", "").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")
}

// A tenant of a server that could make no roles gets one.
func TestDoctorGivesRoles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	administer := administratorIn(t, &settings, settings.CoreName())
	app := appRole(t, &settings)
	administer(`ALTER ROLE "` + app + `" NOCREATEROLE`)
	server := testkit.Start(t, settings)
	fleetOf(server, "acme")
	requireDiagnosis(t, &settings, 0, "")
	administer(`ALTER ROLE "` + app + `" CREATEROLE`)

	require.Contains(t, requireMended(t, &settings, "role of acme: "+settings.DatabaseName("acme")), "it has no role of its own yet")

	settings.Command(t, "tenants", "isolation").RequireCode(t, 0)
}
