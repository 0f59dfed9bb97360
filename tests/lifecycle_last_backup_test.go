package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/testkit"
)

const orgPath = "/api/organizations/acme"

// loseStore puts a file in the place of the folder of backups. bringBack undoes that.
func loseStore(t *testing.T, folder string) (bringBack func()) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.Rename(folder, folder+".away"))
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	return func() {
		require.NoError(t, os.Remove(folder))
		require.NoError(t, os.Rename(folder+".away", folder))
	}
}

// detailsOf returns what the deletions of a tenant are on record with, in their order.
func detailsOf(t *testing.T, settings *testkit.Settings, slug string) string {
	t.Helper()
	return settings.Query(t, settings.CoreName(),
		"SELECT detail FROM audit_events WHERE action = 'organization.deleted' AND target_name = '"+slug+"' ORDER BY id")
}

// Whoever deletes a tenant, its last backup has all that it had.
func TestADeletionKeepsALastBackup(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme", "globex")
		owner := app.Token("initech", "hank@example.com")
		app.Token("acme", "grace@example.com")

		deleteTenant(t, app, orgPath, core)
		deleteTenant(t, app, tenantPath, owner)
		settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 0)

		settings.RequireTidy(t)
		kept := listBackups(t, &settings)
		require.Len(t, idsOf(t, &settings), 3)
		for _, slug := range []string{"acme", "globex", "initech"} {
			require.Equal(t, "complete", kept[slug].Status, slug)
		}
		settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 0)
		settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 0)
		app.TokenOf("acme-2", "grace@example.com")
		settings.Command(t, "tenants", "delete", "acme-2", "--without-backup", "--yes").RequireCode(t, 0)
		require.Len(t, idsOf(t, &settings), 3)
		require.Contains(t, detailsOf(t, &settings, "acme-2"), "without_backup")
	})
}

// While the store is out of reach no deletion begins, and the tenants are served.
func TestADeletionIsRefusedWithoutTheStore(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme")
		owner := app.Token("initech", "hank@example.com")
		bringBack := loseStore(t, folder)

		for _, answer := range []testkit.Response{app.Delete(orgPath, core), app.Delete(tenantPath, owner)} {
			answer.RequireProblem(app, 503, "backups_unavailable", "Backups are unavailable")
		}
		refused := settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 1)

		require.Contains(t, refused.Stderr, "Backups are unavailable")
		require.Equal(t, http.StatusOK, app.Get(profilePath, owner).Code)
		requireWhole(t, app, "acme")
		require.Equal(t, 2, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM tenants WHERE status = 'ready'"))
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'organization.deleted'"))
		settings.Command(t, "tenants", "delete", "acme", "--without-backup", "--yes").RequireCode(t, 0)
		bringBack()
		deleteTenant(t, app, tenantPath, owner)
		require.Len(t, idsOf(t, &settings), 1)
		settings.RequireTidy(t)
	})
}

// A tenant whose last backup fails after it was marked is refused and stays, whatever
// process looks at it, until the store is back. Then it goes, with its backup. One that an
// earlier release has marked gets an operation too, which ends if the tenant goes without.
func TestADeletedTenantWaitsForItsLastBackup(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		var once sync.Once
		var bringBack func()
		own := settings
		own.OnStep = func(step tenants.Step) {
			if step == tenants.StepMarked {
				once.Do(func() { bringBack = loseStore(t, folder) })
			}
		}
		app := testkit.Start(t, own)
		core := fleetOf(app, "acme", "globex")
		member := app.Token("acme", "grace@example.com")
		without := settings
		without.Variables = nil

		answer := app.Delete(orgPath, core)

		require.Equal(t, http.StatusAccepted, answer.Code, answer.Raw)
		require.Empty(t, answer.Raw)
		path := answer.Header.Get("Location")
		shown := app.Get(path, core)
		require.Equal(t, "delete", shown.Text(app, "kind"), shown.Raw)
		require.Equal(t, "acme", shown.Text(app, "organization"))
		app.Get(path, app.Token("", "eve@example.com")).RequireProblem(app, 404, "operation_not_found", "Operation not found")
		cancelled := settings.Command(t, "operations", "cancel", strings.TrimPrefix(path, "/api/operations/"), "--yes").RequireCode(t, 1)
		require.Contains(t, cancelled.Stderr, "it can only go forward now")
		app.Get(profilePath, member).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		app.Delete(orgPath, core).RequireProblem(app, 503, "backups_unavailable", "Backups are unavailable")
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting', backup_due = true WHERE slug = 'globex'")
		other := testkit.Start(t, without)
		requireDeletion(t, &settings, "globex", "queued")
		without.Command(t, "tenants", "delete", "globex", "--without-backup", "--yes").RequireCode(t, 0)
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM operations WHERE status = 'done'"), "without a worker")
		requireLogged(t, other, "a deleted tenant stays until its last backup is made")
		requireLogged(t, app, "its last backup is not made")
		stays := without.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 1)
		require.Contains(t, stays.Stderr, "its last backup is not made")
		require.Contains(t, without.Command(t, "tenants", "doctor", "--repair").Stdout, "stays until a server has made its last backup")
		listed := testkit.Decode[[]tenantJSON](t, settings.Command(t, "tenants", "list", "--json"))[0]
		require.True(t, listed.BackupDue)
		require.Contains(t, listed.Error, "last backup: ")
		require.Contains(t, settings.Command(t, "tenants", "show", "acme").Stdout, "deleting, last backup due")
		require.Contains(t, settings.Databases(t), settings.DatabaseName("acme"))
		bringBack()

		settings.RequireTidy(t)
		require.Equal(t, "complete", listBackups(t, &settings)["acme"].Status)
		require.NotContains(t, detailsOf(t, &settings, "acme"), "without_backup")
		shown = app.Get(path, core)
		require.Equal(t, "done", shown.Text(app, "status"), shown.Raw)
		require.NotContains(t, shown.Raw, "acme")
		require.Regexp(t, `delete +acme +done`, settings.Command(t, "operations", "list").Stdout)
		app.Get(path, app.TokenOf("", "eve@example.com")).RequireProblem(app, 404, "operation_not_found", "Operation not found")
	})
}

// requireDeletion waits until the operation that deletes a tenant has that status.
func requireDeletion(t *testing.T, settings *testkit.Settings, slug, status string) {
	t.Helper()
	testkit.Await(t, 20*time.Second, func() error {
		found := settings.Query(t, settings.CoreName(),
			"SELECT status FROM operations WHERE kind = 'delete' AND arguments LIKE '%\""+slug+"\"%'")
		if !strings.Contains(found, status) {
			return fmt.Errorf("it is %q", found)
		}
		return nil
	})
}

func requireLogged(t *testing.T, app *testkit.App, text string) {
	t.Helper()
	testkit.Await(t, 30*time.Second, func() error {
		if !strings.Contains(app.Log.String(), text) {
			return errors.New("it is not logged: " + text)
		}
		return nil
	})
}

// Killed before or after the last backup, or while the tenant is removed, a deletion is
// finished by another process, with one backup. Its operation is done then.
func TestKilledAroundTheLastBackup(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		core := bystander(t, settings)
		keepBackups(t, &settings, nil)
		slugAt := func(step tenants.Step) string { return "acme-" + string(step) }
		request := func(step tenants.Step) testkit.Request {
			return testkit.Request{Method: http.MethodDelete, Path: "/api/organizations/" + slugAt(step), Token: core}
		}
		removing, keeping := []tenants.Step{tenants.StepDropped}, []tenants.Step{tenants.StepMarked, tenants.StepKept}
		all := slices.Concat(keeping, removing)
		process := testkit.StartProcess(t, settings, removing...)
		for _, step := range all {
			process.Organization(core, slugAt(step))
		}
		requireKilled(t, process, removing, request)
		requireKilled(t, testkit.StartProcess(t, settings, keeping...), keeping, request) // of two at once

		app := testkit.Start(t, settings)
		settings.RequireTidy(t)
		require.Len(t, idsOf(t, &settings), len(all))
		for _, step := range all {
			require.Equal(t, "complete", listBackups(t, &settings)[slugAt(step)].Status, step)
		}
		require.Equal(t, len(all), testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM operations WHERE kind = 'delete' AND status = 'done' AND ended_at IS NOT NULL"))
		requireWhole(t, app, "bystander")
	})
}

// A tenant whose database is missing or damaged is deleted all the same, and the reason is
// on record.
func TestALostTenantIsDeletedWithoutABackup(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme", "globex")
		app.Close() // so that the log beside the file is gone
		settings.DropDatabase(t, settings.DatabaseName("acme"))
		if settings.Engine == testkit.SQLite {
			require.NoError(t, os.Truncate(settings.File(settings.DatabaseName("globex")), 5000))
		}
		app = testkit.Start(t, settings)

		deleteTenant(t, app, orgPath, core)

		require.Contains(t, detailsOf(t, &settings, "acme"), "without_backup database_missing")
		require.Contains(t, app.Log.String(), "no last backup of a deleted tenant")
		if settings.Engine == testkit.SQLite {
			settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 0)
			require.Contains(t, detailsOf(t, &settings, "globex"), "without_backup database_damaged")
		}
		require.Empty(t, idsOf(t, &settings))
		settings.RequireTidy(t)
	})
}
