package migrations_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/migrations"
)

func TestAdoptsTheOriginalsCore(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core()
			original(t, db)
			run(
				t, db,
				"INSERT INTO core_users (id, email, hashed_password, full_name, is_active, created_at) VALUES "+
					"(1, 'ADA@x.org', '$2b$12$ada', 'Ada', TRUE, '2024-01-02 03:04:05'), (2, 'ada@x.org', '$2b$12$low', NULL, FALSE, NULL), "+
					"(3, 'Bob@x.org', '$2b$12$bob', NULL, NULL, NULL), (4, 'bOB@x.org', 'h', NULL, TRUE, NULL), "+
					"(5, 'ÄÖ@X.org', 'h', NULL, TRUE, NULL), (6, 'äÖ@x.org', 'h', NULL, TRUE, NULL), (-7, 'Old@x.org', 'h', NULL, TRUE, NULL)",
				"INSERT INTO organizations (id, name, slug, owner_id, is_active) VALUES "+
					"(1, 'Acme', 'acme', 1, TRUE), (2, 'Off', 'off', 1, FALSE), (3, 'Null', 'null-org', 3, NULL)",
			)
			passwords := rows(t, db, "SELECT hashed_password FROM core_users ORDER BY id")

			migrate(t, db, core())
			migrate(t, db, core())

			require.Equal(t, []string{
				"Old@x.org=old@x.org", "ADA@x.org=ADA@x.org", "ada@x.org=ada@x.org", "Bob@x.org=bob@x.org", "bOB@x.org=bOB@x.org",
				"ÄÖ@X.org=ÄÖ@x.org", "äÖ@x.org=äÖ@x.org",
			}, rows(t, db, "SELECT email || '=' || email_canonical FROM core_users ORDER BY id"))
			require.Equal(t, passwords, rows(t, db, "SELECT hashed_password FROM core_users ORDER BY id"))
			require.Equal(t, []string{"3"}, rows(t, db, "SELECT id FROM core_users WHERE is_active AND id IN (2, 3)"))
			require.Empty(t, rows(t, db, "SELECT id FROM core_users WHERE created_at IS NULL"))
			require.Equal(t, []string{"1"}, rows(t, db, "SELECT id FROM core_users WHERE created_at < '2025-01-01'"))
			require.Equal(t, []string{"abc123"}, rows(t, db, "SELECT version_num FROM alembic_version"))
			require.Equal(t, []string{
				"1 acme multitenant_acme ready .", "2 off multitenant_off suspended .", "3 null-org multitenant_null-org ready .",
			}, rows(t, db, "SELECT o.id || ' ' || t.slug || ' ' || t.database_name || ' ' || t.status || ' ' || t.schema_version || '.' "+
				"FROM organizations o JOIN tenants t ON t.id = o.tenant_id ORDER BY o.id"))
			run(t, db, "INSERT INTO core_users (id, email, email_canonical, hashed_password) VALUES (99, 'new@x.org', 'new@x.org', '')")
		})
	}
}

func TestAdoptsTheOriginalsTenant(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core() // any database will do
			originalUsers(t, db, "tenant_users", ", bio TEXT, phone VARCHAR")
			run(t, db, "INSERT INTO tenant_users (id, email, hashed_password, bio, phone) VALUES (1, 'Eve@x.org', 'h', 'bio', '123')")

			migrate(t, db, migrations.Tenant())

			require.Equal(t, []string{"Eve@x.org eve@x.org bio 123"},
				rows(t, db, "SELECT email || ' ' || email_canonical || ' ' || bio || ' ' || phone FROM tenant_users WHERE core_user_id IS NULL AND is_active"))
			require.Empty(t, rows(t, db, "SELECT tenant_id FROM tenant_stamp"), "the caller knows whose it is, and writes the stamp")
		})
	}
}

// An older original, or one touched by hand.
func TestAdoptsIncompleteTables(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core()
			id := "SERIAL PRIMARY KEY"
			if db.Name() == "sqlite" {
				id = "INTEGER PRIMARY KEY"
			}
			run(
				t, db,
				"CREATE TABLE core_users (id "+id+", email VARCHAR NOT NULL UNIQUE, hashed_password VARCHAR NOT NULL)",
				"INSERT INTO core_users (email, hashed_password) VALUES ('a@x.org', 'h')",
			)

			migrate(t, db, core())

			require.Equal(t, []string{"a@x.org"}, rows(t, db, "SELECT email_canonical FROM core_users WHERE is_active AND created_at IS NOT NULL AND full_name IS NULL"))
			indexes := strings.Join(describe(t, db), "\n")
			require.NotContains(t, indexes, "ix_core_users_email ", "the constraint does as well")
			require.Contains(t, indexes, "ix_core_users_id ")
		})
	}
}

func TestBackfillOfManyRows(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core()
			original(t, db)
			values := make([]string, 1_201)
			for i := range values {
				values[i] = fmt.Sprintf("('User%d@X.org', 'h')", i)
			}
			run(t, db, "INSERT INTO core_users (email, hashed_password) VALUES "+strings.Join(values, ", "))
			run(t, db, "INSERT INTO organizations (name, slug, owner_id, is_active) SELECT email, 's' || id, id, TRUE FROM core_users")

			migrate(t, db, core())

			require.Equal(t, []string{"1201"}, rows(t, db, "SELECT count(*) FROM core_users WHERE email_canonical = lower(email)"))
			require.Equal(t, []string{"1201"}, rows(t, db, "SELECT count(*) FROM organizations o JOIN tenants t ON t.id = o.tenant_id AND t.slug = o.slug"))
		})
	}
}

func TestSharedDatabasesGoToTheFirst(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 51)
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core()
			original(t, db)
			run(
				t, db,
				"INSERT INTO core_users (id, email, hashed_password) VALUES (1, 'a@x.org', 'h')",
				"INSERT INTO organizations (id, name, slug, owner_id, is_active) VALUES (9, 'b', '"+long+"-second', 1, TRUE), "+
					"(2, 'a', '"+long+"-first', 1, TRUE), (3, 'c', 'c', 1, TRUE)",
			)
			migrate(t, db, core())
			names := rows(t, db, "SELECT database_name FROM tenants t JOIN organizations o ON o.tenant_id = t.id ORDER BY o.id")
			require.Equal(t, []string{prefix + long, prefix + "c"}, names[:2])
			require.Regexp(t, "^multitenant__missing_[0-9a-f]{32}$", names[2])

			_, err := b.OpenDatabase(t.Context(), names[2], nil)
			require.ErrorIs(t, err, database.ErrNotExist)
		})
	}
}

// The slug core led the original into the core database.
func TestCoreDatabaseIsNobodysTenant(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core()
			original(t, db)
			own := "core"
			if db.Name() == "postgres" {
				own = rows(t, db, "SELECT current_database()")[0]
			}
			head, slug := own[:2], own[2:]
			run(
				t, db,
				"INSERT INTO core_users (id, email, hashed_password) VALUES (1, 'a@x.org', 'h')",
				"INSERT INTO organizations (id, name, slug, owner_id, is_active) VALUES (1, 'a', '"+slug+"', 1, TRUE)",
			)

			migrate(t, db, migrations.Core(head))

			require.Regexp(t, "^"+head+"_missing_[0-9a-f]{32}$", rows(t, db, "SELECT database_name FROM tenants")[0])
		})
	}
}

// A restore of the data alone leaves the sequences of the original behind. The name of a
// violated constraint tells a taken address from a repeated id, whatever it was before.
func TestAdoptionSetsSequencesAndNames(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := openFresh(t).Core()
			id := "SERIAL PRIMARY KEY"
			if db.Name() == "sqlite" {
				id = "INTEGER PRIMARY KEY"
			}
			run(
				t, db,
				"CREATE TABLE core_users (id "+id+", email VARCHAR NOT NULL CONSTRAINT \"UQ users\" UNIQUE, hashed_password VARCHAR NOT NULL)",
				"INSERT INTO core_users (id, email, hashed_password) VALUES (7, 'a@x.org', 'h')",
			)

			migrate(t, db, core())

			const insert = "INSERT INTO core_users (email, email_canonical, hashed_password) VALUES "
			run(t, db, insert+"('b@x.org', 'b@x.org', 'h')")
			require.Equal(t, []string{"8"}, rows(t, db, "SELECT id FROM core_users WHERE email = 'b@x.org'"))
			err := db.WithContext(t.Context()).Exec(insert + "('b@x.org', 'c@x.org', 'h')").Error
			taken, ok := errors.AsType[*database.DuplicateError](err)
			require.True(t, ok, err)
			require.Contains(t, []string{"ix_core_users_email", "core_users_email_key"}, taken.Constraint())
		})
	}
}
