package tests_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/models"
	"multitenant/tests/testkit"
)

const backupsOfAcme = "/api/organizations/acme/backups"

// askForBackup asks for a backup of acme, and returns the path of the operation.
func askForBackup(t *testing.T, app *testkit.App, owner string) (path string) {
	t.Helper()
	asked := app.Post(backupsOfAcme, owner, nil)
	require.Equal(t, http.StatusAccepted, asked.Code, asked.Raw)
	require.Equal(t, "queued", asked.Text(app, "status"))
	path = asked.Header.Get("Location")
	require.Equal(t, "/api/operations/"+asked.Text(app, "id"), path)
	return path
}

// awaitDone waits until the operation has ended well.
func awaitDone(t *testing.T, app *testkit.App, owner, path string) {
	t.Helper()
	testkit.Await(t, time.Minute, func() error {
		shown := app.Get(path, owner)
		if status := shown.Text(app, "status"); status != string(models.OperationDone) {
			return fmt.Errorf("it is %s: %s", status, shown.Raw)
		}
		return nil
	})
}

// backupPage is a page of backups.
type backupPage struct {
	Items []struct {
		ID          string    `json:"id"`
		TakenAt     time.Time `json:"taken_at"`
		IsComplete  bool      `json:"is_complete"`
		Bytes       int64     `json:"bytes"`
		IsEncrypted bool      `json:"is_encrypted"`
		ProvenLevel int       `json:"proven_level"`
	} `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

func listOf(t *testing.T, app *testkit.App, owner, query string) (page backupPage) {
	t.Helper()
	listed := app.Get(backupsOfAcme+query, owner)
	require.Equal(t, http.StatusOK, listed.Code, listed.Raw)
	require.NoError(t, json.Unmarshal([]byte(listed.Raw), &page))
	return page
}

// An owner asks for backups of the own organization, and sees them; nobody else does.
func TestOwnersBackUpTheirOrganizations(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app := testkit.Start(t, settings)
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		require.Empty(t, listOf(t, app, owner, "").Items)
		first := askForBackup(t, app, owner)
		awaitDone(t, app, owner, first)
		awaitDone(t, app, owner, askForBackup(t, app, owner))

		whole := listOf(t, app, owner, "")
		require.Len(t, whole.Items, 2)
		newest := whole.Items[0]
		require.True(t, newest.TakenAt.After(whole.Items[1].TakenAt), "the newest first")
		require.True(t, newest.IsComplete)
		require.False(t, newest.IsEncrypted)
		require.Positive(t, newest.Bytes)
		require.Equal(t, 1, newest.ProvenLevel)
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		page := listOf(t, app, owner, "?limit=1")
		require.Equal(t, newest.ID, page.Items[0].ID)
		require.Equal(t, 2, page.Items[0].ProvenLevel)
		page = listOf(t, app, owner, "?limit=1&cursor="+*page.NextCursor)
		require.Equal(t, whole.Items[1].ID, page.Items[0].ID)
		require.Nil(t, page.NextCursor)

		for _, request := range []testkit.Request{
			{Method: http.MethodGet, Path: backupsOfAcme}, {Method: http.MethodPost, Path: backupsOfAcme},
		} {
			request.Token = stranger
			app.Do(request).RequireProblem(app, 404, "organization_not_found", "Organization not found")
			request.Token = app.TokenOf("acme", "ada@example.com")
			app.Do(request).RequireProblem(app, 403, "core_token_required", "Core authentication required")
		}
		app.Get(first, stranger).RequireProblem(app, 404, "operation_not_found", "Operation not found")
		require.Equal(t, 2, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'organization.backed_up' AND actor = 'ada@example.com'"))
		require.Len(t, listBackups(t, &settings), 1, "the stranger has made none")
	})
}

// A backup that cannot be made now is refused, and is not on record.
func TestBackupsAreRefused(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		off := testkit.Start(t, settings)
		owner := off.Token("", "ada@example.com")
		off.Organization(owner, "acme")
		off.Get(backupsOfAcme, owner).RequireProblem(off, 409, "backups_off", "This server keeps no backups")
		off.Post(backupsOfAcme, owner, nil).RequireProblem(off, 409, "backups_off", "This server keeps no backups")
		op := queue(t, off, "acme")

		settings.Backups = filepath.Join(t.TempDir(), "backups")
		settings.Limits = &limits.Options{
			LoginsPerMinute: 100, RegistrationsPerHour: 100, TenantsPerHour: 2, AllTenantsPerHour: 100, Organizations: 9,
			PasswordsPerMinute: 100, WritesPerMinute: 100, AllWritesPerMinute: 100, Guesses: 10, AllGuesses: 100,
		}
		lock, err := databasesOf(t, off).Lock(t.Context(), op.TenantID)
		require.NoError(t, err)
		app := testkit.Start(t, settings)
		app.Post(backupsOfAcme, owner, nil).RequireProblem(app, 409, "operation_running", "Another operation on this organization has not ended")
		lock.Unlock()
		awaitOperation(t, off, op.ID, hasEnded)
		for range 2 {
			awaitDone(t, app, owner, askForBackup(t, app, owner))
		}
		refused := app.Post(backupsOfAcme, owner, nil)
		refused.RequireProblem(app, 429, "too_many_backups", "Too many backups, try again later")
		require.NotEmpty(t, refused.Header.Get("Retry-After"))
		require.Equal(t, 3, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM operations"))
		require.Equal(t, 3, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'organization.backed_up'"))
	})
}

// A tenant that an earlier release has left behind is migrated first; one that is gone
// fails at once.
func TestBackupsOfTenantsThatChange(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		off := testkit.Start(t, settings)
		owner := off.Token("", "ada@example.com")
		off.Organization(owner, "acme")
		off.Organization(owner, "globex")
		behind, gone := queue(t, off, "acme"), queue(t, off, "globex")
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET schema_version = '202611290210_create_tenant_tables' WHERE slug = 'acme'")
		require.Equal(t, http.StatusNoContent, off.Delete("/api/organizations/globex", owner).Code)

		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app := testkit.Start(t, settings)

		done := awaitOperation(t, app, behind.ID, hasEnded)
		require.Equal(t, models.OperationDone, done.Status, done.Error)
		failed := awaitOperation(t, app, gone.ID, hasEnded)
		require.Equal(t, models.OperationFailed, failed.Status)
		shown := app.Get("/api/operations/"+gone.ID, owner)
		require.Equal(t, http.StatusNotFound, shown.Code, "the operator asked for it, and it has no owner")
	})
}

// A process that is killed in the middle of a backup leaves it to another, which makes it.
// What the first has written counts for nothing.
func TestAKilledBackupIsMadeByAnother(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Backups = filepath.Join(t.TempDir(), "backups")
		killed := testkit.StartProcess(t, settings)
		owner := killed.Token("", "ada@example.com")
		killed.Organization(owner, "acme")
		fill(t, &settings, settings.DatabaseName("acme"))
		path := askForBackup(t, killed.App, owner)
		awaitPart(t, settings.Backups)
		killed.Kill()
		require.Equal(t, "running", testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT status FROM operations"))
		require.Empty(t, listBackups(t, &settings))

		app := testkit.Start(t, settings)

		awaitDone(t, app, owner, path)
		require.Len(t, listOf(t, app, owner, "").Items, 1)
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		require.Equal(t, 2, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT attempts FROM operations"))
		settings.RequireTidy(t)
	})
}
