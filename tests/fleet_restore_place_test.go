package tests_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// replacedJSON is what a restore in place says.
type replacedJSON struct {
	ID      string                `json:"id"`
	Slug    string                `json:"slug"`
	Backup  string                `json:"backup"`
	Changes map[string]changeJSON `json:"changes"`
}

type changeJSON struct {
	Count int      `json:"count"`
	Some  []string `json:"some"`
}

func one(email string) changeJSON { return changeJSON{Count: 1, Some: []string{email}} }

// restoreInPlace restores the newest backup of acme.
func restoreInPlace(t *testing.T, settings *testkit.Settings) replacedJSON {
	t.Helper()
	outcome := settings.Command(t, "tenants", "restore", "acme", "--in-place", "--yes", "--json").RequireCode(t, 0)
	return decodeLoosely[replacedJSON](t, outcome)
}

// databaseNow returns the name of the database of acme as the registry has it.
func databaseNow(t *testing.T, settings *testkit.Settings) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT database_name FROM tenants WHERE slug = 'acme'")
}

// A tenant is as it was, with the same id. Sessions that had ended stay ended, and no
// event is lost. It can be undone, and again.
func TestRestoreInPlace(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme", "globex")
		other := app.Token("globex", "grace@example.com")
		owner := app.TokenOf("acme", "ada@example.com")
		app.Register("acme", "grace@example.com")
		app.Register("acme", "gone@example.com")
		loggedOut := app.Login("acme", "grace@example.com")
		settings.Exec(t, settings.DatabaseName("acme"), oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, settings.DatabaseName("acme"), "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		require.Equal(t, http.StatusNoContent, app.Post("/api/auth/logout", loggedOut.Text(app, "access_token"), nil).Code)
		before := databaseNow(t, &settings)
		settings.Exec(t, before, "UPDATE tenant_users SET role = 'admin' WHERE email = 'grace@example.com'",
			"UPDATE tenant_users SET hashed_password = 'x' WHERE email = 'odd@example.com'", "DELETE FROM sessions WHERE user_id IN (SELECT id FROM tenant_users WHERE email = 'gone@example.com')",
			"DELETE FROM tenant_users WHERE email = 'gone@example.com'")
		app.Register("acme", "later@example.com")
		const trail = "SELECT id, at, action, actor, target_name, detail FROM audit_events ORDER BY id"
		events := settings.Query(t, before, trail)
		id := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT CAST(id AS text) FROM tenants WHERE slug = 'acme'")

		restored := restoreInPlace(t, &settings)

		require.Equal(t, map[string]changeJSON{
			"return": one("gone@example.com"), "leave": one("later@example.com"), "roles": one("grace@example.com"), "passwords": one("odd@example.com"),
		}, restored.Changes)
		require.Equal(t, id, restored.ID)
		require.Equal(t, listBackups(t, &settings)["acme"].ID, restored.Backup)
		require.Equal(t, http.StatusOK, app.Get("/api/users/me", other).Code)
		now := databaseNow(t, &settings)
		awaitRestored(t, app, "gone@example.com")
		require.Contains(t, settings.Query(t, now, trail), events)
		for _, token := range []string{owner, loggedOut.Text(app, "access_token")} {
			require.Equal(t, http.StatusUnauthorized, app.Get("/api/users/me", token).Code)
		}
		refreshed := app.Post("/api/auth/refresh", "", testkit.JSON{"refresh_token": loggedOut.Text(app, "refresh_token")})
		require.Equal(t, http.StatusUnauthorized, refreshed.Code, refreshed.Raw)
		app.Login("acme", "later@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		requireWhole(t, app, "acme")
		require.Equal(t, http.StatusOK, app.Post("/api/organizations/acme/token", core, nil).Code)
		doctor := settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		require.Contains(t, doctor.Stdout, "replaced")
		app.Register("acme", "after@example.com")
		events = settings.Query(t, now, trail)

		undone := decodeLoosely[replacedJSON](t, settings.Command(t, "tenants", "restore", "acme", "--undo", "--yes", "--json").RequireCode(t, 0))

		require.Equal(t, id, undone.ID)
		require.Equal(t, changeJSON{Count: 2, Some: []string{"after@example.com", "gone@example.com"}}, undone.Changes["leave"])
		require.Equal(t, one("later@example.com"), undone.Changes["return"])
		awaitRestored(t, app, "later@example.com")
		require.Contains(t, settings.Query(t, databaseNow(t, &settings), trail), events)
		app.Login("acme", "after@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusUnauthorized, app.Get("/api/users/me", owner).Code)
		requireWhole(t, app, "acme")

		settings.Command(t, "tenants", "restore", "acme", "--undo", "--yes").RequireCode(t, 0)
		awaitRestored(t, app, "after@example.com")
		settings.RequireTidy(t)

		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", core).Code)
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM replaced_databases"))
		settings.RequireTidy(t)
		app.Organization(core, "acme")
		requireWhole(t, app, "acme")
	})
}

// awaitRestored waits until a user of acme can log in whom only the database in place has. On
// SQLite another process reads the registry for that.
func awaitRestored(t *testing.T, app *testkit.App, email string) {
	t.Helper()
	awaitLogin(t, app, "acme", email)
}

// What cannot be put in place is refused, and the tenant stays as it is.
func TestRestoreInPlaceRefuses(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme", "globex")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		backup := listBackups(t, &settings)["acme"].ID
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", core).Code)
		app.Organization(core, "acme")
		for _, tc := range []struct {
			arguments []string
			code      int
			want      string
		}{
			{[]string{"acme", "--in-place", "--as", "acme-2"}, 2, "--as"},
			{[]string{"acme", "--undo", "--as", "acme-2"}, 2, "--as"},
			{[]string{"acme", "--undo", "--backup", backup}, 2, "--undo"},
			{[]string{"acme", "--undo"}, 1, "no database is kept"},
			{[]string{"acme", "--backup", backup}, 1, "an earlier tenant"},
			{[]string{"globex", "--in-place"}, 1, "there is no such backup"},
			{[]string{"nobody", "--in-place"}, 1, "not found"},
		} {
			refused := settings.Command(t, append([]string{"tenants", "restore", "--yes"}, tc.arguments...)...).RequireCode(t, tc.code)
			require.Contains(t, refused.Stderr, tc.want, tc.arguments)
		}
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		app.Register("acme", "later@example.com")
		id := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT CAST(id AS text) FROM tenants WHERE slug = 'acme'")
		lock, err := app.Backend.Lock(t.Context(), tenants.LockKey(id))
		require.NoError(t, err)
		busy := settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 1)
		require.Contains(t, busy.Stderr, "another operation is at work on it")
		lock.Unlock()
		if settings.Engine == testkit.Postgres {
			refuseGuests(t, &settings)
		}
		settings.Command(t, "tenants", "restore", "acme").RequireCode(t, 2)
		require.Equal(t, http.StatusOK, app.Login("acme", "later@example.com").Code)
		settings.RequireTidy(t)
	})
}

// refuseGuests requires that acme is not restored while a superuser is in its database.
func refuseGuests(t *testing.T, settings *testkit.Settings) {
	t.Helper()
	address, err := url.Parse(settings.Admin)
	require.NoError(t, err)
	address.Path = "/" + settings.DatabaseName("acme")
	guest, err := pgx.Connect(t.Context(), address.String())
	require.NoError(t, err)
	refused := settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 1)
	require.Contains(t, refused.Stderr, "database is in use")
	require.NoError(t, guest.Close(t.Context()))
}

// A replaced database is kept for a while, also as one that no other tenant gets, and then
// dropped.
func TestReplacedDatabasesAreDropped(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		restoreInPlace(t, &settings)
		settings.Command(t, "tenants", "rename", "acme", "initech").RequireCode(t, 0)
		settings.Command(t, "tenants", "release", "acme").RequireCode(t, 0)
		app.Organization(core, "acme")
		testkit.Start(t, settings).Close()
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM replaced_databases"))
		settings.RequireTidy(t)

		settings.KeepReplaced = time.Nanosecond
		late := testkit.Start(t, settings)

		testkit.Await(t, time.Minute, func() error {
			if left := testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM replaced_databases"); left != 0 {
				return fmt.Errorf("%d are left", left)
			}
			return nil
		})
		settings.RequireTidy(t)
		requireWhole(t, late, "acme")
		requireWhole(t, late, "initech")
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
	})
}

// A tenant without a role of its own is reached by the application's role, whose sessions
// in other processes end all the same. Later it has a role, also after an undo.
func TestRestoreInPlaceWithoutARole(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	keepBackups(t, &settings, nil)
	settings.Administer(t, "ALTER ROLE "+appRole(t, &settings)+" NOCREATEROLE")
	app := testkit.Start(t, settings)
	fleetOf(app, "acme")
	settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
	app.Register("acme", "later@example.com")

	restoreInPlace(t, &settings)

	requireAbsent(t, app, "later@example.com")
	requireWhole(t, app, "acme")
	app.Close()
	settings.Administer(t, "ALTER ROLE "+appRole(t, &settings)+" CREATEROLE")
	app = testkit.Start(t, settings)
	requireWhole(t, app, "acme")
	require.NotEmpty(t, roleOf(t, &settings, "acme"))
	settings.Command(t, "tenants", "restore", "acme", "--undo", "--yes").RequireCode(t, 0)
	awaitRestored(t, app, "later@example.com")
	requireWhole(t, app, "acme")
	settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
}
