package tests_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

func drillExport(t *testing.T, o *operator) {
	t.Helper()
	o.follow(t, "A customer asks for their data", 0)
	require.Contains(t, o.takeZIP(t)["tables/tenant_users.jsonl"], "ada@example.com")
}

func drillExportByOwner(t *testing.T, o *operator) {
	t.Helper()
	path, link, key := askForExport(t, o.app, o.owner)
	awaitDone(t, o.app, o.owner, path)
	o.places["https://api.example.com"], o.places["$LINK"], o.places["$KEY"] = o.app.URL, link, key
	o.follow(t, "Exports by owners", 0)
	require.Contains(t, o.takeZIP(t)["tables/tenant_users.jsonl"], "ada@example.com")
}

// A table that no migration makes is lost twice, and comes back with the tenant and alone.
func drillByHand(t *testing.T, o *operator) {
	t.Helper()
	if o.settings.Engine != testkit.Postgres || !canDump(t, o.settings) {
		return
	}
	acme := databaseNow(t, o.settings)
	o.settings.Exec(t, acme, "CREATE TABLE notes (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)",
		"INSERT INTO notes (text) VALUES ('by hand')", "CREATE VIEW report AS SELECT 1")
	require.Contains(t, o.follow(t, "Things made by hand", 0), "acme: complete: only the dump has ")
	o.settings.Exec(t, acme, "DROP TABLE notes")
	o.follow(t, "Things made by hand", 1)
	acme = databaseNow(t, o.settings)
	o.settings.Exec(t, acme, "DROP TABLE notes")
	o.places["$ID"], o.places["postgres://app@10.0.0.9/multitenant_acme"] = listBackups(t, o.settings)["acme"].ID, replaceDatabase(t, o.settings.Database.URL, acme)
	o.follow(t, "Things made by hand", 2)
	o.settings.Exec(t, acme, "INSERT INTO notes (text) VALUES ('later')")
	require.Equal(t, "by hand later", testkit.Scalar[string](t, o.settings, acme, "SELECT string_agg(text, ' ' ORDER BY id) FROM notes"))
	o.settings.Exec(t, acme, "DROP TABLE notes", "DROP VIEW report")
}

func drillSQL(t *testing.T, o *operator) {
	t.Helper()
	const mend = "UPDATE tenant_users SET full_name = 'Ada' WHERE role = 'owner'"
	require.NoError(t, os.WriteFile(filepath.Join(o.folder, "mend.sql"), []byte(mend), 0o600))
	seen := o.follow(t, "SQL in tenants", 0)
	require.Regexp(t, `(?m)^owner +1$`, seen)
	require.Regexp(t, `(?m)^\{"tenant":"globex","row":\{"users":\d+\}\}$`, seen)
	require.Contains(t, seen, "rows_affected\n1\n")
	if o.settings.Engine == testkit.Postgres {
		requirePrograms(t, "psql")
		role := testkit.Scalar[string](t, o.settings, o.settings.CoreName(), "SELECT role FROM tenants WHERE slug = 'acme'")
		require.Contains(t, o.follow(t, "SQL in tenants", 1), role)
	}
}

// The customer goes on with another installation.
func drillLeaving(t *testing.T, o *operator) {
	t.Helper()
	o.app.Token("acme", "grace@example.com")
	o.follow(t, "A customer leaves", 0)
	o.settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 1)

	other := *o
	settings := testkit.Fresh(t, o.settings.Engine)
	other.settings = &settings
	app := testkit.Start(t, settings)
	app.Token("", "ada@example.com")
	require.Contains(t, other.follow(t, "A customer leaves", 1), "mtpw_")
	requireWhole(t, app, "acme")
}

// takeZIP reads acme.zip, and removes it: an export does not replace a file.
func (o *operator) takeZIP(t *testing.T) map[string]string {
	t.Helper()
	file := filepath.Join(o.folder, "acme.zip")
	content := readZip(t, file)
	require.NoError(t, os.Remove(file))
	return content
}
