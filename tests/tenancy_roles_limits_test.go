package tests_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tests/testkit"
)

// asRole lends a tenant's database, which is entered by the tenant's role.
func asRole(t *testing.T, app *testkit.App, slug string) *gorm.DB {
	t.Helper()
	tenant, release, err := app.Tenants.Acquire(t.Context(), models.Slug(slug))
	require.NoError(t, err)
	t.Cleanup(release)
	return tenant.DB.WithContext(t.Context())
}

// TestWhatARoleMayNot: whoever gets a statement of theirs to a tenant's connection
// can do no more than change that tenant's rows.
func TestWhatARoleMayNot(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	db := asRole(t, p.App, "acme")
	require.NoError(t, db.Exec("UPDATE tenant_users SET bio = 'mine'").Error)

	for _, statement := range []string{
		"CREATE TEMPORARY TABLE mine (id int)",
		"CREATE SCHEMA mine",
		"CREATE EXTENSION pg_stat_statements",
		"CREATE ROLE mine",
		"CREATE DATABASE mine",
		"DROP TABLE tenant_users",
		"TRUNCATE tenant_users",
		"ALTER TABLE tenant_users ADD COLUMN mine int",
		"UPDATE tenant_stamp SET tenant_id = tenant_id",
		"DELETE FROM schema_migrations",
		"SET ROLE " + appRole(t, &settings),
		"SET SESSION AUTHORIZATION " + appRole(t, &settings),
		"ALTER DATABASE " + p.acmeDB + " RENAME TO mine",
		"GRANT CONNECT ON DATABASE " + p.globexDB + " TO " + roleOf(t, &settings, "acme"),
		"GRANT " + roleOf(t, &settings, "globex") + " TO " + roleOf(t, &settings, "acme"),
		"ALTER ROLE " + roleOf(t, &settings, "globex") + " PASSWORD 'mine'",
		"SELECT rolpassword FROM pg_authid",
		"SELECT pg_read_file('PG_VERSION')",
		"COPY tenant_users TO PROGRAM 'cat'",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + appRole(t, &settings) + "'",
	} {
		err := db.Exec(statement).Error
		if strings.HasPrefix(statement, "GRANT CONNECT") && err == nil {
			continue // only a warning: looked at below
		}
		require.True(t, database.IsDenied(err), "%s: %v", statement, err)
	}
	require.Equal(t, "f", adminText(t, &settings, "SELECT has_database_privilege('"+roleOf(t, &settings, "acme")+"', '"+p.globexDB+"', 'CONNECT')"))
	p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
}

// TestSchemaPublic is closed to the tenant's role, except on a server that was upgraded
// from PostgreSQL 14, where it belongs to the server's administrator: then the log says
// so, once, and the statements of docs/postgresql.md close it.
func TestSchemaPublic(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	makeTable := func() error {
		return asRole(t, p.App, "acme").Exec("CREATE TABLE public.mine (id int)").Error
	}
	warned := strings.Count(p.Log.String(), "may make tables")

	owner := testkit.Scalar[string](t, &settings, p.acmeDB, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'")
	if owner != "pg_database_owner" {
		require.Equal(t, 1, warned, p.Log)
		require.NoError(t, makeTable())
		admin := settings
		admin.Database.URL = settings.Admin
		admin.Exec(t, p.acmeDB, "DROP TABLE public.mine",
			"ALTER SCHEMA public OWNER TO pg_database_owner", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	} else {
		require.Zero(t, warned, p.Log)
	}

	require.True(t, database.IsDenied(makeTable()))
	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
}
