package tests_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// dumpProgram writes a pg_dump whose version is that of the real one, unless it is given.
func dumpProgram(t *testing.T, version, dump string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pg_dump")
	script := "#!/bin/sh\nset -eu\nif [ \"$1\" = --version ]; then " + version + "; exit; fi\n" + dump + "\n"
	require.NoError(t, os.WriteFile(path, []byte(script), 0o700))
	return path
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// canDump reports whether pg_dump can dump the server's databases, which an older one cannot.
func canDump(t *testing.T, settings *testkit.Settings) bool {
	t.Helper()
	requirePrograms(t, "pg_dump", "pg_restore", "psql")
	output, err := exec.CommandContext(t.Context(), "pg_dump", settings.Database.URL, "--schema-only").CombinedOutput()
	if strings.Contains(string(output), "server version mismatch") {
		return false
	}
	require.NoError(t, err, string(output))
	return true
}

// makeByHand makes one of each sort of thing that no migration makes.
func makeByHand(t *testing.T, settings *testkit.Settings, name string) {
	t.Helper()
	settings.Exec(t, name,
		"CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL, author integer)",
		"CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.text := upper(NEW.text); RETURN NEW; END$$",
		"CREATE TRIGGER shout BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION shout()",
		"INSERT INTO notes (text) VALUES ('the first')", "CREATE INDEX notes_text ON notes (text)",
		"ALTER TABLE notes ENABLE ROW LEVEL SECURITY", "CREATE POLICY mine ON notes USING (author = 1)",
		"CREATE VIEW report AS SELECT count(*) AS users FROM tenant_users", "CREATE SEQUENCE tickets START 7", "SELECT nextval('tickets')",
		"SELECT lo_from_bytea(4711, 'big')", "GRANT SELECT ON notes TO PUBLIC")
}

// requireByHand requires that a database has the things of makeByHand.
func requireByHand(t *testing.T, settings *testkit.Settings, name string) {
	t.Helper()
	for query, want := range map[string]string{
		"SELECT text FROM notes":                    "THE FIRST",
		"SELECT users > 0 FROM report":              "true",
		"SELECT nextval('tickets')":                 "8",
		"SELECT convert_from(lo_get(4711), 'UTF8')": "big",
		"SELECT tgname FROM pg_trigger WHERE tgrelid = 'notes'::regclass AND NOT tgisinternal":                 "shout",
		"SELECT polname FROM pg_policy WHERE polrelid = 'notes'::regclass":                                     "mine",
		"SELECT indexname FROM pg_indexes WHERE tablename = 'notes' AND indexname LIKE '%text'":                "notes_text",
		"SELECT is_identity FROM information_schema.columns WHERE table_name = 'notes' AND column_name = 'id'": "YES",
	} {
		_, found, _ := strings.Cut(strings.TrimSpace(settings.Query(t, name, query)), "=")
		require.Equal(t, want, found, query)
	}
}

// Where a database has things that no migration makes, a server's backup has a dump of the same
// moment, and is complete. The dump comes out whole. No password is in the arguments.
func TestBackupsCarryADump(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	if !canDump(t, &settings) {
		t.Skip("pg_dump is older than the server")
	}
	identity := newIdentity(t)
	folder := keepBackups(t, &settings, identity)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme", "globex")
	app.Register("acme", "grace@example.com")
	token := app.TokenOf("acme", "grace@example.com")
	acme := settings.DatabaseName("acme")
	makeByHand(t, &settings, acme)
	program := dumpProgram(t, "pg_dump --version", `printf '%s\n' "$@" >>"$0.arguments"; env >>"$0.environ"
psql -Xqc "INSERT INTO public.notes (text) VALUES ('too late')"
if psql -Xqc "SET lock_timeout = '100ms'; TRUNCATE public.notes" 2>/dev/null; then exit 9; fi
exec pg_dump "$@"`)
	settings.Variables["BACKUP_PG_DUMP"], settings.Variables["BACKUP_EVERY"] = program, "24h"
	require.NoError(t, os.MkdirAll(folder, 0o700))
	serveUntilBackedUp(t, &settings, 1, 3)
	delete(settings.Variables, "BACKUP_EVERY")

	kept := listBackups(t, &settings)
	require.Equal(t, []any{"complete", true, "complete", false}, []any{kept["acme"].Status, kept["acme"].Dumped, kept["globex"].Status, kept["globex"].Dumped})
	require.Subset(t, kept["acme"].Unexplained, []string{"table notes", "view report", "sequence tickets", "large objects: 1", "privileges of PUBLIC on notes"})
	require.True(t, strings.HasPrefix(readParts(t, filepath.Join(folder, kept["acme"].Archive), identity)["dump/000000.pgc"], "PGDMP"))
	require.NotContains(t, readParts(t, filepath.Join(folder, kept["globex"].Archive), identity), "dump/000000.pgc")
	arguments, environ := readText(t, program+".arguments"), readText(t, program+".environ")
	require.Equal(t, 1, strings.Count(arguments, "--snapshot="), "globex and core have nothing by hand")
	require.NotContains(t, arguments, "postgres")
	require.Contains(t, environ, "PGPASSWORD=")
	require.NotContains(t, environ, "JWT_SECRET_KEY")

	file := filepath.Join(t.TempDir(), "acme.pgc")
	closed := settings.Command(t, "backup", "extract-dump", kept["acme"].ID, file).RequireCode(t, 1)
	require.Contains(t, closed.Stderr, "backup_identity_missing")
	settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
	require.Contains(t, settings.Command(t, "backup", "extract-dump", kept["globex"].ID, file).RequireCode(t, 1).Stderr, "it has no dump")
	require.NoFileExists(t, file)
	settings.Command(t, "backup", "extract-dump", kept["acme"].ID, file).RequireCode(t, 0)
	require.Contains(t, settings.Command(t, "backup", "extract-dump", kept["acme"].ID, file).RequireCode(t, 1).Stderr, "exists")
	about, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), about.Mode())
	other := settings.DatabaseName("other")
	settings.CreateDatabase(t, other)
	restored, err := exec.CommandContext(t.Context(), "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges",
		"--dbname="+replaceDatabase(t, settings.Database.URL, other), file).CombinedOutput()
	require.NoError(t, err, string(restored))
	requireByHand(t, &settings, other)

	requireProvenDump(t, &settings, program)
	requireMadeOfTheDump(t, app, &settings, token)
	requireDumpsOnRequest(t, &settings, kept["acme"].ID)
}

// requireMadeOfTheDump requires that a tenant which is made of the dump has what was made by
// hand, and is as every other restored tenant: without sessions, and with all events in place.
func requireMadeOfTheDump(t *testing.T, app *testkit.App, settings *testkit.Settings, token string) {
	t.Helper()
	broken := settings.Command(t, "tenants", "restore", "acme", "--as", "broken", "--with-pg-dump", "--yes").RequireCode(t, 1)
	require.Contains(t, broken.Stderr, "pg_restore: exit status 3: boom")
	beside := filepath.Join(filepath.Dir(settings.Variables["BACKUP_PG_DUMP"]), "pg_restore")
	require.NoError(t, os.WriteFile(beside, []byte("#!/bin/sh\npg_restore \"$@\" && psql -Xqc 'DELETE FROM public.sessions'"), 0o700))
	lossy := settings.Command(t, "tenants", "restore", "acme", "--as", "lossy", "--with-pg-dump", "--yes").RequireCode(t, 1)
	require.Contains(t, lossy.Stderr, "restored, table sessions has other rows")
	settings.RequireTidy(t, settings.DatabaseName("other"))
	delete(settings.Variables, "BACKUP_PG_DUMP")
	count := func(name, table string) int {
		return testkit.Scalar[int](t, settings, name, "SELECT count(*) FROM "+table)
	}
	made := func(outcome testkit.Outcome, slug string) string {
		require.Equal(t, "it lacks privileges of PUBLIC on notes", strings.TrimSpace(outcome.RequireCode(t, 0).Messages()))
		name := testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT database_name FROM tenants WHERE slug = '"+slug+"'")
		requireByHand(t, settings, name)
		require.Zero(t, count(name, "sessions"))
		return name
	}

	made(settings.Command(t, "tenants", "restore", "acme", "--as", "whole", "--with-pg-dump", "--yes"), "whole")
	awaitLogin(t, app, "whole", "grace@example.com")
	acme := databaseNow(t, settings)
	settings.Exec(t, acme, "DROP TABLE notes")
	events := count(acme, "audit_events")
	acme = made(settings.Command(t, "tenants", "restore", "acme", "--in-place", "--with-pg-dump", "--yes"), "acme")
	require.GreaterOrEqual(t, count(acme, "audit_events"), events)
	testkit.Await(t, time.Minute, func() error {
		if answer := app.Get("/api/users/me", token); answer.Code != http.StatusUnauthorized {
			return errors.New(answer.Raw)
		}
		return nil
	})
	awaitLogin(t, app, "acme", "grace@example.com")
	settings.Command(t, "tenants", "doctor", "--tenant", "whole").RequireCode(t, 0)

	role := testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT role FROM tenants WHERE slug = 'whole'")
	administratorIn(t, settings, settings.DatabaseName("whole"))("CREATE FUNCTION public.theirs() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
		`ALTER FUNCTION public.theirs() OWNER TO "`+role+`"`)
	settings.Command(t, "backup", "run", "--tenant", "whole", "--with-pg-dump").RequireCode(t, 0)
	refused := settings.Command(t, "tenants", "restore", "whole", "--as", "risen", "--with-pg-dump", "--yes").RequireCode(t, 1)
	require.Contains(t, refused.Stderr, "things in its dump belong to "+role)
}

// requireProvenDump requires that level 3 has pg_restore read the dump, where that is there.
func requireProvenDump(t *testing.T, settings *testkit.Settings, program string) {
	t.Helper()
	settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 0)
	beside := filepath.Join(filepath.Dir(program), "pg_restore")
	require.NoError(t, os.WriteFile(beside, []byte("#!/bin/sh\nexec pg_restore \"$@\" | tee \"$0.script\""), 0o700))
	settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 0)
	require.Contains(t, readText(t, beside+".script"), "THE FIRST")
	require.NoError(t, os.WriteFile(beside, []byte("#!/bin/sh\necho boom >&2\nexit 3"), 0o700))
	refused := settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 1)
	require.Equal(t, "backups: 2 whole, 1 not\n", refused.Stdout)
	require.Contains(t, refused.Stderr, "pg_restore: exit status 3: boom")
	settings.Command(t, "backup", "verify").RequireCode(t, 0)
}

// requireDumpsOnRequest requires a dump for backup run and for a tenant that is deleted, and
// that a tenant which is made of a backup by its rows is said to lack what the dump has.
func requireDumpsOnRequest(t *testing.T, settings *testkit.Settings, id string) {
	t.Helper()
	unnamed := settings.Command(t, "tenants", "restore", "acme", "--as", "beside", "--yes").RequireCode(t, 1)
	require.Contains(t, unnamed.Stderr, "which the dump in backup "+id+" has: to restore it all the same, name it by --backup "+id)
	beside := settings.Command(t, "tenants", "restore", "acme", "--as", "beside", "--backup", id, "--yes").RequireCode(t, 0)
	require.Regexp(t, "it lacks .*table notes.* which the dump in backup "+id+" has", beside.Stderr)
	delete(settings.Variables, "BACKUP_PG_DUMP")
	run := testkit.Decode[backupRunJSON](t, settings.Command(t, "backup", "run", "--tenant", "acme", "--json").RequireCode(t, 1))
	require.Equal(t, []int{0, 1}, []int{run.Complete, run.Incomplete})
	run = testkit.Decode[backupRunJSON](t, settings.Command(t, "backup", "run", "--tenant", "acme", "--with-pg-dump", "--json").RequireCode(t, 0))
	require.Equal(t, []int{1, 0}, []int{run.Complete, run.Incomplete})
	require.Empty(t, run.Items[0].Reason)
	require.Contains(t, run.Items[0].Dumped, "table notes")
	settings.Variables["BACKUP_PG_DUMP"] = "pg_dump"
	settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)
	last := listBackups(t, settings)["acme"]
	require.True(t, last.Dumped)
	require.NotEqual(t, run.Items[0].ID, last.ID)
	settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 1)
	settings.Command(t, "tenants", "restore", "acme", "--with-pg-dump", "--yes").RequireCode(t, 0)
	require.Equal(t, "THE FIRST", testkit.Scalar[string](t, settings, databaseNow(t, settings), "SELECT text FROM notes"))
}

// A pg_dump that is missing or older than the server is an error before anything is done. One
// that fails or is given up leaves no backup, and no process.
func TestBackupsWithoutTheDumpDoNotCount(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	folder := keepBackups(t, &settings, nil)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme")
	settings.Exec(t, settings.DatabaseName("acme"), "CREATE TABLE notes (id integer)")
	objects := func() []string {
		found, err := filepath.Glob(filepath.Join(folder, "*", "*", "*"))
		require.NoError(t, err)
		return found
	}
	missing := filepath.Join(t.TempDir(), "pg_dump")
	require.NoError(t, os.WriteFile(missing, []byte("#!/missing/sh"), 0o700))
	for program, want := range map[string]string{
		missing: "no such file or directory: install PostgreSQL's client programs of version",
		dumpProgram(t, "echo 'pg_dump (PostgreSQL) 9.6.24'", "exit 9"): "is of version 9.6.24, and the server of",
		dumpProgram(t, "echo nonsense >&2; exit 127", "exit 9"):        "exit status 127: nonsense: install PostgreSQL's",
		dumpProgram(t, "echo me", "exit 9"):                            `says that it is "me`,
	} {
		settings.Variables["BACKUP_PG_DUMP"] = program
		require.Contains(t, settings.Command(t, "backup", "run").RequireCode(t, 1).Stderr, want)
		require.Contains(t, settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 1).Stderr, want)
		require.Empty(t, objects())
	}

	const newest = "echo 'pg_dump (PostgreSQL) 99.1'"
	settings.Variables["BACKUP_PG_DUMP"] = dumpProgram(t, newest, "echo PGDMP; echo boom >&2; exit 3")
	failed := settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 1)
	require.Contains(t, failed.Stderr, "pg_dump: exit status 3: boom")
	require.Empty(t, objects())

	program := dumpProgram(t, newest, `echo PGDMP; sleep 300 & echo $! >"$0.child"; wait`)
	settings.Variables["BACKUP_PG_DUMP"] = program
	running, stop := context.WithCancel(t.Context())
	ended := make(chan testkit.Outcome, 1)
	go func() { ended <- settings.CommandUntil(running, "backup", "run", "--tenant", "acme") }()
	var child int
	testkit.Await(t, time.Minute, func() error {
		text, err := os.ReadFile(program + ".child")
		if err == nil {
			child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err
	})
	stop()
	(<-ended).RequireCode(t, 1)
	testkit.Await(t, time.Minute, func() error {
		if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) {
			return errors.New("its child lives")
		}
		return nil
	})
	require.Empty(t, objects())
	requireWhole(t, app, "acme")
}

// On SQLite a backup is a file, which has everything.
func TestBackupsOfFilesNeedNoDump(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	folder := keepBackups(t, &settings, nil)
	settings.Command(t, "migrate").RequireCode(t, 0)
	refused := settings.Command(t, "backup", "run", "--with-pg-dump").RequireCode(t, 1)
	require.Contains(t, refused.Stderr, "pg_dump is for PostgreSQL, and backups of SQLite have everything")
	found, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.Empty(t, found)
	settings.Variables["BACKUP_PG_DUMP"] = "sh"
	require.Contains(t, settings.Command(t, "backup", "run").RequireCode(t, 1).Stderr, "BACKUP_PG_DUMP: must not be set with SQLite")
}
