package tests_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// moment is a tenant that another program has restored, as the tests make it.
type moment struct {
	settings testkit.Settings // to read and change it
	name     string           // of its database
	flags    []string         // that lead to it
}

// restoreElsewhere copies a tenant's database as it is now, or its file with its log
// beside.
func restoreElsewhere(t *testing.T, settings *testkit.Settings, slug string) moment {
	t.Helper()
	name := settings.DatabaseName(slug)
	if settings.Engine == testkit.SQLite {
		other := testkit.Fresh(t, testkit.SQLite)
		require.NoError(t, os.MkdirAll(other.Folder(), 0o700))
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(settings.File(name) + suffix)
			if suffix == "" || !os.IsNotExist(err) {
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(other.File(name)+suffix, content, 0o600))
			}
		}
		return moment{settings: other, name: name, flags: []string{"--file", other.File(name)}}
	}
	copied := "elsewhere_" + name
	settings.Administer(t, "CREATE DATABASE "+copied+" TEMPLATE "+name+" OWNER "+settings.CoreName())
	return moment{settings: *settings, name: copied, flags: []string{"--from", withoutPassword(t, settings.Database.URL, copied)}}
}

// pauseElsewhere stops a standby at this moment, as a server that is restored to a moment
// stops, and leads to the tenant on it.
func pauseElsewhere(t *testing.T, settings *testkit.Settings, pair *pgtest.Pair, slug string) moment {
	t.Helper()
	other := *settings
	other.Admin, other.Database.URL = pair.Standby.URL(), pair.Standby.URL()
	written := testkit.Scalar[string](t, settings, settings.CoreName(), "SELECT pg_current_wal_lsn()::text")
	testkit.Await(t, 30*time.Second, func() error {
		if !testkit.Scalar[bool](t, &other, "postgres", "SELECT pg_last_wal_replay_lsn() >= '"+written+"'::pg_lsn") {
			return errors.New("the standby is behind")
		}
		return nil
	})
	other.Administer(t, "SELECT pg_wal_replay_pause()")
	name := settings.DatabaseName(slug)
	return moment{settings: other, name: name, flags: []string{"--from", withoutPassword(t, other.Admin, name)}}
}

// withoutPassword returns a URL of that database that has a file of passwords instead.
func withoutPassword(t *testing.T, raw, name string) string {
	t.Helper()
	address, err := url.Parse(raw)
	require.NoError(t, err)
	password, _ := address.User.Password()
	passwords := filepath.Join(t.TempDir(), "passwords")
	require.NoError(t, os.WriteFile(passwords, []byte("*:*:*:*:"+password+"\n"), 0o600))
	address.User, address.Path = url.User(address.User.Username()), "/"+name
	query := address.Query()
	query.Set("passfile", passwords)
	address.RawQuery = query.Encode()
	return address.String()
}

// restore restores the tenant beside.
func (m *moment) restore(t *testing.T, settings *testkit.Settings, slug, as string, more ...string) testkit.Outcome {
	t.Helper()
	arguments := append([]string{"tenants", "restore", slug, "--as", as, "--yes"}, m.flags...)
	return settings.Command(t, append(arguments, more...)...)
}

// A tenant is made of what another program has restored to a moment, and nothing changes
// there. Nothing opens it that opened the tenant, except passwords.
func TestRestoreAtAMoment(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		elsewhere := func() moment { return restoreElsewhere(t, &settings, "acme") }
		if settings.Engine == testkit.Postgres {
			pair := pgtest.StartPair(t)
			settings = onCluster(t, pair.Primary)
			elsewhere = func() moment { return pauseElsewhere(t, &settings, pair, "acme") }
		}
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		app.Register("acme", "grace@example.com")
		settings.Exec(t, settings.DatabaseName("acme"), oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, settings.DatabaseName("acme"), "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		then := elsewhere()
		settings.Exec(t, settings.DatabaseName("acme"), "DELETE FROM tenant_users WHERE email <> 'ada@example.com'")
		before := then.dump(t)

		outcome := then.restore(t, &settings, "acme", "acme-2", "--json").RequireCode(t, 0)

		require.Contains(t, outcome.Stdout, `"owner": "ada@example.com"`)
		require.Equal(t, before, then.dump(t), "what is outside was changed")
		restored := settings.DatabaseName("acme-2")
		users := settings.Query(t, restored, restoredUsers)
		require.Contains(t, users, "ödd@example.com")
		require.Equal(t, then.settings.Query(t, then.name, restoredUsers), users)
		require.Zero(t, testkit.Scalar[int](t, &settings, restored, "SELECT count(*) FROM sessions"))
		requireWhole(t, app, "acme-2")
		app.TokenOf("acme-2", "grace@example.com")
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'organization.restored' AND detail LIKE '%"+then.name+"%' AND detail NOT LIKE '%@%'"))

		other := then.restore(t, &settings, "globex", "globex-2").RequireCode(t, 1)
		require.Contains(t, other.Stderr, testkit.Scalar[string](t, &settings, settings.CoreName(),
			"SELECT CAST(id AS varchar) FROM tenants WHERE slug = 'acme'"), "it says which tenant was found")
		require.Contains(t, then.restore(t, &settings, "nobody", "nobody-2").RequireCode(t, 1).Stderr, "no tenant has the slug")
		settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)
		then.restore(t, &settings, "acme", "acme-3").RequireCode(t, 0)
		app.TokenOf("acme-3", "ada@example.com")
		settings.Command(t, "tenants", "release", "acme").RequireCode(t, 0)
		require.Contains(t, then.restore(t, &settings, "acme", "acme-4").RequireCode(t, 1).Stderr, "no tenant has the slug")
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// dump returns all that is outside.
func (m *moment) dump(t *testing.T) string {
	t.Helper()
	if m.settings.Engine == testkit.Postgres {
		return m.settings.Dump(t, m.name)
	}
	all := &strings.Builder{}
	entries, err := os.ReadDir(m.settings.Folder())
	require.NoError(t, err)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(m.settings.Folder(), entry.Name()))
		require.NoError(t, err)
		all.WriteString(entry.Name() + "\n" + string(content))
	}
	return all.String()
}

// What is outside may be of an older release, not of a newer one. What migrations do not
// make must be accepted.
func TestRestoreAtAMomentOfAnotherRelease(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Command(t, "migrate").RequireCode(t, 0)
		settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
		then := restoreElsewhere(t, &settings, "acme")
		newer := nextRelease(settings, createTable(tagsID, "tags"))
		newer.Command(t, "migrate").RequireCode(t, 0)
		then.restore(t, &newer, "acme", "acme-2").RequireCode(t, 0)
		require.Zero(t, testkit.Scalar[int](t, &newer, newer.DatabaseName("acme-2"), "SELECT count(*) FROM tags"))
		then.settings.Exec(t, then.name, "CREATE VIEW by_hand AS SELECT 1 AS one")
		lacking := then.restore(t, &newer, "acme", "acme-3")
		if settings.Engine == testkit.Postgres { // a file has all that it has
			require.Contains(t, lacking.RequireCode(t, 1).Stderr, "view by_hand")
			lacking = then.restore(t, &newer, "acme", "acme-3", "--incomplete")
		}
		lacking.RequireCode(t, 0)
		then.settings.Exec(t, then.name, "DROP VIEW by_hand", "INSERT INTO schema_migrations (id) VALUES ('209912310000_later')")
		require.Contains(t, then.restore(t, &newer, "acme", "acme-4").RequireCode(t, 1).Stderr, "newer version")
		newer.Command(t, "tenants", "doctor").RequireCode(t, 0)
		newer.RequireTidy(t)
	})
}

// A place that cannot be read, or must not be, is refused before anything is made.
func TestRestoreAtAMomentRefuses(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Command(t, "migrate").RequireCode(t, 0)
		settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
		before := settings.Databases(t)
		empty := filepath.Join(t.TempDir(), "empty.db")
		require.NoError(t, os.WriteFile(empty, nil, 0o600))
		torn := filepath.Join(t.TempDir(), "torn.db")
		require.NoError(t, os.WriteFile(torn, []byte("SQLite format 3\x00"+strings.Repeat("x", 9000)), 0o600))
		own, other := []string{"--file", empty}, []string{"--from", "postgres://127.0.0.1:1/multitenant_acme"}
		if settings.Engine == testkit.Postgres {
			own, other = other, own
		}
		for _, tc := range []struct {
			flags []string
			code  int
			want  string
		}{
			{[]string{"--from", "postgres://ada:hunter2@127.0.0.1:1/x"}, 2, "PGPASSWORD"},
			{[]string{"--from", "postgres://127.0.0.1:1/x?password=hunter2"}, 2, "PGPASSWORD"},
			{[]string{"--from", "postgres://127.0.0.1:1/x", "--file", empty}, 2, "can't be used together"},
			{own, 1, ""},
			{other, 1, "another engine"},
			{[]string{"--file", torn}, 1, ""},
			{[]string{"--file", filepath.Join(t.TempDir(), "missing.db")}, 1, ""},
		} {
			refused := settings.Command(t, append([]string{"tenants", "restore", "acme", "--as", "acme-2", "--yes"}, tc.flags...)...)
			require.Contains(t, refused.RequireCode(t, tc.code).Stderr, tc.want, tc.flags)
			require.NotContains(t, refused.Stderr, "hunter2")
		}
		require.Equal(t, before, settings.Databases(t))
		settings.RequireTidy(t)
	})
}
