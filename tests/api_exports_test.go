package tests_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/models"
	"multitenant/tests/testkit"
)

const exportOfAcme = "/api/organizations/acme/export"

// askForExport asks for an export of acme, and returns the path of the operation, that of
// the export, and its key.
func askForExport(t *testing.T, app *testkit.App, owner string) (path, link, key string) {
	t.Helper()
	asked := app.Post(exportOfAcme, owner, nil)
	require.Equal(t, http.StatusAccepted, asked.Code, asked.Raw)
	require.Equal(t, "export", asked.Text(app, "kind"))
	return asked.Header.Get("Location"), asked.Text(app, "link"), asked.Text(app, "key")
}

// exportsIn returns the files in the store that belong to exports.
func exportsIn(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(path, "/exports/") {
			files = append(files, filepath.Join(folder, path))
		}
		return err
	})
	require.NoError(t, err)
	return files
}

// requireExpired requires that a key is of no use any more, and its object is gone after a
// sweep.
func requireExpired(t *testing.T, app *testkit.App, link, key string) {
	t.Helper()
	app.Get(link, key).RequireProblem(app, 410, "export_expired", "The export was downloaded or has expired")
	require.Equal(t, http.StatusGone, app.Do(testkit.Request{Method: http.MethodHead, Path: link, Token: key}).Code)
	require.NoError(t, app.Exports.Sweep(t.Context()))
	require.Empty(t, exportsIn(t, app.Settings.Backups))
}

// An owner downloads an export once, with a key that alone opens it.
func TestOwnersExportTheirOrganizations(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		member := app.Token("acme", "grace@example.com")
		app.Post(exportOfAcme, stranger, nil).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Post(exportOfAcme, member, nil).RequireProblem(app, 403, "core_token_required", "Core authentication required")
		lock, err := databasesOf(t, app).Lock(t.Context(), tenantID(t, app, "acme"))
		require.NoError(t, err)
		path, link, key := askForExport(t, app, owner)
		app.Get(link, key).RequireProblem(app, 409, "operation_running", "The export is not ready yet")
		app.Post(exportOfAcme, owner, nil).RequireProblem(app, 409, "operation_running", "Another operation on this organization has not ended")
		left := filepath.Join(settings.Backups, app.Tenants.InstallationID(), "exports", strings.TrimPrefix(link, "/api/exports/")+".zip.age")
		require.NoError(t, os.MkdirAll(filepath.Dir(left), 0o700))
		require.NoError(t, os.WriteFile(left, []byte("of a worker that died before it could say so"), 0o600))
		lock.Unlock()
		awaitDone(t, app, owner, path)

		require.NotContains(t, app.Get(path, owner).Raw, key)
		kept := exportsIn(t, settings.Backups)
		require.Len(t, kept, 1)
		object, err := os.ReadFile(kept[0])
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(object), "age-encryption.org/v1"))
		secret := strings.TrimPrefix(key, "mte_")
		require.NotContains(t, strings.ToLower(settings.Dump(t, settings.CoreName())), secret)
		wrong := key[:len(key)-1] + map[bool]string{true: "p", false: "q"}[strings.HasSuffix(key, "q")]
		for _, other := range []string{"", wrong, secret, key + "q", strings.ToUpper(key), owner} {
			app.Get(link, other).RequireProblem(app, 404, "export_not_found", "Export not found")
		}
		for _, other := range []string{strings.ToUpper(link[len("/api/exports/"):]), "nonsense"} {
			app.Get("/api/exports/"+other, key).RequireProblem(app, 404, "export_not_found", "Export not found")
		}
		looked := app.Do(testkit.Request{Method: http.MethodHead, Path: link, Token: key})
		require.Equal(t, http.StatusOK, looked.Code)

		downloaded := app.Get(link, key)

		require.Equal(t, http.StatusOK, downloaded.Code, downloaded.Raw)
		require.Equal(t, `attachment; filename="acme.zip"`, downloaded.Header.Get("Content-Disposition"))
		require.Equal(t, looked.Header.Get("Content-Length"), strconv.Itoa(len(downloaded.Raw)))
		file := filepath.Join(t.TempDir(), "acme.zip")
		require.NoError(t, os.WriteFile(file, []byte(downloaded.Raw), 0o600))
		require.Contains(t, readZip(t, file)["tables/tenant_users.jsonl"], `"email":"grace@example.com"`)
		require.Empty(t, exportsIn(t, settings.Backups))
		requireExpired(t, app, link, key)
		require.NotContains(t, app.Log.String(), secret)
		for action, actor := range map[string]string{"organization.exported": "ada@example.com", "organization.export_downloaded": ""} {
			require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), fmt.Sprintf(
				"SELECT count(*) FROM audit_events WHERE action = '%s' AND actor = '%s' AND target_name = 'acme'", action, actor)))
		}
		require.Contains(t, app.Get("/api/audit/", owner).Raw, "organization.export_downloaded")
		settings.Command(t, "tenants", "import", file, "--as", "acme-2", "--owner", "eve@example.com", "--yes").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// Of two downloads at once one succeeds, and one that is cut off does not count. A day
// later none does, and nothing is left.
func TestExportsExpire(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app := testkit.Start(t, settings)
		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme")
		first, link, key := askForExport(t, app, owner)
		awaitDone(t, app, owner, first)
		codes := testkit.Count(testkit.TryAtOnce(t, []*testkit.App{app}, []testkit.Request{
			{Method: http.MethodGet, Path: link, Token: key}, {Method: http.MethodGet, Path: link, Token: key},
		}))
		require.Equal(t, map[int]int{200: 1, 410: 1}, codes)

		second, link, key := askForExport(t, app, owner)
		awaitDone(t, app, owner, second)
		ready, err := app.Exports.Look(t.Context(), strings.TrimPrefix(link, "/api/exports/"), key)
		require.NoError(t, err)
		require.NoError(t, ready.Take(t.Context(), models.NewOperatorEvent(models.ActionOrganizationFetched)))
		require.NoError(t, ready.Open(t.Context()))
		require.NoError(t, app.Exports.Sweep(t.Context()))
		require.Equal(t, http.StatusGone, app.Get(link, key).Code)
		require.ErrorIs(t, ready.Send(t.Context(), brokenPipe{}), errBrokenPipe)
		require.Equal(t, http.StatusOK, app.Do(testkit.Request{Method: http.MethodHead, Path: link, Token: key}).Code)
		require.NoError(t, app.Exports.Sweep(t.Context()))
		require.Len(t, exportsIn(t, settings.Backups), 1)

		yesterday := time.Now().UTC().Add(-24 * time.Hour).Format("2006-01-02 15:04:05.999999")
		settings.Exec(t, settings.CoreName(), "UPDATE operations SET ended_at = '"+yesterday+"' WHERE id = '"+strings.TrimPrefix(second, "/api/operations/")+"'")
		requireExpired(t, app, link, key)

		third, link, key := askForExport(t, app, owner)
		awaitDone(t, app, owner, third)
		kept := exportsIn(t, settings.Backups)
		object, err := os.ReadFile(kept[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(kept[0], object[:len(object)-1], 0o600))
		app.Get(link, key).RequireProblem(app, 500, "internal", "Internal server error")
		require.NoError(t, os.WriteFile(kept[0], object, 0o600))
		require.Equal(t, http.StatusOK, app.Do(testkit.Request{Method: http.MethodHead, Path: link, Token: key}).Code)
		settings.Command(t, "backup", "forget", "acme", "--yes").RequireCode(t, 0)
		require.Empty(t, exportsIn(t, settings.Backups))
		app.Get(link, key).RequireProblem(app, 410, "export_expired", "The export was downloaded or has expired")

		require.NoError(t, os.WriteFile(kept[0], object, 0o600))
		settings.Exec(t, settings.CoreName(), "DELETE FROM operations")
		app.Get(link, key).RequireProblem(app, 404, "export_not_found", "Export not found")
		require.NoError(t, app.Exports.Sweep(t.Context()))
		require.Empty(t, exportsIn(t, settings.Backups))
	})
}

// errBrokenPipe is that of a client that has left.
var errBrokenPipe = errors.New("the client has left")

type brokenPipe struct{}

// Write fails.
func (brokenPipe) Write([]byte) (int, error) { return 0, errBrokenPipe }

// An export that cannot be made now is refused. One whose worker was killed is made by another,
// and one that is cancelled leaves nothing.
func TestExportsAreRefusedAndCancelled(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		off := testkit.Start(t, settings)
		owner := off.Token("", "ada@example.com")
		off.Organization(owner, "acme")
		off.Post(exportOfAcme, owner, nil).RequireProblem(off, 409, "backups_off", "This server keeps no backups")

		settings.Backups = filepath.Join(t.TempDir(), "backups")
		settings.Limits = &limits.Options{
			LoginsPerMinute: 100, RegistrationsPerHour: 100, TenantsPerHour: 2, AllTenantsPerHour: 100, Organizations: 9,
			PasswordsPerMinute: 100, WritesPerMinute: 100, AllWritesPerMinute: 100, Guesses: 10, AllGuesses: 100,
		}
		fill(t, &settings, settings.DatabaseName("acme"))
		killed := testkit.StartProcess(t, settings)
		path, link, key := askForExport(t, killed.App, owner)
		testkit.Await(t, 30*time.Second, func() error {
			if len(exportsIn(t, settings.Backups)) == 0 {
				return errors.New("no export is being written")
			}
			return nil
		})
		killed.Kill()
		app := testkit.Start(t, settings)
		awaitDone(t, app, owner, path)
		require.Equal(t, http.StatusOK, app.Get(link, key).Code)

		lock, err := databasesOf(t, app).Lock(t.Context(), tenantID(t, app, "acme"))
		require.NoError(t, err)
		path, link, key = askForExport(t, app, owner)
		id := strings.TrimPrefix(path, "/api/operations/")
		settings.Exec(t, settings.CoreName(), "UPDATE operations SET started_at = created_at, status = 'running' WHERE id = '"+id+"'")
		left := filepath.Join(settings.Backups, app.Tenants.InstallationID(), "exports", id+".zip.age")
		require.NoError(t, os.WriteFile(left, []byte("what a dead worker has left"), 0o600))
		settings.Command(t, "operations", "cancel", id, "--yes").RequireCode(t, 0)
		lock.Unlock()
		require.Equal(t, models.OperationCancelled, awaitOperation(t, app, id, hasEnded).Status)
		require.NoFileExists(t, left)
		app.Get(link, key).RequireProblem(app, 410, "export_expired", "The export was downloaded or has expired")

		_, _, _ = askForExport(t, app, owner)
		testkit.Await(t, 30*time.Second, func() error {
			if refused := app.Post(exportOfAcme, owner, nil); refused.Code != http.StatusTooManyRequests {
				return errors.New(refused.Raw)
			}
			return nil
		})
		settings.RequireTidy(t)
	})
}
