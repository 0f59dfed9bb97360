package tests_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// At level 3 core and tenants are restored and nothing is left behind. A backup whose
// object is whole and whose content cannot be loaded is found there alone.
func TestBackupVerifyRestores(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		app.Token("acme", "grace@example.com")
		settings.Command(t, "backup", "run").RequireCode(t, 0)

		whole := settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 0)

		require.Equal(t, "backups: 4 whole, 0 not\n", whole.Stdout)
		settings.RequireTidy(t)
		acme := settings.DatabaseName("acme")
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, acme, "ALTER TABLE sessions DROP CONSTRAINT "+testkit.Scalar[string](t, &settings, acme,
				"SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND conrelid = 'sessions'::regclass"))
		}
		settings.Exec(t, acme, "UPDATE sessions SET user_id = 471147114")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		readable := settings.Command(t, "backup", "verify", "--level", "2").RequireCode(t, 0)
		require.Equal(t, "backups: 5 whole, 0 not\n", readable.Stdout)

		broken := settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 1)

		require.Equal(t, "backups: 4 whole, 1 not\n", broken.Stdout)
		require.Contains(t, broken.Stderr, "the copy cannot be loaded")
		require.NotContains(t, broken.Stderr, "471147114")
		refused := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "the copy cannot be loaded")
		require.Equal(t, 401, app.Login("acme-2", "ada@example.com").Code)
		settings.RequireTidy(t)
	})
}

// A backup that lacks something is restored only if it is named, and not where it has
// values for which there is no column.
func TestRestoreOfAnIncompleteBackup(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	keepBackups(t, &settings, nil)
	settings.Command(t, "migrate").RequireCode(t, 0)
	settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
	acme := settings.DatabaseName("acme")
	settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
	settings.Exec(t, acme, "CREATE VIEW report AS SELECT id FROM tenant_users")
	settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 1)
	backup := listBackups(t, &settings)["acme"]
	require.Equal(t, "incomplete", backup.Status)

	unnamed := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 1)
	require.Contains(t, unnamed.Stderr, "lacks view report")
	named := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes", "--backup", backup.ID).RequireCode(t, 0)
	require.Contains(t, named.Stderr, "it lacks view report")

	settings.Exec(t, acme, "ALTER TABLE tenant_users ADD note text")
	settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 1)
	last := listBackups(t, &settings)["acme"]
	column := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-3", "--yes", "--backup", last.ID).RequireCode(t, 1)
	require.Contains(t, column.Stderr, "no migration makes its column tenant_users.note")
	require.Contains(t, settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 1).Stderr, "tenant_users.note")
	settings.RequireTidy(t)
}
