package tests_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// writing is a request that inserts a row into a table.
type writing struct {
	table   string
	request testkit.Request
}

func coreWritings(owner string) []writing {
	login := testkit.Request{
		Method: http.MethodPost, Path: "/api/auth/login", Body: testkit.JSON{"email": "ada@example.com", "password": testkit.Password},
	}
	return []writing{
		{"core_users", testkit.Registration("", "new@example.com")},
		{"organizations", testkit.Creation(owner, "initech")},
		{"sessions", login},
		{"audit_events", login},
	}
}

// tenantWritings come last from an owner who was removed inside, and enters again.
func tenantWritings(core, owner, member string) []writing {
	login := testkit.Request{
		Method: http.MethodPost, Path: "/api/auth/login", Tenant: "acme",
		Body: testkit.JSON{"email": "grace@example.com", "password": testkit.Password},
	}
	return []writing{
		{"tenant_users", testkit.Registration("acme", "new@example.com")},
		{"tenant_invitations", testkit.Request{
			Method: http.MethodPost, Path: invitationsPath, Token: owner, Body: testkit.JSON{"email": "guest@example.com"},
		}},
		{"password_resets", testkit.Request{Method: http.MethodPost, Path: "/api/users/" + member + "/password-reset", Token: owner}},
		{"sessions", login},
		{"audit_events", login},
		{"tenant_users", testkit.Request{Method: http.MethodPost, Path: "/api/organizations/acme/token", Token: core}},
	}
}

// After a restore of the data alone, sequences give out ids that are in use. That is
// never the fault of what was sent, and doctor mends it, at core and in a tenant.
func TestDoctorMendsSequences(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	acme := administratorIn(t, &settings, p.acmeDB)
	core := administratorIn(t, &settings, settings.CoreName())
	enter := func() (token string) {
		entered := p.Post("/api/organizations/acme/token", p.owner, nil)
		require.Equal(t, http.StatusOK, entered.Code, entered.Raw)
		return entered.Text(p.App, "access_token")
	}
	second := p.Register("acme", "mary@example.com")
	require.Equal(t, http.StatusOK, second.Code, second.Raw)
	for id := range 3 { // a row for each id that is given out again
		acme(fmt.Sprintf("INSERT INTO tenant_invitations (email, email_canonical, role, token_hash, created_at, expires_at) "+
			"VALUES ('%[1]d@x.org', '%[1]d@x.org', 'member', '%[1]d', now(), now() + interval '1 day')", id))
	}
	acme("INSERT INTO password_resets (user_id, token_hash, created_at, expires_at) SELECT id, id, now(), now() FROM tenant_users")
	core("INSERT INTO password_resets (user_id, token_hash, created_at, expires_at) SELECT id, id, now(), now() FROM core_users")
	mary := fmt.Sprint(second.Object(p.App)["id"])
	inCore, inAcme := coreWritings(p.owner), tenantWritings(p.owner, enter(), mary)

	requireRefused := func(administer func(...string), writings []writing) {
		for _, w := range writings {
			first := "1"
			if w.request.Path == "/api/organizations/acme/token" {
				administer("DELETE FROM tenant_users WHERE id = 1")
				first = "2"
			}
			administer("ALTER SEQUENCE " + w.table + "_id_seq RESTART " + first)
			answer := p.Do(w.request)
			answer.RequireProblem(p.App, 500, "internal", "Internal server error")
			require.Regexp(t, "level=ERROR .*request_id="+answer.Text(p.App, "request_id")+".*sequence of table "+w.table+
				".*tenants doctor --repair", p.Log.String())
			administer("SELECT setval('" + w.table + "_id_seq', 1000)")
		}
	}
	requireRefused(core, inCore)
	requireRefused(acme, inAcme)
	for _, table := range []string{"core_users", "organizations", "sessions", "password_resets", "audit_events"} {
		core("ALTER SEQUENCE " + table + "_id_seq RESTART 1")
	}
	// The default alone leads to the sequence, and it has another name.
	acme("ALTER SEQUENCE sessions_id_seq OWNED BY NONE", "ALTER SEQUENCE sessions_id_seq RENAME TO of_sessions")
	for _, name := range []string{"tenant_users_id_seq", "tenant_invitations_id_seq", "of_sessions", "password_resets_id_seq", "audit_events_id_seq"} {
		acme("ALTER SEQUENCE " + name + " RESTART 1")
	}

	ofCore, ofAcme := "sequence of -: "+settings.CoreName(), "sequence of acme: "+p.acmeDB
	said := requireRepaired(t, &settings, ofCore, ofAcme)

	for _, w := range inCore {
		require.Contains(t, said[ofCore], "sequence of table "+w.table)
	}
	require.Contains(t, said[ofCore], "password_resets")
	for _, w := range inAcme {
		require.Contains(t, said[ofAcme], "sequence of table "+w.table)
	}
	requireDiagnosis(t, &settings, 0, "")
	for _, w := range append(inCore, tenantWritings(p.owner, enter(), mary)...) {
		answer := p.Do(w.request)
		require.Less(t, answer.Code, http.StatusBadRequest, "%s: %s", w.table, answer.Raw)
	}
}

// A table whose ids come from no sequence, or from one that ends early or counts down,
// takes no more rows sooner or later.
func TestDoctorMendsSequencesThatEnd(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	entered := p.Post("/api/organizations/acme/token", p.owner, nil)
	require.Equal(t, http.StatusOK, entered.Code, entered.Raw)
	second := p.Register("acme", "mary@example.com")
	require.Equal(t, http.StatusOK, second.Code, second.Raw)
	mary := fmt.Sprint(second.Object(p.App)["id"])
	settings.Exec(t, settings.CoreName(), "ALTER SEQUENCE core_users_id_seq MAXVALUE 2147483646",
		"ALTER TABLE organizations ALTER COLUMN id DROP DEFAULT", "ALTER SEQUENCE sessions_id_seq INCREMENT BY -1")
	settings.Exec(t, p.acmeDB, "ALTER SEQUENCE tenant_users_id_seq AS smallint", "DROP SEQUENCE audit_events_id_seq CASCADE",
		"ALTER TABLE tenant_invitations ALTER COLUMN id SET DEFAULT 0", "ALTER SEQUENCE sessions_id_seq MAXVALUE 100 CYCLE",
		// It still leads to the sequence, in a way that the catalogs do not link.
		"ALTER TABLE password_resets ALTER COLUMN id SET DEFAULT nextval('public.password_resets_id_seq'::text)")
	settings.Exec(t, p.globexDB, "ALTER TABLE sessions ALTER COLUMN id DROP DEFAULT", "ALTER TABLE sessions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
		`GRANT USAGE, SELECT ON SEQUENCE sessions_id_seq1 TO "`+roleOf(t, &settings, "globex")+`"`)

	ofCore, ofAcme, ofGlobex := "sequence of -: "+settings.CoreName(), "sequence of acme: "+p.acmeDB, "sequence of globex: "+p.globexDB
	said := requireRepaired(t, &settings, ofCore, ofAcme, ofGlobex)

	require.Equal(t, "no sequence gives the ids of table organizations; the sequence of table core_users ends at 2147483646; "+
		"the sequence of table sessions counts down", said[ofCore])
	require.Equal(t, "no sequence gives the ids of table audit_events; no sequence gives the ids of table tenant_invitations; "+
		"the sequence of table sessions ends at 100; the sequence of table tenant_users ends at 32767", said[ofAcme])
	require.Equal(t, "the sequence of table sessions is behind its ids", said[ofGlobex])
	for _, w := range append(coreWritings(p.owner), tenantWritings(p.owner, entered.Text(p.App, "access_token"), mary)...) {
		answer := p.Do(w.request)
		require.Less(t, answer.Code, http.StatusBadRequest, "%s: %s", w.table, answer.Raw)
	}
	p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
}

// TestOurTablesAreKnown: the doctor looks at each of our tables, and at no other.
func TestOurTablesAreKnown(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	app.Token("acme", "ada@example.com")
	for name, tables := range map[string][]string{
		settings.CoreName(): tenants.CoreTables(), settings.DatabaseName("acme"): tenants.TenantTables(),
	} {
		slices.Sort(tables)
		require.Equal(t, strings.Join(tables, " "), testkit.Scalar[string](t, &settings, name,
			"SELECT string_agg(tablename, ' ' ORDER BY tablename COLLATE \"C\") FROM pg_tables WHERE schemaname = 'public'"), name)
	}
}
