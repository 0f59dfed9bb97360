package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

func TestRollback(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		member := app.TokenOf("acme", "ada@example.com")
		old := schemaOf(t, &settings, "acme")
		next := nextRelease(settings, createTable(notesID, "notes"), createTable(tagsID, "tags"))
		next.Command(t, "migrate").RequireCode(t, 0)
		settings.Exec(t, settings.DatabaseName("globex"), "DROP TABLE notes") // its way back fails

		alone := next.Command(t, "migrate", "rollback", "--to", old).RequireCode(t, 2)
		require.Contains(t, alone.Stderr, "\nhint: --yes ")
		require.Equal(t, tagsID, schemaOf(t, &settings, "acme"))

		outcome := next.Command(t, "migrate", "rollback", "--to", old, "--yes").RequireCode(t, 1)
		require.Equal(t, "tenants: 1 rolled back, 1 failed, 0 left\n", outcome.Stdout)
		require.Regexp(t, `(?m)^globex: .*notes`, outcome.Stderr)
		require.Equal(t, old, schemaOf(t, &settings, "acme"))
		require.Equal(t, tagsID, schemaOf(t, &settings, "globex"))
		acme := settings.Dump(t, settings.DatabaseName("acme"))
		require.NotContains(t, acme, "tags")
		require.NotContains(t, acme, tagsID)
		require.Contains(t, settings.Dump(t, settings.DatabaseName("globex")), "tags", "all or nothing")
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", member).Code)
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", app.TokenOf("globex", "ada@example.com")).Code)

		settings.Exec(t, settings.DatabaseName("globex"), "CREATE TABLE notes (id integer)")
		next.Command(t, "migrate", "rollback", "--to", old, "--yes").RequireCode(t, 0)
		require.Equal(t, old, schemaOf(t, &settings, "globex"))
		idle := next.Command(t, "migrate", "rollback", "--to", old).RequireCode(t, 0)
		require.Equal(t, "No tenant has a later migration.\n", idle.Stdout)

		// And there again, one tenant and one step at a time.
		next.Command(t, "migrate").RequireCode(t, 0)
		next.Command(t, "migrate", "rollback", "--to", notesID, "--tenant", "acme", "--yes").RequireCode(t, 0)
		require.Equal(t, notesID, schemaOf(t, &settings, "acme"))
		require.Equal(t, tagsID, schemaOf(t, &settings, "globex"))
		require.Contains(t, settings.Dump(t, settings.DatabaseName("acme")), "notes")
	})
}

func TestRollbackRefusesBeforehand(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		fleetOf(testkit.Start(t, settings), "acme")
		old := schemaOf(t, &settings, "acme")
		final := createTable(notesID, "notes")
		final.Rollback = nil
		next := nextRelease(settings, final, createTable(tagsID, "tags"))
		next.Command(t, "migrate").RequireCode(t, 0)
		before := settings.Dump(t, settings.CoreName()) + settings.Dump(t, settings.DatabaseName("acme"))

		for arguments, want := range map[string]string{
			old:       "migration cannot be rolled back: " + notesID,
			"unknown": "there is no migration unknown\nhint: `multitenant migrate list` lists the migrations",
		} {
			outcome := next.Command(t, "migrate", "rollback", "--yes", "--to", arguments).RequireCode(t, 1)
			require.Equal(t, "error: "+want+"\n", outcome.Stderr)
		}
		nobody := next.Command(t, "migrate", "rollback", "--yes", "--to", notesID, "--tenant", "nobody").RequireCode(t, 1)
		require.Equal(t, "error: tenant \"nobody\": Tenant not found\nhint: `multitenant tenants list` lists the tenants\n", nobody.Stderr)
		require.Equal(t, before, settings.Dump(t, settings.CoreName())+settings.Dump(t, settings.DatabaseName("acme")))

		// The program that does not know the migrations cannot take them back.
		ignorant := settings.Command(t, "migrate", "rollback", "--yes", "--to", old).RequireCode(t, 1)
		require.Regexp(t, `(?m)^acme: .*newer version`, ignorant.Stderr)
		require.Equal(t, before, settings.Dump(t, settings.CoreName())+settings.Dump(t, settings.DatabaseName("acme")))
		require.Contains(t, settings.Command(t, "migrate", "status").RequireCode(t, 0).Stdout, "0 pending, 0 failed, 1 of a newer version")
		require.Equal(t, "tenants: 0 migrated, 0 failed, 0 left\n", settings.Command(t, "migrate").RequireCode(t, 0).Stdout)
	})
}
