package tests_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

const restoreOfAcme = "/api/organizations/acme/restore"

// askToRestore asks for a new organization, and returns the path of the operation.
func askToRestore(t *testing.T, app *testkit.App, owner string, body testkit.JSON) (path string) {
	t.Helper()
	asked := app.Post(restoreOfAcme, owner, body)
	require.Equal(t, http.StatusAccepted, asked.Code, asked.Raw)
	require.Equal(t, "restore", asked.Text(app, "kind"))
	path = asked.Header.Get("Location")
	require.Equal(t, "/api/operations/"+asked.Text(app, "id"), path)
	return path
}

// awaitFailed waits until the operation has failed with that code.
func awaitFailed(t *testing.T, app *testkit.App, owner, path, code string) {
	t.Helper()
	testkit.Await(t, time.Minute, func() error {
		shown := app.Get(path, owner)
		if shown.Text(app, "status") != string(models.OperationFailed) {
			return fmt.Errorf("it is %s", shown.Raw)
		}
		require.Equal(t, code, shown.Text(app, "error"), shown.Raw)
		return nil
	})
}

// restoredEvents counts the events of new organizations that ada has made of backups.
func restoredEvents(t *testing.T, settings *testkit.Settings) int {
	t.Helper()
	return testkit.Scalar[int](t, settings, settings.CoreName(), `SELECT count(*) FROM audit_events
		WHERE action = 'organization.restored' AND actor = 'ada@example.com' AND outcome = 'success' AND detail <> ''`)
}

// An owner makes a new organization of a backup of the own one, which stays as it is. The
// new one belongs to the owner, and has the content of the chosen backup.
func TestOwnersRestoreBeside(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		app.Organization(owner, "globex")
		app.Post(restoreOfAcme, owner, testkit.JSON{"as": "acme-2"}).RequireProblem(app, 404, "backup_not_found", "Backup not found")
		inside := login(t, app, "acme", registered(t, app, "acme", "grace@example.com"))
		awaitDone(t, app, owner, askForBackup(t, app, owner))
		registered(t, app, "acme", "late@example.com")
		awaitDone(t, app, owner, askForBackup(t, app, owner))
		whole := listOf(t, app, owner, "").Items

		path := askToRestore(t, app, owner, testkit.JSON{"as": "acme-2", "backup": whole[1].ID})
		awaitDone(t, app, owner, path)
		awaitDone(t, app, owner, askToRestore(t, app, owner, testkit.JSON{"as": "acme-3"}))

		for _, slug := range []string{"acme", "acme-2", "acme-3"} {
			shown := app.Get("/api/organizations/"+slug, owner)
			require.Equal(t, http.StatusOK, shown.Code, shown.Raw)
			require.Equal(t, http.StatusNotFound, app.Get("/api/organizations/"+slug, stranger).Code)
			require.Equal(t, http.StatusOK, app.Get(profilePath, app.TokenOf(slug, "ada@example.com")).Code)
			require.Equal(t, http.StatusOK, app.Get(profilePath, app.TokenOf(slug, "grace@example.com")).Code)
		}
		app.Login("acme-2", "late@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Login("acme-3", "late@example.com").Code)
		require.Equal(t, http.StatusOK, app.Get(profilePath, inside.access).Code, "acme is as it was")
		require.Equal(t, 2, restoredEvents(t, &settings))
		require.Contains(t, app.Get("/api/audit?action=organization.restored", owner).Raw, whole[1].ID)
		require.NotContains(t, app.Get("/api/audit?action=organization.restored", stranger).Raw, whole[1].ID)
		for slug, code := range map[string]string{"acme-2": "slug_taken", "admin": "reserved_slug", "A b": "invalid_slug"} {
			refused := app.Post(restoreOfAcme, owner, testkit.JSON{"as": slug})
			require.Equal(t, 400, refused.Code, refused.Raw)
			require.Equal(t, code, refused.Text(app, "code"))
		}
		app.Post("/api/organizations/globex/restore", owner, testkit.JSON{"as": "acme-4", "backup": whole[0].ID}).
			RequireProblem(app, 404, "backup_not_found", "Backup not found")
		app.Post(restoreOfAcme, stranger, testkit.JSON{"as": "eves"}).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Get(path, stranger).RequireProblem(app, 404, "operation_not_found", "Operation not found")
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// A restoration that cannot be done now is refused. One that is asked for counts as a new
// organization does.
func TestRestorationsAreRefused(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		settings.Limits = &limits.Options{
			LoginsPerMinute: 100, RegistrationsPerHour: 100, TenantsPerHour: 5, AllTenantsPerHour: 100, Organizations: 2,
			PasswordsPerMinute: 100, WritesPerMinute: 100, AllWritesPerMinute: 100, Guesses: 10, AllGuesses: 100,
		}
		app := testkit.Start(t, settings)
		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme") // the first of 5
		awaitDone(t, app, owner, askForBackup(t, app, owner))
		ofLaterRelease(t, &settings)
		app.Post(restoreOfAcme, owner, testkit.JSON{"as": "acme-3"}).
			RequireProblem(app, 409, "backup_unusable", "The backup is of another engine or of a later version of the program")
		awaitDone(t, app, owner, askForBackup(t, app, owner))
		lock, err := databasesOf(t, app).Lock(t.Context(), testkit.Scalar[string](t, &settings, settings.CoreName(), tenantIDs))
		require.NoError(t, err)
		taken := askToRestore(t, app, owner, testkit.JSON{"as": "acme-2"})

		app.Post(restoreOfAcme, owner, testkit.JSON{"as": "acme-3"}).
			RequireProblem(app, 409, "operation_running", "Another operation on this organization has not ended")
		app.Organization(owner, "acme-2")
		full := app.Post(restoreOfAcme, owner, testkit.JSON{"as": "acme-3"})
		require.Equal(t, 429, full.Code)
		require.Equal(t, "too_many_organizations", full.Text(app, "code"))
		lock.Unlock()
		awaitFailed(t, app, owner, taken, "slug_taken")
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme-2", owner).Code)

		hidden := settings
		hidden.Variables = map[string]string{"BACKUP_RECIPIENTS": identity.Recipient().String()}
		hidden.Command(t, "backup", "run").RequireCode(t, 0)
		app.Post(restoreOfAcme, owner, testkit.JSON{"as": "acme-3"}).RequireProblem(app, 409, "backup_identity_missing", "The backup is encrypted, and this server cannot read it")
		hidden.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
		hidden.Limits = settings.Limits
		able := testkit.Start(t, hidden)
		lock, err = databasesOf(t, app).Lock(t.Context(), tenantID(t, app, "acme"))
		require.NoError(t, err)
		asked := askToRestore(t, able, owner, testkit.JSON{"as": "acme-3"})
		able.Close()
		lock.Unlock()
		left := "operation=" + strings.TrimPrefix(asked, "/api/operations/") + ` error="The backup is encrypted`
		requireLogged(t, app, left)
		able = testkit.Start(t, hidden)
		awaitDone(t, able, owner, asked)
		require.Equal(t, 1, strings.Count(app.Log.String(), left))
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT attempts FROM operations WHERE kind = 'restore' AND status = 'done'"))
		require.Equal(t, 1, restoredEvents(t, &settings))
		settings.RequireTidy(t)
	})
}

// ofLaterRelease rewrites the record of acme's only backup to that of a release after this one.
func ofLaterRelease(t *testing.T, settings *testkit.Settings) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(settings.Backups, "*", "*", "*.json"))
	require.NoError(t, err)
	require.Len(t, records, 1)
	record, err := os.ReadFile(records[0])
	require.NoError(t, err)
	later := regexp.MustCompile(`"schema_version": ?"\d+`).ReplaceAll(record, []byte(`"schema_version":"999901010000`))
	require.NotEqual(t, record, later)
	require.NoError(t, os.WriteFile(records[0], later, 0o600))
}

// Killed while it makes the new organization, a restoration is done by another process,
// once. A tenant that is ready is not made again.
func TestAKilledRestorationIsDoneByAnother(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app := testkit.Start(t, settings)
		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme")
		awaitDone(t, app, owner, askForBackup(t, app, owner))
		app.Close()
		path := ""
		for _, step := range []tenants.Step{tenants.StepReserved, tenants.StepBuilt, tenants.StepNamed, tenants.StepReady} {
			killed := testkit.StartProcess(t, settings, step)
			if path == "" {
				path = askToRestore(t, killed.App, owner, testkit.JSON{"as": "acme-2"})
			}
			killed.RequireKilled()
		}

		app = testkit.Start(t, settings)
		awaitDone(t, app, owner, path)
		requireWhole(t, app, "acme-2")
		require.Equal(t, 1, restoredEvents(t, &settings))
		settings.RequireTidy(t)
	})
}
