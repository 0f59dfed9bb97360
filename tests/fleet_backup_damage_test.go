package tests_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// Each sort of damage is found, at the level that promises it, and is undone again
// before the next.
func TestBackupVerifyFindsDamage(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		folder := keepBackups(t, &settings, identity)
		settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		settings.Command(t, "backup", "run").RequireCode(t, 0)
		kept := listBackups(t, &settings)
		archived := func(slug string) string { return filepath.Join(folder, kept[slug].Archive) }
		record := recordOf(archived("acme"))
		read := func(path string) []byte {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			return text
		}
		acme, globex, recorded := read(archived("acme")), read(archived("globex")), read(record)
		changed := bytes.Clone(acme)
		changed[len(changed)/2] ^= 1
		for name, damage := range map[string]struct {
			path string
			text []byte // nil for none
		}{
			"cut":                 {archived("acme"), acme[:len(acme)-1]},
			"empty":               {archived("acme"), []byte{}},
			"a changed byte":      {archived("acme"), changed},
			"more":                {archived("acme"), append(bytes.Clone(acme), 0)},
			"missing":             {archived("acme"), nil},
			"another tenant's":    {archived("acme"), globex},
			"a cut record":        {record, recorded[:len(recorded)/2]},
			"another's record":    {record, read(recordOf(archived("globex")))},
			"a record of nothing": {record, []byte("{}")},
		} {
			require.NoError(t, os.Remove(damage.path))
			if damage.text != nil {
				require.NoError(t, os.WriteFile(damage.path, damage.text, 0o600))
			}
			for _, level := range []string{"1", "2"} {
				found := settings.Command(t, "backup", "verify", "--level", level).RequireCode(t, 1)
				require.Equal(t, "backups: 3 whole, 1 not\n", found.Stdout, "%s at level %s", name, level)
			}
			require.NoError(t, os.WriteFile(archived("acme"), acme, 0o600))
			require.NoError(t, os.WriteFile(record, recorded, 0o600))
		}
		settings.Command(t, "backup", "verify").RequireCode(t, 0)

		settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, newIdentity(t))
		closed := settings.Command(t, "backup", "verify").RequireCode(t, 1)
		require.Equal(t, "backups: 0 whole, 4 not\n", closed.Stdout)
		require.NotContains(t, closed.Stderr, identity.String())
	})
}

// recordOf returns where the record of an archive is.
func recordOf(archived string) string { return strings.Replace(archived, ".tar.zst.age", ".json", 1) }

// What the migrations do not make again is named, and its tables are copied all the
// same.
func TestBackupNamesWhatItLacks(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	folder := keepBackups(t, &settings, nil)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme")
	acme := settings.DatabaseName("acme")
	settings.Exec(t, acme, "CREATE VIEW report AS SELECT id FROM tenant_users", "ALTER TABLE tenant_users ADD note text DEFAULT 'by hand'",
		"CREATE INDEX by_hand ON tenant_users (note)", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE SCHEMA other", "COMMENT ON TABLE tenant_users IS 'by hand'", "SELECT lo_create(0)",
		"GRANT SELECT ON tenant_users TO PUBLIC", "CREATE TYPE mood AS ENUM ('good')")

	outcome := settings.Command(t, "backup", "run", "--json", "--tenant", "acme").RequireCode(t, 1)

	require.Contains(t, outcome.Stderr, "BACKUP_RECIPIENTS names no one")
	run := testkit.Decode[backupRunJSON](t, outcome)
	require.Equal(t, []int{0, 1, 0, 0}, []int{run.Complete, run.Incomplete, run.Failed, run.Left})
	backup := listBackups(t, &settings)["acme"]
	require.Equal(t, "incomplete", backup.Status)
	require.ElementsMatch(t, []string{
		"view report", "column tenant_users.note", "index by_hand", "function mine()", "schema other",
		"comment on table public.tenant_users", "large objects: 1", "privileges of PUBLIC on tenant_users", "type mood",
	}, backup.Unexplained)
	require.Contains(t, readParts(t, filepath.Join(folder, backup.Archive), nil)["tables/tenant_users/000000.copy"], "by hand")
	settings.Command(t, "backup", "verify").RequireCode(t, 0)
}

// A table whose rows are hidden, or that may not be read, is an error and not a
// backup without them.
func TestBackupFailsWhereRowsWouldBeMissing(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	folder := keepBackups(t, &settings, nil)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme", "globex")
	settings.Exec(t, settings.DatabaseName("acme"), "ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
	administratorIn(t, &settings, settings.DatabaseName("globex"))("ALTER TABLE public.sessions OWNER TO postgres")

	outcome := settings.Command(t, "backup", "run").RequireCode(t, 1)

	require.Equal(t, "backups: 2 complete, 0 incomplete, 0 skipped, 2 failed, 0 left\n", outcome.Stdout)
	require.Contains(t, outcome.Stderr, "acme: failed: ")
	require.Contains(t, outcome.Stderr, "row-level security")
	require.Contains(t, outcome.Stderr, "permission denied for table sessions")
	require.Equal(t, []string{"core"}, keysOf(listBackups(t, &settings)))
	parts, err := filepath.Glob(filepath.Join(folder, "*", "*", "*"))
	require.NoError(t, err)
	require.Len(t, parts, 4, "the archives and records of core alone")
}

func keysOf[V any](all map[string]V) []string {
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	return keys
}

// A tenant that is being deleted, or that another release has migrated, is skipped.
func TestBackupSkipsWhatIsNotWhole(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		app.Close()
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'acme'")
		deleting := settings.Command(t, "backup", "run").RequireCode(t, 0)
		require.Equal(t, "backups: 3 complete, 0 incomplete, 1 skipped, 0 failed, 0 left\n", deleting.Stdout)
		require.Contains(t, deleting.Stderr, "acme: skipped: it is deleting")

		later := nextRelease(settings, createTable(notesID, "notes"))
		behind := later.Command(t, "backup", "run", "--tenant", "globex").RequireCode(t, 1)
		require.Equal(t, "backups: 0 complete, 0 incomplete, 1 skipped, 0 failed, 0 left\n", behind.Stdout)
		require.Contains(t, behind.Stderr, "run migrate first")
		settings.Command(t, "backup", "run", "--tenant", "nobody").RequireCode(t, 1)
		settings.Command(t, "backup", "verify", "--level", "4").RequireCode(t, 2)
		delete(settings.Variables, "BACKUP_URL")
		require.Contains(t, settings.Command(t, "backup", "list").RequireCode(t, 1).Stderr, "BACKUP_URL: must be set")
	})
}

// A database of the Python original that was taken over has nothing unexplained.
func TestBackupOfWhatWasTakenOver(t *testing.T) {
	t.Parallel()
	o := testkit.NewOriginal(t, testkit.Postgres)
	keepBackups(t, &o.Settings, nil)
	o.CoreUser(1, "ada@example.com", testkit.CheapHash, "TRUE")
	o.Organization(1, "acme", 1, "TRUE")
	o.Tenant("acme")
	o.TenantUser("acme", 1, "ada@example.com", testkit.CheapHash, "TRUE")
	o.Command(t, "migrate").RequireCode(t, 0)

	outcome := o.Command(t, "backup", "run").RequireCode(t, 0)

	require.Equal(t, "backups: 3 complete, 0 incomplete, 0 skipped, 0 failed, 0 left\n", outcome.Stdout)
}

// A deletion does not wait for a copy that takes long.
func TestBackupEndsWhenItsTenantIsDeleted(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	folder := keepBackups(t, &settings, nil)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme")
	app.Close()
	holder, err := settings.SQL(t, settings.DatabaseName("acme")).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = holder.ExecContext(t.Context(), "LOCK TABLE tenant_users IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	ended := make(chan testkit.Outcome, 1)
	go func() { ended <- settings.CommandUntil(t.Context(), "backup", "run", "--tenant", "acme") }()
	awaitPart(t, folder)
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting'")

	outcome := (<-ended).RequireCode(t, 0)

	require.NoError(t, holder.Rollback())
	require.Contains(t, outcome.Stderr, "acme: skipped: it is being deleted")
	left, err := filepath.Glob(filepath.Join(folder, "*", "*", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Where the program keeps the token key in a file, it is kept with core.
func TestBackupOfCoreHasTheTokenKey(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	folder := keepBackups(t, &settings, nil)
	settings.Variables["JWT_SECRET_KEY"] = ""
	settings.Command(t, "migrate").RequireCode(t, 0)
	key := testkit.Secret + " in a file\n"
	require.NoError(t, os.WriteFile(settings.File("core")+".jwt_secret", []byte(key), 0o600))

	outcome := settings.Command(t, "backup", "run").RequireCode(t, 0)

	require.Equal(t, key, readParts(t, filepath.Join(folder, listBackups(t, &settings)["core"].Archive), nil)["token_key"])
	require.NotContains(t, outcome.Stdout+outcome.Stderr, testkit.Secret)
}
