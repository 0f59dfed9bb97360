package tests_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// keeping copies tables of a database. What it returns puts the copy back, and the
// sequences with it, as a restored backup does.
func keeping(t *testing.T, app *testkit.App, database string, tables ...string) (restore func()) {
	t.Helper()
	for _, table := range tables {
		app.Settings.Exec(t, database, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	return func() {
		t.Helper()
		var statements []string
		for _, table := range slices.Backward(tables) {
			statements = append(statements, "DELETE FROM "+table)
		}
		for _, table := range tables {
			statements = append(statements, "INSERT INTO "+table+" SELECT * FROM kept_"+table, "DROP TABLE kept_"+table,
				restartSequence(app.Settings.Engine, table))
		}
		app.Settings.Exec(t, database, statements...)
	}
}

// TestWhatCredentialsAreWorthInARestoredTenant that has no memory of them: the same
// numbers are given to others. Those of its owner end with the owner's at the core,
// though the tenant knows nothing of it.
func TestWhatCredentialsAreWorthInARestoredTenant(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		before := enter(t, app, s.core)
		restore := keeping(t, app, app.Settings.DatabaseName("acme"), "tenant_users", "sessions", "password_resets", "tenant_invitations")
		lost := issueAll(t, app, s.owner, "lost@example.com")

		restore()
		issueAll(t, app, s.owner, "found@example.com")
		require.Equal(t, "401 401 400 403 400", lost.worth(app))
		requireLives(t, app, before.tokens)

		restore = keeping(t, app, app.Settings.DatabaseName("acme"), "tenant_users", "sessions")
		requireChange(t, app, s.core)
		restore()
		requireDead(t, app, before.tokens, s.owner.tokens)
	})
}

// TestARestoredCoreEndsSessions: what ends all of a user's sessions also ends those that
// began inside tenants since the backup was taken.
func TestARestoredCoreEndsSessions(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		logOut := func(core string) {
			t.Helper()
			require.Equal(t, http.StatusNoContent, app.Post(logoutPath+"?scope=all", core, nil).Code)
		}
		const table = "core_users"
		epoch := testkit.Scalar[int64](t, &app.Settings, app.Settings.CoreName(), "SELECT session_epoch FROM "+table)
		logOut(s.core)
		stolen := enter(t, app, app.TokenOf("", "ada@example.com"))
		app.Settings.Exec(t, app.Settings.CoreName(), "UPDATE "+table+" SET session_epoch = "+strconv.FormatInt(epoch, 10))

		logOut(app.TokenOf("", "ada@example.com"))
		requireDead(t, app, stolen.tokens)
	})
}
