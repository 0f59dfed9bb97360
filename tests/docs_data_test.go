package tests_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// TestEveryColumnIsClassified: the table of docs/asvs.md names every column of core and
// of a tenant, under one class of data.
func TestEveryColumnIsClassified(t *testing.T) {
	t.Parallel()
	_, section, found := strings.Cut(readFile(t, asvsDocument), "\n### What data there is\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	classified := captures("`([a-z_]+)`", strings.Join(captures(`(?m)^\| (?:secret|personal|internal) \|([^|]*)\|`, section), " "))
	slices.Sort(classified)
	secrets := captures("`([a-z_]+)`", captures(`(?m)^\| secret \|([^|]*)\|`, section)[0])
	require.ElementsMatch(t, secrets, models.SecretColumns(), "no export has them")

	app := testkit.Start(t, testkit.Fresh(t, testkit.SQLite))
	app.Organization(app.Token("", "ada@example.com"), "acme")
	columns := slices.Concat(
		columnsOf(t, app, app.Settings.CoreName()), columnsOf(t, app, app.Settings.DatabaseName("acme")))
	slices.Sort(columns)
	require.Equal(t, slices.Compact(columns), classified)
}

// columnsOf returns the names of all columns of our tables.
func columnsOf(t *testing.T, app *testkit.App, database string) (names []string) {
	t.Helper()
	rows, err := app.Settings.SQL(t, database).QueryContext(t.Context(), `SELECT c.name
		FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}
