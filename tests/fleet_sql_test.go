package tests_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
	"multitenant/tests/testkit"
)

// rowsOf decodes the JSON Lines of a command: of each row the tenant and the columns.
func rowsOf(t *testing.T, text string) (rows []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var row struct {
			Tenant string         `json:"tenant"`
			Row    map[string]any `json:"row"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &row), line)
		row.Row["tenant"] = row.Tenant
		rows = append(rows, row.Row)
	}
	return rows
}

// execute runs SQL in a tenant by the command line.
func execute(t *testing.T, settings *testkit.Settings, slug, text string, flags ...string) testkit.Outcome {
	t.Helper()
	return settings.Command(t, append(append([]string{"tenants", "exec"}, flags...), slug, "--", text)...)
}

// inEngine chooses the text for the engine.
func inEngine(settings *testkit.Settings, postgres, sqlite string) string {
	if settings.Engine == testkit.Postgres {
		return postgres
	}
	return sqlite
}

func TestSQLShowsValues(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		fleetOf(app, "acme")
		app.Token("acme", "grace@example.com")
		settings := &app.Settings

		table := execute(t, settings, "acme", "SELECT email, NULL AS missing, '' AS empty, 'NULL' AS word FROM tenant_users WHERE email LIKE 'g%'").RequireCode(t, 0)
		require.Equal(t, "email              missing  empty  word\ngrace@example.com  NULL     \"\"     \"NULL\"\n", table.Stdout)
		require.NotContains(t, table.Stderr, "grace@", "no log has SQL or rows")
		require.NotContains(t, table.Stderr, "SELECT")

		bytes := inEngine(settings, `'\x00ff'::bytea`, "x'00ff'")
		values := execute(t, settings, "acme", "SELECT 1 AS a, 2 AS a, 1.5 AS n, NULL AS z, "+bytes+" AS b, 9007199254740993 AS big, '<&>' AS t", "--json").RequireCode(t, 0)
		require.Contains(t, values.Stdout, `{"tenant":"acme","row":{"a":1,"a_2":2,"n":1.5,"z":null,"b":"\\x00ff","big":9007199254740993,"t":"<&>"}}`+"\n")

		// A value cannot move the cursor, and a long one fills no terminal.
		escape := inEngine(settings, "E'\\x1b[2J\\n\\t' || repeat('x', 3000000)", "char(27) || '[2J' || char(10) || char(9) || replace(hex(zeroblob(1500000)), '0', 'x')")
		long := execute(t, settings, "acme", "SELECT "+escape+" AS v").RequireCode(t, 0).Stdout
		require.Regexp(t, `^v\n\\u001b\[2J\\n\\tx{194}…\n$`, long)
		whole := execute(t, settings, "acme", "SELECT "+escape+" AS v", "--json").RequireCode(t, 0).Stdout
		require.Len(t, rowsOf(t, whole)[0]["v"], 3_000_006)

		require.Equal(t, "email\n", execute(t, settings, "acme", "SELECT email FROM tenant_users WHERE 1 = 0").RequireCode(t, 0).Stdout)
		require.Empty(t, execute(t, settings, "acme", "SELECT email FROM tenant_users WHERE 1 = 0", "--json").RequireCode(t, 0).Stdout)
		numbers := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n" // without end
		cut := execute(t, settings, "acme", numbers, "--max-rows", "3").RequireCode(t, 0)
		require.Equal(t, "i\n1\n2\n3\n", cut.Stdout)
		require.Contains(t, cut.Stderr, "tenant \"acme\": only the first 3 rows are shown: see --max-rows\n")
		exact := execute(t, settings, "acme", "SELECT 1 AS i UNION ALL SELECT 2", "--max-rows", "2").RequireCode(t, 0)
		require.NotContains(t, exact.Stderr, "--max-rows")
		late := execute(t, settings, "acme", "SELECT count(*) FROM ("+numbers+") AS n", "--timeout", "1s").RequireCode(t, 1)
		require.Regexp(t, `tenant "acme": .*(statement timeout|cancelled after 1s)`, late.Stderr)

		read := settings.CommandReading(t, "SELECT 1 AS one;\n", "tenants", "exec", "acme", "--", "-").RequireCode(t, 0)
		require.Equal(t, "one\n1\n", read.Stdout)
		wrong := execute(t, settings, "acme", "SELECT emial FROM tenant_users").RequireCode(t, 1)
		require.Empty(t, wrong.Stdout)
		require.Regexp(t, inEngine(settings, `column "emial" does not exist \(SQLSTATE 42703\); hint: .*tenant_users.email.*; at character 8\n`, "no such column: emial"), wrong.Stderr)
		require.Contains(t, execute(t, settings, "nobody", "SELECT 1").RequireCode(t, 1).Stderr, `tenant "nobody": `)
	})
}

// A tenant that is suspended or behind can be looked at, and is not migrated by that.
func TestSQLAndTheStateOfATenant(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex", "initech")
		app.Close()
		old := schemaOf(t, &settings, "acme")
		next := nextRelease(settings, createTable(notesID, "notes"))

		settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		seen := execute(t, &next, "acme", "SELECT 1 AS one").RequireCode(t, 0)
		require.Contains(t, seen.Stderr, "1 tenant with another schema than this program's: see migrate status\n")
		require.Contains(t, execute(t, &next, "acme", "SELECT * FROM notes").RequireCode(t, 1).Stderr, "notes")
		execute(t, &next, "acme", "UPDATE tenant_users SET full_name = 'Ada L.'", "--write", "--yes").RequireCode(t, 0)
		require.Equal(t, old, schemaOf(t, &settings, "acme"))

		settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 0)
		require.Contains(t, execute(t, &settings, "globex", "SELECT 1").RequireCode(t, 1).Stderr, `tenant "globex": Tenant not found`)
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'initech'")
		for _, command := range []string{"exec initech SELECT", "sql initech"} {
			refused := settings.Command(t, append([]string{"tenants"}, strings.Fields(command)...)...).RequireCode(t, 1)
			require.Contains(t, refused.Stderr, `tenant "initech": it is deleting`)
		}
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'ready', role = '' WHERE slug = 'initech'")
		if settings.Engine == testkit.Postgres { // the application's role must not stand in
			for _, command := range []string{"exec initech SELECT", "sql initech"} {
				refused := settings.Command(t, append([]string{"tenants"}, strings.Fields(command)...)...).RequireCode(t, 1)
				require.Contains(t, refused.Stderr, `tenant "initech": it has no role of its own`)
			}
		}
	})
}

// Nothing that is run without --write changes anything.
func TestSQLCannotLeaveItsTransaction(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		fleetOf(app, "acme")
		app.Token("acme", "grace@example.com")
		settings := &app.Settings
		name := settings.DatabaseName("acme")
		before := settings.Dump(t, name)

		texts := []string{
			"DELETE FROM sessions", "SELECT 1; DELETE FROM sessions", "SELECT 1; COMMIT; DELETE FROM sessions", ";COMMIT; DELETE FROM sessions", "/* */ BEGIN",
			"INSERT INTO sessions SELECT * FROM sessions", "SELECT 'a'';b'; DELETE FROM sessions", "CREATE TABLE own (id integer)",
		}
		if settings.Engine == testkit.Postgres {
			texts = append(
				texts,
				"WITH gone AS (DELETE FROM sessions RETURNING id) SELECT * FROM gone",
				"EXPLAIN ANALYZE DELETE FROM sessions",
				"SET TRANSACTION READ WRITE",
				"SELECT set_config('transaction_read_only', 'off', false)",
				"DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM sessions; END $$",
				"DO $$ BEGIN COMMIT; DELETE FROM sessions; END $$",
				"DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM sessions; EXCEPTION WHEN OTHERS THEN DELETE FROM sessions; END $$",
				"SELECT nextval('sessions_id_seq')", "TRUNCATE sessions", "SELECT $1",
			)
			// What the server allows there is taken back.
			execute(t, settings, "acme", "SELECT pg_advisory_lock(1), set_config('default_transaction_read_only', 'off', false)").RequireCode(t, 0)
			require.Zero(t, testkit.Scalar[int](t, settings, name, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 "+
				"AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"))
			execute(t, settings, "acme", "SELECT lo_create(0)")
			require.Zero(t, testkit.Scalar[int](t, settings, name, "SELECT count(*) FROM pg_largeobject_metadata"))
		} else {
			texts = append(texts, "PRAGMA query_only = 0", "PRAGMA user_version = 5", "VACUUM", "REINDEX", "CREATE TEMP TABLE own (id integer)",
				"SELECT 1 /* ; */; DELETE FROM sessions", "DELETE FROM [sessions]; SELECT 1", "EXPLAIN DELETE FROM sessions")
		}
		for _, text := range texts {
			refused := execute(t, settings, "acme", text)
			require.NotZero(t, refused.Code, text)
			require.Empty(t, refused.Stdout, text)
		}
		require.Equal(t, before, settings.Dump(t, name))
		require.Contains(t, execute(t, settings, "acme", texts[0]).Stderr, "with --write the statement may change rows")
		require.Contains(t, execute(t, settings, "acme", texts[1]).Stderr, "several statements in one text are refused")
		execute(t, settings, "acme", "SELECT 'a;b', 'it''s; so' -- ; c\n; /* ; */ ;").RequireCode(t, 0)
	})
}

// Nothing that is run with --write reaches another tenant, core, the machine or the schema.
func TestSQLCannotLeaveItsTenant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		fleetOf(app, "acme", "globex")
		settings := &app.Settings
		own, other, core := settings.DatabaseName("acme"), settings.DatabaseName("globex"), settings.CoreName()
		before := settings.Dump(t, own)
		texts := []string{
			"CREATE TABLE own (id integer)", "DROP TABLE sessions", "ALTER TABLE sessions ADD COLUMN own integer",
			"UPDATE tenant_stamp SET tenant_id = 'x'", "DELETE FROM schema_migrations", "DELETE FROM audit_events", "UPDATE audit_events SET actor = ''",
		}
		if settings.Engine == testkit.Postgres {
			texts = append(
				texts,
				"DELETE FROM "+other+".public.sessions",
				"DO $$ BEGIN EXECUTE 'COPY sessions TO PROGRAM ''true'''; END $$", "COPY sessions TO PROGRAM 'true'", "COPY sessions FROM STDIN",
				"DO $$ BEGIN EXECUTE 'COPY sessions TO ''/tmp/sessions'''; END $$",
				"SELECT pg_read_file('/etc/passwd')", "SELECT lo_import('/etc/passwd')", "CREATE EXTENSION dblink", "SELECT dblink_connect('dbname="+core+"')",
				`\c `+other, "SET ROLE "+settings.Query(t, core, "SELECT current_user AS name")[len(" name="):], "ALTER DATABASE "+own+" SET work_mem = '1MB'",
			)
		} else {
			texts = append(
				texts,
				"ATTACH '"+settings.File(other)+"' AS other", "ATTACH '"+settings.File(core)+"' AS core", "ATTACH ':memory:' AS other", "DETACH main",
				"VACUUM INTO '"+filepath.Join(settings.Folder(), "copy.db")+"'", "SELECT load_extension('x')", "SELECT writefile('x', 'y')",
				"PRAGMA writable_schema = 1", "PRAGMA journal_mode = DELETE", "PRAGMA temp_store_directory = '/'", "UPDATE sqlite_master SET sql = ''",
				"CREATE VIRTUAL TABLE own USING fts5(text)", "CREATE TEMP TRIGGER own AFTER INSERT ON sessions BEGIN DELETE FROM audit_events; END",
			)
		}
		for _, text := range texts {
			refused := execute(t, settings, "acme", text, "--write", "--yes")
			require.NotZero(t, refused.Code, text)
			require.Empty(t, refused.Stdout, text)
		}
		require.Equal(t, before, settings.Dump(t, own))
		require.NoFileExists(t, filepath.Join(settings.Folder(), "copy.db"))
		require.Zero(t, testkit.Scalar[int](t, settings, core, "SELECT count(*) FROM audit_events WHERE action = 'organization.sql_run'"),
			"what is taken back is not on record")
	})
}

func TestSQLWrites(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner := fleetOf(app, "acme")
		app.Token("acme", "grace@example.com")
		app.Token("acme", "hank@example.com")
		settings := &app.Settings

		const secret = "UPDATE tenant_users SET full_name = 'secret words' WHERE email = 'grace@example.com'"
		require.Contains(t, execute(t, settings, "acme", secret, "--write").RequireCode(t, 2).Stderr, "--yes agrees")
		done := execute(t, settings, "acme", secret, "--write", "--yes").RequireCode(t, 0)
		require.Equal(t, "rows_affected\n1\n", done.Stdout)
		require.Equal(t, "secret words", testkit.Scalar[string](t, settings, settings.DatabaseName("acme"), "SELECT full_name FROM tenant_users WHERE email = 'grace@example.com'"))

		// Rows that are not shown are changed, too.
		all := execute(t, settings, "acme", "UPDATE tenant_users SET full_name = 'all' WHERE email <> 'x' RETURNING email", "--write", "--yes", "--max-rows", "1", "--json").RequireCode(t, 0)
		require.Len(t, rowsOf(t, all.Stdout), 1)
		require.Contains(t, all.Stderr, "only the first 1 rows")
		require.Zero(t, testkit.Scalar[int](t, settings, settings.DatabaseName("acme"), "SELECT count(*) FROM tenant_users WHERE full_name <> 'all'"))

		events := app.Get("/api/audit/?action=organization.sql_run", owner)
		require.Equal(t, 2, strings.Count(events.Raw, `"detail":"update"`), events.Raw)
		require.NotContains(t, events.Raw+done.Stderr+app.Log.String(), "secret words")
		failed := execute(t, settings, "acme", "INSERT INTO tenant_users SELECT * FROM tenant_users", "--write", "--yes").RequireCode(t, 1)
		require.Regexp(t, inEngine(settings, `duplicate key value.*; detail: Key \(id\)`, "UNIQUE constraint failed"), failed.Stderr)
		require.Equal(t, events.Raw, app.Get("/api/audit/?action=organization.sql_run", owner).Raw)
		if settings.Engine == testkit.SQLite {
			return // where a lock is a file
		}
		session, err := app.Backend.Lock(t.Context(), "tenant "+testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT id FROM tenants"))
		require.NoError(t, err)
		defer session.Unlock()
		execute(t, settings, "acme", "SELECT 1").RequireCode(t, 0) // reading waits for nobody
		require.Contains(t, execute(t, settings, "acme", secret, "--write", "--yes").RequireCode(t, 1).Stderr, "another operation is at work on it")
	})
}

func TestSQLInAllTenants(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		fleetOf(app, "acme", "globex", "initech")
		settings := &app.Settings
		settings.Command(t, "tenants", "suspend", "initech").RequireCode(t, 0)
		run := func(text string, flags ...string) testkit.Outcome {
			return settings.Command(t, append(append([]string{"tenants", "exec", "--all"}, flags...), "--", text)...)
		}

		table := run("SELECT count(*) AS users FROM tenant_users").RequireCode(t, 0)
		lines := strings.Split(strings.TrimSpace(table.Stdout), "\n")
		require.Regexp(t, `^TENANT +users$`, lines[0])
		require.ElementsMatch(t, []string{"acme 1", "globex 1", "initech 1"}, fieldsOf(lines[1:]))

		settings.Exec(t, settings.DatabaseName("globex"), "ALTER TABLE tenant_invitations RENAME TO gone")
		part := run("SELECT count(*) AS n FROM tenant_invitations", "--json", "--parallel", "1").RequireCode(t, 1)
		require.Len(t, rowsOf(t, part.Stdout), 2)
		require.NotContains(t, part.Stdout, "globex")
		require.Regexp(t, `(?m)^globex: .*tenant_invitations`, part.Stderr)
		require.Contains(t, part.Stderr, "\nerror: 1 tenant of 3 failed\n")

		require.Contains(t, run("DELETE FROM tenant_users", "--write").RequireCode(t, 2).Stderr, "--yes agrees")
		changed := run("UPDATE tenant_users SET full_name = 'all'", "--write", "--yes", "--json").RequireCode(t, 0)
		require.Len(t, rowsOf(t, changed.Stdout), 3)
		require.Equal(t, 3, testkit.Scalar[int](t, settings, settings.CoreName(), "SELECT count(*) FROM audit_events WHERE action = 'organization.sql_run'"))
		require.Contains(t, run("DELETE FROM tenant_users").RequireCode(t, 1).Stderr, "3 tenants of 3 failed")
		read := settings.CommandReading(t, "SELECT 1 AS one", "tenants", "exec", "--all", "--json", "-").RequireCode(t, 0)
		require.Equal(t, 3, strings.Count(read.Stdout, `"row":{"one":1}`))
	})
}

func fieldsOf(lines []string) (all []string) {
	for _, line := range lines {
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return all
}

// stoppingLog ends a context as soon as something is written.
type stoppingLog struct {
	testkit.Log

	stop context.CancelFunc
}

// Write takes the output of a command.
func (s *stoppingLog) Write(text []byte) (int, error) {
	s.stop()
	return s.Log.Write(text)
}

// A run that is interrupted cancels what is under way, and says what is left.
func TestSQLInAllTenantsStops(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		fleetOf(app, "acme", "globex")
		app.Token("globex", "slow@example.com")
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr := &stoppingLog{stop: cancel}, &testkit.Log{}

		// It has 600 rows in one tenant, which are written at once, and no end in the other.
		code := commands.Run(ctx, &commands.Invocation{
			Args: []string{"tenants", "exec", "--all", "--timeout", "1h", "--", `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
				WHERE i < 600 OR EXISTS (SELECT 1 FROM tenant_users WHERE email = 'slow@example.com')) SELECT i, count(*) OVER () AS n FROM n`},
			Environ: app.Settings.Environ(), Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		})
		require.Equal(t, 1, code)
		require.Contains(t, stderr.String(), "interrupted: 1 tenant left\n")
		require.Contains(t, stdout.String(), "acme")
		require.NotContains(t, stdout.String(), "globex")
	})
}
