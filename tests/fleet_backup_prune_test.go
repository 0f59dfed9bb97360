package tests_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// backdate gives a backup another id and time, as if it had been made then, and returns
// the id.
func backdate(t *testing.T, folder string, backup backupJSON, at time.Time) (id string) {
	t.Helper()
	archived := filepath.Join(folder, backup.Archive)
	path := strings.TrimSuffix(archived, ".tar.zst") + ".json"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var record map[string]any
	require.NoError(t, json.Unmarshal(text, &record))
	id = at.UTC().Format("20060102T150405Z") + backup.ID[16:]
	record["id"], record["taken_at"] = id, at.UTC()
	record["archive"] = strings.Replace(backup.Archive, backup.ID, id, 1)
	text, err = json.Marshal(record)
	require.NoError(t, err)
	require.NoError(t, os.Rename(archived, strings.Replace(archived, backup.ID, id, 1)))
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(strings.Replace(path, backup.ID, id, 1), text, 0o600))
	return id
}

// backUpAt backs acme up as if it was that day.
func backUpAt(t *testing.T, settings *testkit.Settings, folder string, day int) (id string) {
	t.Helper()
	run := settings.Command(t, "backup", "run", "--tenant", "acme", "--json")
	made := testkit.Decode[backupRunJSON](t, run).Items[0].ID
	for _, backup := range decodeLoosely[[]backupJSON](t, settings.Command(t, "backup", "list", "--json")) {
		if backup.ID == made {
			return backdate(t, folder, backup, time.Date(2026, time.March, day, 3, 0, 0, 0, time.UTC))
		}
	}
	require.Fail(t, "the backup is not listed")
	return ""
}

func idsOf(t *testing.T, settings *testkit.Settings) (ids []string) {
	t.Helper()
	for _, backup := range decodeLoosely[[]backupJSON](t, settings.Command(t, "backup", "list", "--json")) {
		ids = append(ids, backup.ID)
	}
	return ids
}

// writeAt makes a file in the store that was written at that time.
func writeAt(t *testing.T, path string, at time.Time) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	require.NoError(t, os.Chtimes(path, at, at))
}

// namesIn returns the names of what is in a folder.
func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Retention removes what the policy does not keep, but neither the newest whole backup,
// nor the newest proven one, nor the newest complete one, nor what it does not know.
func TestBackupPrune(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	folder := keepBackups(t, &settings, nil)
	settings.Command(t, "migrate").RequireCode(t, 0)
	settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
	oldest := backUpAt(t, &settings, folder, 1)
	proven := backUpAt(t, &settings, folder, 2)
	settings.Command(t, "backup", "verify").RequireCode(t, 0)
	older, complete := backUpAt(t, &settings, folder, 3), backUpAt(t, &settings, folder, 4)
	settings.Exec(t, settings.DatabaseName("acme"), "CREATE VIEW report AS SELECT 1")
	newest, damaged := backUpAt(t, &settings, folder, 5), backUpAt(t, &settings, folder, 6)
	shelf := filepath.Dir(filepath.Join(folder, listBackups(t, &settings)["acme"].Archive))
	require.NoError(t, os.WriteFile(filepath.Join(shelf, damaged+".tar.zst"), []byte("damaged"), 0o600))
	settings.Command(t, "backup", "verify", "--level", "1").RequireCode(t, 1)
	require.Contains(t, namesIn(t, shelf), damaged+".damaged")
	for _, name := range []string{oldest + ".proof2", proven + ".proof2"} {
		require.Contains(t, namesIn(t, shelf), name)
	}
	require.NoError(t, os.Remove(filepath.Join(shelf, oldest+".proof2")))
	unknown := filepath.Join(shelf, "20260101T030000Z-aaaaaaaa.json") // of a later release
	require.NoError(t, os.WriteFile(unknown, []byte(`{"format": 2}`), 0o600))

	require.Contains(t, settings.Command(t, "backup", "prune").RequireCode(t, 1).Stderr, "BACKUP_KEEP: must be set")
	settings.Variables["BACKUP_KEEP"] = "1d"
	dry := settings.Command(t, "backup", "prune", "--dry-run").RequireCode(t, 0)
	require.Contains(t, dry.Stdout, "would be removed: 3 backups, 0 objects of no backup\n")
	require.Len(t, decodeLoosely[[]any](t, settings.Command(t, "backup", "prune", "--dry-run", "--json")), 3)
	settings.Command(t, "backup", "prune").RequireCode(t, 0)

	left := slices.DeleteFunc(namesIn(t, shelf), func(name string) bool { return !strings.HasSuffix(name, ".json") })
	require.ElementsMatch(t, []string{filepath.Base(unknown), proven + ".json", complete + ".json", newest + ".json"}, left)
	for _, id := range []string{oldest, older, damaged} {
		require.NotContains(t, strings.Join(namesIn(t, shelf), "\n"), id, "nothing of it is left")
	}
	again := settings.Command(t, "backup", "prune").RequireCode(t, 0)
	require.Equal(t, "removed: 0 backups, 0 objects of no backup\n", again.Stdout)
}

// What dead runs left goes after a day, by the clocks of both, and unless its database
// is being backed up; other files stay. Two processes do not prune at once.
func TestBackupPruneRemovesLeftovers(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		settings.Variables["BACKUP_KEEP"] = "7d"
		app := testkit.Start(t, settings)
		app.Organization(app.Token("", "ada@example.com"), "acme")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		shelf := filepath.Dir(filepath.Join(folder, listBackups(t, &settings)["acme"].Archive))
		old, now := time.Now().Add(-25*time.Hour), time.Now()
		named := func(at time.Time, suffix string) string {
			return at.UTC().Format("20060102T150405Z") + "-aaaaaaaa" + suffix
		}
		gone := []string{"OLD.part", named(old, ".tar.zst"), named(old, ".tar.zst.age"), named(old, ".proof2")}
		for _, name := range gone {
			writeAt(t, filepath.Join(shelf, name), old)
		}
		stays := []string{"NEW.part", named(old, ".tar"), "notes.txt", named(now, ".tar.zst"), named(old.Add(-time.Hour), ".tar.zst")}
		for i, name := range stays {
			writeAt(t, filepath.Join(shelf, name), []time.Time{now, old, old, old, now}[i])
		}
		tenant := filepath.Base(shelf)

		busy, free, err := app.Backend.TryLock(t.Context(), "tenant "+tenant)
		require.NoError(t, err)
		require.True(t, free)
		require.Equal(t, "removed: 0 backups, 0 objects of no backup\n", settings.Command(t, "backup", "prune").RequireCode(t, 0).Stdout)
		busy.Unlock()
		busy, free, err = app.Backend.TryLock(t.Context(), "backup prune")
		require.NoError(t, err)
		require.True(t, free)
		require.Contains(t, settings.Command(t, "backup", "prune").RequireCode(t, 1).Stderr, "another process is removing backups")
		busy.Unlock()
		require.Equal(t, "removed: 0 backups, 4 objects of no backup\n", settings.Command(t, "backup", "prune").RequireCode(t, 0).Stdout)

		for _, name := range gone {
			require.NotContains(t, namesIn(t, shelf), name)
		}
		require.Subset(t, namesIn(t, shelf), stays)
		require.Len(t, idsOf(t, &settings), 1)
	})
}

// The backups of a deleted tenant stay for BACKUP_KEEP_DELETED after the last one, as those
// of others do, and then go together. What there is of a tenant that lives stays.
func TestBackupPruneOfDeletedTenants(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		settings.Variables["BACKUP_KEEP"], settings.Variables["BACKUP_KEEP_DELETED"] = "1d", "10d"
		settings.Command(t, "migrate").RequireCode(t, 0)
		for _, slug := range []string{"acme", "globex", "initech"} {
			settings.Command(t, "tenants", "create", slug).RequireCode(t, 0)
		}
		now := time.Now()
		ids := make([]string, 0, 3)
		for slug, age := range map[string]int{"acme": 11, "globex": 9, "initech": 11} {
			if slug == "initech" {
				settings.Command(t, "backup", "run", "--tenant", slug).RequireCode(t, 0)
			} else {
				settings.Command(t, "tenants", "delete", slug, "--yes").RequireCode(t, 0)
			}
			ids = append(ids, backdate(t, folder, listBackups(t, &settings)[slug], now.AddDate(0, 0, -age)))
		}
		acme := filepath.Dir(filepath.Join(folder, listBackups(t, &settings)["acme"].Archive))
		writeAt(t, filepath.Join(acme, "NEW.part"), now)

		dry := settings.Command(t, "backup", "prune", "--dry-run").RequireCode(t, 0)
		require.Contains(t, dry.Stdout, "would be removed: 1 backups")
		require.ElementsMatch(t, ids, idsOf(t, &settings))
		settings.Command(t, "backup", "prune").RequireCode(t, 0)

		left := listBackups(t, &settings)
		require.Len(t, left, 2)
		require.NotContains(t, left, "acme")
		require.Empty(t, namesIn(t, acme))
	})
}

// An identity that is not the right one proves nothing, and condemns nothing.
func TestBackupVerifyWithAWrongIdentityCondemnsNothing(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	folder := keepBackups(t, &settings, newIdentity(t))
	settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, newIdentity(t))
	settings.Command(t, "migrate").RequireCode(t, 0)
	settings.Command(t, "backup", "run").RequireCode(t, 0)

	settings.Command(t, "backup", "verify").RequireCode(t, 1)

	for _, pattern := range []string{"*.damaged", "*.proof2"} {
		found, err := filepath.Glob(filepath.Join(folder, "*", "core", pattern))
		require.NoError(t, err)
		require.Empty(t, found)
	}
}

// Erasure removes all of a tenant, the newest backup and leftovers too, and nothing of
// others, also when the tenant is gone and its slug another's. It is on record.
func TestBackupForget(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "acme", "globex")
		for range 2 {
			settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		}
		settings.Command(t, "backup", "run", "--tenant", "globex").RequireCode(t, 0)
		first := filepath.Dir(filepath.Join(folder, listBackups(t, &settings)["acme"].Archive))
		writeAt(t, filepath.Join(first, "NEW.part"), time.Now())
		app.Delete("/api/organizations/acme", owner) // with a last backup
		app.Organization(owner, "acme")

		several := settings.Command(t, "backup", "forget", "acme", "--yes").RequireCode(t, 1)
		require.Contains(t, several.Stderr, "several tenants had this slug: name one of ")
		require.Contains(t, settings.Command(t, "backup", "forget", "acme", "globex").RequireCode(t, 1).Stderr, "several tenants")
		settings.Command(t, "backup", "forget", "globex").RequireCode(t, 2)
		settings.Command(t, "backup", "forget", "nobody", "--yes").RequireCode(t, 1)
		settings.Command(t, "backup", "forget", "core", "--yes").RequireCode(t, 1)
		id := filepath.Base(first)
		outcome := settings.Command(t, "backup", "forget", id, "--yes").RequireCode(t, 0)

		require.Contains(t, outcome.Stdout, "3 backups are removed")
		require.Empty(t, namesIn(t, first))
		require.Len(t, idsOf(t, &settings), 1)
		settings.Command(t, "backup", "forget", id, "--yes").RequireCode(t, 0)
		settings.Command(t, "backup", "forget", "globex", "--yes").RequireCode(t, 0)
		require.Empty(t, idsOf(t, &settings))
		for query, count := range map[string]int{
			"target_name = 'acme' AND target_kind = 'tenant' AND detail = '" + id + "'": 1,
			"target_name = 'globex' AND target_kind = 'organization'":                   1,
			"actor = 'operator'": 3,
		} {
			require.Equal(t, count, testkit.Scalar[int](t, &settings, settings.CoreName(),
				"SELECT count(*) FROM audit_events WHERE action = 'organization.forgotten' AND "+query), query)
		}
	})
}
