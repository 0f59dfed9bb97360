package tests_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/tests/testkit"
)

// restoredUsers reads the users of a tenant but its owner, whose link is made anew.
const restoredUsers = `SELECT id, email, email_canonical, hashed_password, full_name, is_active, role, bio, phone, created_at, updated_at
	FROM tenant_users WHERE email <> 'ada@example.com' ORDER BY id`

// oddRows are rows of a tenant that a careless copy would change.
func oddRows() []string {
	return []string{
		`INSERT INTO tenant_users (id, email, email_canonical, hashed_password, full_name, is_active, role, bio, phone, created_at)
			VALUES (2147483640, 'odd@example.com', 'odd@example.com', '', '', false, 'member', '\N', 'a` + "\t\\t\r\n\\" + `.', '1970-01-01 00:00:00')`,
		`INSERT INTO tenant_users (id, email, email_canonical, hashed_password, full_name, is_active, role, bio, created_at)
			VALUES (7777, 'ödd@example.com', 'ödd@example.com', 'NULL', '🦆 "quoted"', true, 'admin', NULL, '9999-12-31 23:59:59.999999')`,
	}
}

// A new tenant has what the backup has, under a new id. Nothing that opened the old one
// opens it, except passwords.
func TestRestoreBeside(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		identity := newIdentity(t)
		keepBackups(t, &settings, identity)
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme")
		owner, member := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		require.Equal(t, http.StatusCreated, app.Post("/api/invitations", owner, testkit.JSON{"email": "hank@example.com", "role": "admin"}).Code)
		settings.Command(t, "users", "reset-password", "--tenant", "acme", "grace@example.com").RequireCode(t, 0)
		acme, restored := settings.DatabaseName("acme"), settings.DatabaseName("acme-2")
		settings.Exec(t, acme, oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, acme, "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		settings.Command(t, "backup", "run").RequireCode(t, 0)
		app.Register("acme", "later@example.com")

		closed := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 1)
		require.Contains(t, closed.Stderr, "backup_identity_missing")
		settings.Variables["BACKUP_IDENTITY_FILE"] = identityFile(t, identity)
		outcome := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes", "--json").RequireCode(t, 0)

		require.Contains(t, outcome.Stdout, `"slug": "acme-2"`)
		require.Contains(t, outcome.Stdout, `"owner": "ada@example.com"`)
		kept := settings.Query(t, acme, strings.Replace(restoredUsers, "WHERE", "WHERE email <> 'later@example.com' AND", 1))
		require.Equal(t, kept, settings.Query(t, restored, restoredUsers))
		require.Contains(t, kept, "ödd@example.com")
		for _, table := range []string{"sessions", "password_resets", "tenant_invitations"} {
			require.Zero(t, testkit.Scalar[int](t, &settings, restored, "SELECT count(*) FROM "+table), table)
			require.NotZero(t, testkit.Scalar[int](t, &settings, acme, "SELECT count(*) FROM "+table), table)
		}
		requireWhole(t, app, "acme-2")
		app.TokenOf("acme-2", "grace@example.com")
		created := app.Register("acme-2", "new@example.com")
		require.Equal(t, http.StatusOK, created.Code, created.Raw)
		require.Greater(t, testkit.Scalar[int](t, &settings, restored, "SELECT id FROM tenant_users WHERE email = 'new@example.com'"), 2147483640)
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, restored, "SELECT count(*) FROM tenant_users WHERE core_user_id IS NOT NULL"))
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'organization.restored' AND actor = 'operator' AND target_name = 'acme-2'"))
		for _, token := range []string{owner, member} {
			refused := app.Do(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Tenant: "acme-2", Token: token})
			require.Equal(t, http.StatusForbidden, refused.Code, refused.Raw)
		}
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", core).Code)
		for _, token := range []string{owner, member} {
			app.Get("/api/users/me", token).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		}
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		settings.RequireTidy(t)
	})
}

// Where the tenant is gone, its owner then gets the new one, if that is the same user
// still. A number that another core user has now opens nothing.
func TestRestoreGivesNothingToAnotherOfTheSameNumber(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		fleetOf(app, "acme")
		mallory := app.Token("", "mallory@example.com")
		core, acme := settings.CoreName(), settings.DatabaseName("acme")
		numberOf := "SELECT CAST(id AS varchar) FROM core_users WHERE email = 'mallory@example.com'"
		// Ada's number inside was given to Mallory, as a core that was lost gives it again.
		settings.Exec(t, acme, `INSERT INTO tenant_users (email, email_canonical, hashed_password, is_active, role, created_at, core_user_id)
			VALUES ('former@example.com', 'former@example.com', '', true, 'owner', '2026-01-01 00:00:00', `+testkit.Scalar[string](t, &settings, core, numberOf)+")")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)

		settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 0)

		requireWhole(t, app, "acme-2")
		app.Login("acme-2", "mallory@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusNotFound, app.Post("/api/organizations/acme-2/token", mallory, nil).Code)
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.DatabaseName("acme-2"),
			"SELECT count(*) FROM tenant_users WHERE email = 'former@example.com' AND core_user_id IS NULL AND NOT is_active"))

		settings.Exec(t, core, "UPDATE core_users SET email = 'eve@example.com', email_canonical = 'eve@example.com' WHERE email = 'ada@example.com'")
		refused := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-3", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "is no core user any more")
		settings.RequireTidy(t)
	})
}

// What cannot be restored is refused before anything is made.
func TestRestoreRefuses(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex", "resting")
		settings.Command(t, "tenants", "delete", "resting", "--yes").RequireCode(t, 0)
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		backup := listBackups(t, &settings)["acme"]
		for _, tc := range []struct {
			source, as, backup string
			code               int
			want               string
		}{
			{"acme", "globex", "", 1, "already exists"},
			{"acme", "acme", "", 1, "already exists"},
			{"acme", "admin", "", 1, "reserved"},
			{"acme", "No_Slug", "", 1, "slug"},
			{"globex", "acme-2", "", 1, "there is no such backup"},
			{"nobody", "acme-2", "", 1, "there is no such backup"},
			{"globex", "acme-2", backup.ID, 1, "there is no such backup"},
			{"acme", "acme-2", "20260101T000000Z-aaaaaaaa", 1, "there is no such backup"},
		} {
			arguments := []string{"tenants", "restore", tc.source, "--as", tc.as, "--yes"}
			if tc.backup != "" {
				arguments = append(arguments, "--backup", tc.backup)
			}
			refused := settings.Command(t, arguments...).RequireCode(t, tc.code)
			require.Contains(t, refused.Stderr, tc.want, tc)
		}
		settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2").RequireCode(t, 2)
		settings.Command(t, "tenants", "restore", "acme").RequireCode(t, 2)
		settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes", "--backup", backup.ID).RequireCode(t, 0)

		record := strings.Replace(filepath.Join(folder, backup.Archive), ".tar.zst", ".json", 1)
		text, err := os.ReadFile(record)
		require.NoError(t, err)
		other := strings.Replace(string(text), `"engine": "`+string(settings.Engine)+`"`, `"engine": "other"`, 1)
		require.NoError(t, os.WriteFile(record, []byte(other), 0o600))
		refused := settings.Command(t, "tenants", "restore", "acme", "--as", "acme-3", "--yes").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "another engine")
		settings.RequireTidy(t)
	})
}

// everything is a migration that makes a column of each type that matters, keys among
// its rows, an identity and a trigger that would change what is loaded.
func everything() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: tagsID,
		Migrate: func(tx *gorm.DB) error {
			return tx.Exec(`CREATE TYPE mood AS ENUM ('good', 'bad');
				CREATE TABLE everything (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint REFERENCES everything DEFERRABLE,
					a smallint, b integer, c bigint, d real, e double precision, f numeric, g boolean, h text, i varchar(9), j bytea, k date,
					l time, m timestamp, n timestamptz, o interval, p uuid, q jsonb, r text[], s inet, t mood, u bigint GENERATED ALWAYS AS (id % 7) STORED);
				CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.h = ''spoiled''; RETURN NEW; END';
				INSERT INTO everything (h) VALUES ('of the migration');
				CREATE TRIGGER spoil BEFORE INSERT ON everything FOR EACH ROW EXECUTE FUNCTION spoil()`).Error
		},
	}
}

// Values of every type come back as they were, an older backup is brought to the schema
// of the program, and a newer one is refused.
func TestRestoreEveryType(t *testing.T) {
	t.Parallel()
	first := testkit.Fresh(t, testkit.Postgres)
	keepBackups(t, &first, nil)
	settings := nextRelease(first, everything())
	settings.Command(t, "migrate").RequireCode(t, 0)
	settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
	acme, restored := settings.DatabaseName("acme"), settings.DatabaseName("acme-2")
	settings.Exec(t, acme, "DELETE FROM everything", "ALTER TABLE everything DISABLE TRIGGER spoil",
		`INSERT INTO everything OVERRIDING SYSTEM VALUE VALUES
			(9223372036854775000, NULL, -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', 'NaN', false, '', E'\t\n\r\\\b', '\x00ff0a09',
				'infinity', '24:00', '-infinity', '0001-01-01 BC', '-1 year 2 days', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"a": "\t"}',
				ARRAY['\N', NULL, '', '{"'], '::1/64', 'bad'),
			(1, 9223372036854775000, 32767, 2147483647, 9223372036854775807, 3.4e38, 5e-324, 1e-100, true, '\N', '🦆', '', '5874897-12-31',
				'00:00:00.000001', '294276-12-31 23:59:59.999999', 'infinity', '178000000 years', NULL, 'null', '{}', NULL, 'good')`,
		"INSERT INTO everything (id) OVERRIDING SYSTEM VALUE VALUES (2)", "ALTER TABLE everything ENABLE TRIGGER spoil")
	settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)

	settings.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 0)
	settings.Command(t, "tenants", "restore", "acme", "--as", "acme-2", "--yes").RequireCode(t, 0)

	const rows = "SELECT everything::text FROM everything ORDER BY id"
	require.Equal(t, settings.Query(t, acme, rows), settings.Query(t, restored, rows))
	const sequence = "SELECT last_value, is_called FROM everything_id_seq"
	require.Equal(t, settings.Query(t, acme, sequence), settings.Query(t, restored, sequence))
	settings.Command(t, "tenants", "doctor").RequireCode(t, 0)

	third := nextRelease(first, everything(), createTable("209901030000_create_more", "more"))
	third.Command(t, "migrate").RequireCode(t, 0)
	third.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 0)
	third.Command(t, "tenants", "restore", "acme", "--as", "acme-3", "--yes").RequireCode(t, 0)
	require.Equal(t, settings.Query(t, acme, rows), settings.Query(t, settings.DatabaseName("acme-3"), rows))
	require.Zero(t, testkit.Scalar[int](t, &third, settings.DatabaseName("acme-3"), "SELECT count(*) FROM more"))
	newer := first.Command(t, "tenants", "restore", "acme", "--as", "acme-4", "--yes").RequireCode(t, 1)
	require.Contains(t, newer.Stderr, "newer version")
	require.Contains(t, first.Command(t, "backup", "verify", "--level", "3").RequireCode(t, 1).Stderr, "newer version")
	third.Command(t, "tenants", "doctor").RequireCode(t, 0)
}
