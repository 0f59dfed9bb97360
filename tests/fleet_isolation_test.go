package tests_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

type trialJSON struct {
	Trial  string `json:"trial"`
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// isolation is two tenants, a spare and a server beside which trials are made.
type isolation struct {
	*testkit.Settings

	acme, globex, spare             string // databases
	acmeRole, globexRole, spareRole string
}

func newIsolation(t *testing.T, settings *testkit.Settings) *isolation {
	t.Helper()
	settings.Spares = 1
	app := testkit.Start(t, *settings)
	fleetOf(app, "acme", "globex")
	awaitSpares(t, settings)
	scalar := func(what, where string) string {
		return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT "+what+" FROM tenants WHERE "+where)
	}
	return &isolation{
		Settings: settings,
		acme:     settings.DatabaseName("acme"),
		globex:   settings.DatabaseName("globex"),
		spare:    scalar("database_name", "status = 'spare'"),
		acmeRole: scalar("role", "slug = 'acme'"), globexRole: scalar("role", "slug = 'globex'"), spareRole: scalar("role", "status = 'spare'"),
	}
}

// try returns the trials as acme.
func (s *isolation) try(t *testing.T) (testkit.Outcome, []trialJSON) {
	t.Helper()
	outcome := s.Command(t, "tenants", "isolation", "--tenant", "acme", "--json")
	return outcome, testkit.Decode[[]trialJSON](t, outcome)
}

// requireFailed requires that exactly those trials fail.
func (s *isolation) requireFailed(t *testing.T, names ...string) testkit.Outcome {
	t.Helper()
	outcome, trials := s.try(t)
	failed := []string{}
	for _, trial := range trials {
		if trial.Result == "fail" {
			failed = append(failed, trial.Trial)
		}
	}
	slices.Sort(names)
	slices.Sort(failed)
	require.Equal(t, names, failed)
	outcome.RequireCode(t, 1)
	require.Contains(t, outcome.Stderr, "trials failed: tenants are not kept apart\n")
	return outcome
}

// requirePassed requires that none fails, and returns them by their names.
func (s *isolation) requirePassed(t *testing.T) map[string]trialJSON {
	t.Helper()
	outcome, trials := s.try(t)
	outcome.RequireCode(t, 0)
	named := make(map[string]trialJSON)
	for _, trial := range trials {
		require.NotEqual(t, "fail", trial.Result, trial.Detail)
		require.NotContains(t, named, trial.Trial)
		named[trial.Trial] = trial
	}
	return named
}

// The trials leave nothing behind, and what only the server's administrator can
// close is a note.
func TestIsolationHolds(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		s := newIsolation(t, &settings)
		before := settings.Dump(t, s.acme) + settings.Dump(t, s.globex) + settings.Dump(t, s.spare)

		trials := s.requirePassed(t)

		require.Equal(t, before, settings.Dump(t, s.acme)+settings.Dump(t, s.globex)+settings.Dump(t, s.spare))
		settings.RequireTidy(t)
		require.Equal(t, "pass", trials["serve_other_tenant"].Result)
		require.Equal(t, "pass", trials["serve_spare"].Result)
		var notes []string
		for name, trial := range trials {
			if trial.Result == "note" {
				notes = append(notes, name)
			}
		}
		if settings.Engine == testkit.SQLite {
			require.Empty(t, notes)
			require.Len(t, trials, 8)
			return
		}
		require.ElementsMatch(t, []string{"connect_postgres", "connect_template1", "see_names", "own_password", "own_settings", "endless_statement", "temporary_files", "large_object", "notify"}, notes)
		require.Len(t, trials, 48)
		text := settings.Command(t, "tenants", "isolation").RequireCode(t, 0).Stdout
		require.Regexp(t, `(?m)^pass +connect_core +cannot connect to the database of core$`, text)
		require.Regexp(t, `(?m)^\d+ trials: \d+ passed, \d+ noted, 0 failed$`, text)
	})
}

// opening is something that is opened, how it is closed again, and the trials that
// fail meanwhile.
type opening struct {
	does, undoes string
	failures     []string
}

func openings() []opening {
	return []opening{
		{`GRANT CONNECT ON DATABASE "$globex" TO PUBLIC`, `REVOKE CONNECT ON DATABASE "$globex" FROM PUBLIC`, []string{"connect_other_tenant", "fleet_closed"}},
		{`GRANT TEMPORARY ON DATABASE "$globex" TO PUBLIC`, `REVOKE TEMPORARY ON DATABASE "$globex" FROM PUBLIC`, []string{"fleet_closed"}},
		{`GRANT CONNECT ON DATABASE "$spare" TO "$roleA"`, `REVOKE CONNECT ON DATABASE "$spare" FROM "$roleA"`, []string{"connect_spare", "fleet_connect"}},
		{`GRANT CONNECT ON DATABASE "$core" TO "$roleA"`, `REVOKE CONNECT ON DATABASE "$core" FROM "$roleA"`, []string{"connect_core", "fleet_connect"}},
		{`GRANT CONNECT ON DATABASE "$core" TO PUBLIC`, `REVOKE CONNECT ON DATABASE "$core" FROM PUBLIC`, []string{"connect_core", "fleet_closed"}},
		{`GRANT TEMPORARY ON DATABASE "$acme" TO "$roleA"`, `REVOKE TEMPORARY ON DATABASE "$acme" FROM "$roleA"`, []string{"create_temporary_table", "fleet_connect"}},
		{`GRANT CONNECT ON DATABASE "$acme" TO "$roleS"`, `REVOKE CONNECT ON DATABASE "$acme" FROM "$roleS"`, []string{"fleet_connect"}},
		{
			`GRANT TEMPORARY ON DATABASE "$globex" TO "$roleA" WITH GRANT OPTION`, `REVOKE TEMPORARY ON DATABASE "$globex" FROM "$roleA"`,
			[]string{"fleet_connect", "grant_database"},
		},
		{`GRANT "$roleB" TO "$roleA"`, `REVOKE "$roleB" FROM "$roleA"`, []string{"become_other_tenant", "fleet_members"}},
		{`GRANT "$app" TO "$roleA"`, `REVOKE "$app" FROM "$roleA"`, []string{"become_application", "fleet_members"}},
		{`ALTER ROLE "$roleA" CONNECTION LIMIT -1`, `ALTER ROLE "$roleA" CONNECTION LIMIT 100`, []string{"unlimited_connections"}},
		{`ALTER ROLE "$roleB" CREATEDB`, `ALTER ROLE "$roleB" NOCREATEDB`, []string{"fleet_powers"}},
		{`ALTER ROLE "$roleB" INHERIT`, `ALTER ROLE "$roleB" NOINHERIT`, []string{"fleet_powers"}},
		{
			`ALTER ROLE "$roleA" INHERIT; GRANT pg_read_server_files TO "$roleA"`, `REVOKE pg_read_server_files FROM "$roleA"; ALTER ROLE "$roleA" NOINHERIT`,
			[]string{"read_file", "fleet_members", "fleet_powers"},
		},
		{
			`ALTER ROLE "$roleA" INHERIT; GRANT pg_write_server_files, pg_execute_server_program TO "$roleA"`,
			`REVOKE pg_write_server_files, pg_execute_server_program FROM "$roleA"; ALTER ROLE "$roleA" NOINHERIT`,
			[]string{"write_file", "run_program", "fleet_members", "fleet_powers"},
		},
		{
			`ALTER ROLE "$roleA" INHERIT; GRANT pg_signal_backend, pg_read_all_stats TO "$roleA"`,
			`REVOKE pg_signal_backend, pg_read_all_stats FROM "$roleA"; ALTER ROLE "$roleA" NOINHERIT`,
			[]string{"end_session", "watch_session", "fleet_members", "fleet_powers"},
		},
		{`GRANT CREATE ON SCHEMA public TO "$roleA"`, `REVOKE CREATE ON SCHEMA public FROM "$roleA"`, []string{"create_table", "create_function", "fleet_schemas"}},
		{`GRANT CREATE ON DATABASE "$acme" TO "$roleA"`, `REVOKE CREATE ON DATABASE "$acme" FROM "$roleA"`, []string{"create_schema", "fleet_connect"}},
		{`GRANT INSERT ON tenant_stamp TO "$roleA"`, `REVOKE INSERT ON tenant_stamp FROM "$roleA"`, []string{"write_stamp"}},
		{`GRANT UPDATE ON tenant_stamp TO "$roleA"`, `REVOKE UPDATE ON tenant_stamp FROM "$roleA"`, []string{"write_stamp"}},
		{`GRANT DELETE ON schema_migrations TO "$roleA"`, `REVOKE DELETE ON schema_migrations FROM "$roleA"`, []string{"write_migrations"}},
		{`GRANT UPDATE ON audit_events TO "$roleA"`, `REVOKE UPDATE ON audit_events FROM "$roleA"`, []string{"change_audit"}},
		{`GRANT DELETE ON audit_events TO "$roleA"`, `REVOKE DELETE ON audit_events FROM "$roleA"`, []string{"change_audit"}},
		{`GRANT TRUNCATE ON audit_events TO "$roleA"`, `REVOKE TRUNCATE ON audit_events FROM "$roleA"`, []string{"change_audit"}},
		{`GRANT TRUNCATE ON tenant_users TO "$roleA"`, `REVOKE TRUNCATE ON tenant_users FROM "$roleA"`, []string{"truncate_table"}},
	}
}

// splitOpenings returns the openings that are tried in one round, and the rest. Each
// makes other trials fail, so that none hides another.
func splitOpenings(all []opening) (round, rest []opening) {
	taken := make(map[string]bool)
	for _, o := range all {
		if slices.ContainsFunc(o.failures, func(trial string) bool { return taken[trial] }) {
			rest = append(rest, o)
			continue
		}
		round = append(round, o)
		for _, trial := range o.failures {
			taken[trial] = true
		}
	}
	return round, rest
}

// A trial goes red when what it is about is open, and no other does.
func TestIsolationFindsWhatIsOpen(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	s := newIsolation(t, &settings)
	fill := strings.NewReplacer("$acme", s.acme, "$globex", s.globex, "$spare", s.spare, "$core", settings.CoreName(),
		"$roleA", s.acmeRole, "$roleB", s.globexRole, "$roleS", s.spareRole, "$app", appRole(t, &settings)).Replace
	administer := administratorIn(t, &settings, s.acme)
	all := openings()
	if testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT current_setting('server_version_num')::int") >= 160000 {
		// The application's role is a member of the roles that it made, so none of them
		// can be made a member of it.
		all = slices.DeleteFunc(all, func(o opening) bool { return slices.Contains(o.failures, "become_application") })
	}
	for rest := all; len(rest) > 0; {
		var round []opening
		round, rest = splitOpenings(rest)
		var failures []string
		for _, o := range round {
			t.Log(o.does)
			administer(fill(o.does))
			failures = append(failures, o.failures...)
		}
		s.requireFailed(t, failures...)
		for _, o := range round {
			administer(fill(o.undoes))
		}
	}
	// What is open in other databases than the one that is tried as is found too.
	for _, name := range []string{s.globex, s.spare} {
		administratorIn(t, &settings, name)("GRANT CREATE ON SCHEMA public TO PUBLIC")
	}
	outcome := s.requireFailed(t, "fleet_schemas")
	require.Contains(t, outcome.Stdout, "schema public, or with a database that cannot be opened: globex, "+s.spare+`"`)
	for _, name := range []string{s.globex, s.spare} {
		administratorIn(t, &settings, name)("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	}
	// A tenant without a role is not tried with, so this is a round of its own.
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET role = '' WHERE slug = 'globex'")
	s.requireFailed(t, "fleet_roles")
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET role = '"+s.globexRole+"' WHERE slug = 'globex'")
	s.requirePassed(t)
}

// A role that owns the tables may do all with them, and one that is a superuser
// everything.
func TestIsolationFindsASuperuser(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	s := newIsolation(t, &settings)
	administer := administratorIn(t, &settings, settings.CoreName())
	administer(`ALTER ROLE "` + s.acmeRole + `" SUPERUSER`)

	outcome, trials := s.try(t)

	outcome.RequireCode(t, 1)
	held := []string{}
	for _, trial := range trials {
		if trial.Result == "pass" {
			held = append(held, trial.Trial)
		}
	}
	require.ElementsMatch(t, []string{"serve_other_tenant", "serve_spare", "wrong_password", "fleet_closed", "fleet_roles", "fleet_members", "fleet_connect"}, held, "all others must be seen to fail")
	settings.RequireTidy(t)
	administer(`ALTER ROLE "` + s.acmeRole + `" NOSUPERUSER`)
	s.requirePassed(t)
}

// The other's stamp in the way is what keeps one tenant from being served
// another's database, on both engines.
func TestIsolationFindsAForgedStamp(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		s := newIsolation(t, &settings)
		acme := idOf(t, &settings, "slug = 'acme'")
		settings.Exec(t, s.globex, "UPDATE tenant_stamp SET tenant_id = '"+acme+"'")
		s.requireFailed(t, "serve_other_tenant")
		settings.Exec(t, s.spare, "UPDATE tenant_stamp SET tenant_id = '"+acme+"'")
		s.requireFailed(t, "serve_other_tenant", "serve_spare")
	})
}

func TestIsolationFindsOpenFiles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	s := newIsolation(t, &settings)
	for path, mode := range map[string]os.FileMode{settings.File(s.globex): 0o600, settings.File("core"): 0o600, settings.Folder(): 0o700} {
		require.NoError(t, os.Chmod(path, mode|0o040))
		s.requireFailed(t, "read_files")
		outcome, _ := s.try(t)
		require.Contains(t, outcome.Stdout, "other users of the machine: "+filepath.Base(path)+" is 0")
		require.NoError(t, os.Chmod(path, mode))
	}
	s.requirePassed(t)
}

// Where there are no roles, that is said, and nothing else.
func TestIsolationWithoutRoles(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := appRole(t, &settings)
	settings.Administer(t, `ALTER ROLE "`+app+`" NOCREATEROLE`)
	server := testkit.Start(t, settings)
	fleetOf(server, "acme", "globex")

	outcome := settings.Command(t, "tenants", "isolation", "--json").RequireCode(t, 1)

	trials := testkit.Decode[[]trialJSON](t, outcome)
	require.Len(t, trials, 1)
	require.Equal(t, "tenant_role", trials[0].Trial)
	require.Contains(t, trials[len(trials)-1].Detail, "all tenants are reached by one role")
}

func TestIsolationWithoutTenants(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		outcome := app.Settings.Command(t, "tenants", "isolation", "--json").RequireCode(t, 0)
		require.Contains(t, outcome.Stdout, "no tenant is ready")

		owner := fleetOf(app, "acme") // alone: core is left to be reached
		outcome = app.Settings.Command(t, "tenants", "isolation", "--json").RequireCode(t, 0)
		require.Regexp(t, `"(connect|attach)_core"`, outcome.Stdout)
		require.NotContains(t, outcome.Stdout, "other_tenant\"")
		app.Put("/api/organizations/acme", owner, testkit.JSON{"is_active": false})
		for slug, sentence := range map[string]string{"acme": "it is suspended", "nobody": "Tenant not found", "../core": "Invalid slug"} {
			outcome := app.Settings.Command(t, "tenants", "isolation", "--tenant", slug).RequireCode(t, 1)
			require.Contains(t, outcome.Stderr, `tenant "`+slug+`": `+sentence)
			require.Empty(t, outcome.Stdout)
		}
	})
}
