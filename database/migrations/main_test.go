package migrations_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/database/migrations"
	"multitenant/tests/pgtest"
)

const prefix = "multitenant_"

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// engines maps each engine to what makes a fresh core database of it. On
// PostgreSQL that belongs to a role that may do little else.
func engines() map[string]func(*testing.T) database.Backend {
	return map[string]func(*testing.T) database.Backend{
		"sqlite": func(t *testing.T) database.Backend {
			t.Helper()
			return open(t, "sqlite://"+filepath.Join(t.TempDir(), "core.db"))
		},
		"postgres": func(t *testing.T) database.Backend { t.Helper(); return open(t, pgtest.Database(t)) },
	}
}

func open(t *testing.T, url string) database.Backend {
	t.Helper()
	b, err := connect.Open(t.Context(), database.Options{URL: url, MaxConnections: 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func run(t *testing.T, db *gorm.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		require.NoError(t, db.WithContext(t.Context()).Exec(statement).Error, statement)
	}
}

func migrate(t *testing.T, db *gorm.DB, list []*gormigrate.Migration) {
	t.Helper()
	require.NoError(t, database.Migrate(t.Context(), db, list))
}

// rows reads a query as text, a row a line, its columns between bars.
func rows(t *testing.T, db *gorm.DB, query string) (lines []string) {
	t.Helper()
	require.NoError(t, db.WithContext(t.Context()).Raw(query).Scan(&lines).Error)
	return lines
}

// describe lists all there is in a database: tables, columns, defaults, indexes.
func describe(t *testing.T, db *gorm.DB) []string {
	t.Helper()
	if db.Name() == "sqlite" {
		return rows(t, db, "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY type, name")
	}
	return append(
		rows(t, db, `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '')
			FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, column_name`),
		append(
			rows(t, db, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"),
			rows(t, db, "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1")...,
		)...,
	)
}

// original makes the core tables of the Python original, as its ORM did, or for
// SQLite, which it never ran on, as it would have.
func original(t *testing.T, db *gorm.DB) {
	t.Helper()
	originalUsers(t, db, "core_users", "")
	serial, stamp := "SERIAL NOT NULL", "TIMESTAMP WITH TIME ZONE DEFAULT now()"
	later := "TIMESTAMP WITH TIME ZONE"
	if db.Name() == "sqlite" {
		serial, stamp, later = "INTEGER NOT NULL", "DATETIME DEFAULT CURRENT_TIMESTAMP", "DATETIME"
	}
	run(
		t, db,
		"CREATE TABLE organizations (id "+serial+", name VARCHAR NOT NULL, slug VARCHAR NOT NULL, description VARCHAR, "+
			"owner_id INTEGER NOT NULL, is_active BOOLEAN, created_at "+stamp+", updated_at "+later+", "+
			"PRIMARY KEY (id), FOREIGN KEY(owner_id) REFERENCES core_users (id))",
		"CREATE INDEX ix_organizations_id ON organizations (id)",
		"CREATE UNIQUE INDEX ix_organizations_slug ON organizations (slug)",
		"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
		"INSERT INTO alembic_version VALUES ('abc123')",
	)
}

func originalUsers(t *testing.T, db *gorm.DB, table, more string) {
	t.Helper()
	serial, stamp, later := "SERIAL NOT NULL", "TIMESTAMP WITH TIME ZONE DEFAULT now()", "TIMESTAMP WITH TIME ZONE"
	if db.Name() == "sqlite" {
		serial, stamp, later = "INTEGER NOT NULL", "DATETIME DEFAULT CURRENT_TIMESTAMP", "DATETIME"
	}
	run(
		t, db,
		"CREATE TABLE "+table+" (id "+serial+", email VARCHAR NOT NULL, hashed_password VARCHAR NOT NULL, full_name VARCHAR, "+
			"is_active BOOLEAN, created_at "+stamp+", updated_at "+later+more+", PRIMARY KEY (id))",
		"CREATE UNIQUE INDEX ix_"+table+"_email ON "+table+" (email)",
		"CREATE INDEX ix_"+table+"_id ON "+table+" (id)",
	)
}

func core() []*gormigrate.Migration { return migrations.Core(prefix) }

// lists maps core and tenant to their migrations.
func lists() map[string][]*gormigrate.Migration {
	return map[string][]*gormigrate.Migration{"core": core(), "tenant": migrations.Tenant()}
}

// forEachList runs a test with each list, on a fresh database of each engine.
func forEachList(t *testing.T, test func(t *testing.T, db *gorm.DB, realm string, list []*gormigrate.Migration)) {
	t.Helper()
	for engine, openFresh := range engines() {
		for realm, list := range lists() {
			t.Run(engine+"/"+realm, func(t *testing.T) {
				t.Parallel()
				test(t, openFresh(t).Core(), realm, list)
			})
		}
	}
}
