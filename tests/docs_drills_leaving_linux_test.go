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
