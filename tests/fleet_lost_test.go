package tests_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

type fleetRestoreJSON struct {
	Installation string `json:"installation"`
	Core         string `json:"core"`
	Restored     int    `json:"restored"`
	Skipped      int    `json:"skipped"`
	Failed       int    `json:"failed"`
	Left         int    `json:"left"`
	Items        []struct {
		Name    string     `json:"name"`
		Outcome string     `json:"outcome"`
		Backup  string     `json:"backup"`
		TakenAt *time.Time `json:"taken_at"`
		Reason  string     `json:"reason"`
	} `json:"items"`
}

// outcomes returns what became of the tenants, by their names.
func (f *fleetRestoreJSON) outcomes() map[string]string {
	all := map[string]string{}
	for _, item := range f.Items {
		all[item.Name] = item.Outcome
	}
	return all
}

// loseAll destroys the databases and roles of an installation, and returns an empty place
// for it.
func loseAll(t *testing.T, settings *testkit.Settings) testkit.Settings {
	t.Helper()
	place := testkit.Fresh(t, settings.Engine)
	place.Database.TenantPrefix, place.Variables = settings.Database.TenantPrefix, settings.Variables
	if settings.Engine == testkit.Postgres {
		pgtest.Clear(t, settings.Database.URL, settings.Database.TenantPrefix)
	}
	return place
}

// backedUpID returns the id of a tenant.
func backedUpID(t *testing.T, settings *testkit.Settings, slug string) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT CAST(id AS varchar) FROM tenants WHERE slug = '"+slug+"'")
}

// installationID returns the id of core.
func installationID(t *testing.T, settings *testkit.Settings) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT CAST(id AS varchar) FROM core_installation")
}

// An installation of which only the store is left comes back: a tenant that is back is
// open while another is still missing, and the command goes on where it ended.
func TestLostFleetComesBack(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		folder := keepBackups(t, &settings, identity)
		settings.Spares = 1
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme", "globex")
		member, inside := app.Token("solo", "grace@example.com"), app.TokenOf("acme", "ada@example.com")
		settings.Command(t, "users", "reset-password", "--tenant", "solo", "grace@example.com").RequireCode(t, 0)
		settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)
		settings.RequireTidy(t)
		settings.Command(t, "backup", "run").RequireCode(t, 0)
		users := settings.Query(t, settings.DatabaseName("acme"), restoredUsers)
		shelf := filepath.Join(folder, installationID(t, &settings), backedUpID(t, &settings, "solo"))
		app.Close()
		place := loseAll(t, &settings)

		require.Contains(t, place.Command(t, "backup", "restore-fleet", "--yes").RequireCode(t, 1).Stderr, "backup_identity_missing")
		place.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
		place.Command(t, "backup", "restore-fleet").RequireCode(t, 2)
		require.NoError(t, os.Rename(shelf, folder+"-away"))
		first := place.Command(t, "backup", "restore-fleet", "--yes", "--json").RequireCode(t, 1)
		view := testkit.Decode[fleetRestoreJSON](t, first)
		require.Equal(t, map[string]string{"acme": "restored", "globex": "restored", "solo": "failed"}, view.outcomes())

		again := testkit.Start(t, place)
		requireWhole(t, again, "acme")
		require.Equal(t, users, place.Query(t, place.DatabaseName("acme"), restoredUsers))
		again.Login("solo", "grace@example.com").RequireProblem(again, 503, "tenant_unavailable", "Tenant is unavailable")
		again.Login("globex", "ada@example.com").RequireProblem(again, 403, "tenant_suspended", "Tenant is suspended")
		for _, token := range []string{core, inside} {
			again.Get("/api/users/me", token).RequireProblem(again, 401, "invalid_token", "Could not validate credentials")
		}
		require.Contains(t, place.Command(t, "tenants", "show", "solo").RequireCode(t, 0).Stdout, "there is no such backup")

		require.NoError(t, os.Rename(folder+"-away", shelf))
		second := testkit.Decode[fleetRestoreJSON](t, place.Command(t, "backup", "restore-fleet", "--yes", "--json").RequireCode(t, 0))
		require.Equal(t, map[string]string{"acme": "skipped", "globex": "skipped", "solo": "restored"}, second.outcomes())
		again.TokenOf("solo", "grace@example.com")
		again.Get("/api/users/me", member).RequireProblem(again, 401, "invalid_token", "Could not validate credentials")
		require.Zero(t, testkit.Scalar[int](t, &place, place.DatabaseName("solo"), "SELECT count(*) FROM password_resets"))
		place.Command(t, "tenants", "resume", "globex").RequireCode(t, 0)
		again.TokenOf("globex", "ada@example.com")
		require.Equal(t, http.StatusOK, again.CreateOrganization(again.TokenOf("", "ada@example.com"), "initech").Code)

		before := place.Dump(t, place.CoreName())
		require.Contains(t, place.Command(t, "backup", "restore-fleet", "--yes").RequireCode(t, 1).Stderr, "not empty")
		require.Equal(t, before, place.Dump(t, place.CoreName()))
		place.Command(t, "tenants", "doctor").RequireCode(t, 0)
		place.Command(t, "tenants", "isolation").RequireCode(t, 0)
		place.RequireTidy(t)
	})
}

// A place where something is in the way is refused, and nothing is touched. So is a store
// of several installations, until one is chosen.
func TestLostFleetNeedsAnEmptyPlace(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		settings.Command(t, "migrate").RequireCode(t, 0)
		settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
		settings.Command(t, "backup", "run").RequireCode(t, 0)
		id, core := installationID(t, &settings), listBackups(t, &settings)["core"].ID
		alive := settings.Dump(t, settings.CoreName())
		require.Contains(t, settings.Command(t, "backup", "restore-fleet", "--yes").RequireCode(t, 1).Stderr, "not empty")
		require.Equal(t, alive, settings.Dump(t, settings.CoreName()))

		place := loseAll(t, &settings)
		place.CreateDatabase(t, place.DatabaseName("acme"))
		require.Contains(t, place.Command(t, "backup", "restore-fleet", "--yes").RequireCode(t, 1).Stderr, "not empty")
		require.Empty(t, place.Dump(t, place.CoreName()))
		require.Equal(t, []string{place.DatabaseName("acme")}, place.Databases(t))
		place.DropDatabase(t, place.DatabaseName("acme"))

		other := testkit.Fresh(t, settings.Engine)
		other.Variables = settings.Variables
		other.Command(t, "migrate").RequireCode(t, 0)
		other.Command(t, "backup", "run").RequireCode(t, 0)
		refused := place.Command(t, "backup", "restore-fleet", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, id)
		require.Contains(t, refused.Stderr, installationID(t, &other))
		chosen := []string{"backup", "restore-fleet", "--yes", "--installation", id}
		require.Contains(t, place.Command(t, append(chosen, "--core", "20260101T000000Z-aaaaaaaa")...).RequireCode(t, 1).Stderr, "no such backup")
		require.Empty(t, place.Dump(t, place.CoreName()))

		newest := newestArchive(t, filepath.Join(folder, id, "core"))
		require.NoError(t, os.Truncate(newest, 100))
		place.Command(t, append(chosen, "--core", core)...).RequireCode(t, 1)
		place.Command(t, chosen...).RequireCode(t, 0)
		place.Command(t, "tenants", "doctor").RequireCode(t, 0)
		place.RequireTidy(t)
	})
}

// newestArchive returns the newest archive of a shelf.
func newestArchive(t *testing.T, shelf string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(shelf, "*.tar.zst"))
	require.NoError(t, err)
	return slices.Max(all)
}
