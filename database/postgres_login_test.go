package database_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

// TestPostgresTenantURL: what is served as the role of a login is reached by it;
// the rest is not.
func TestPostgresTenantURL(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	role, password := newName(), "s3cret-"+newName()
	admin := connectAdmin(t)
	_, err := admin.Exec(t.Context(), "CREATE ROLE "+pgx.Identifier{role}.Sanitize()+" LOGIN PASSWORD '"+password+"'")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
	b, err := connect.Open(t.Context(), database.Options{
		URL: raw, MaxConnections: maxConns, TenantURL: withParameter(t, raw, "application_name", "served"),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	name := makeDatabase(t, b, lock(t, b, "k"))
	_, err = admin.Exec(t.Context(), "GRANT CONNECT ON DATABASE "+pgx.Identifier{name}.Sanitize()+" TO "+role)
	require.NoError(t, err)
	// The role's privileges go with the database, before the role.
	t.Cleanup(func() {
		_, err := admin.Exec(context.WithoutCancel(t.Context()), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
	login := database.Login{Role: role, Password: password}

	for wanted, db := range map[string]*gorm.DB{
		"served " + role:                      must(b.OpenTenant(t.Context(), name, login, nil))(t),
		"multitenant " + roleOf(t, raw):       must(b.OpenTenant(t.Context(), name, database.Login{}, nil))(t),
		"multitenant " + roleOf(t, raw) + " ": must(b.OpenDatabase(t.Context(), name, nil))(t),
		" multitenant " + roleOf(t, raw):      b.Core(),
	} {
		var who string
		require.NoError(t, db.Raw("SELECT current_setting('application_name') || ' ' || current_user").Scan(&who).Error)
		require.Equal(t, strings.TrimSpace(wanted), who)
		var prepared int
		require.NoError(t, db.Raw("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''").Scan(&prepared).Error)
		require.Equal(t, strings.HasPrefix(wanted, "served"), prepared == 0, wanted)
	}

	_, err = b.OpenTenant(t.Context(), name, database.Login{Role: role, Password: "not-" + password}, nil)
	require.True(t, database.IsUnavailable(err))
	require.NotContains(t, err.Error(), password)
	shown := fmt.Sprintf("%v %+v %#v %s", login, login, login, slog.AnyValue(login).Resolve())
	require.NotContains(t, shown, password)
	require.Contains(t, shown, role)

	_, err = connect.Open(t.Context(), database.Options{URL: raw, MaxConnections: maxConns, TenantURL: "mysql://u:" + password + "@h/"})
	require.ErrorContains(t, err, "tenant URL")
	require.NotContains(t, err.Error(), password)
}

func must(db *gorm.DB, err error) func(*testing.T) *gorm.DB {
	return func(t *testing.T) *gorm.DB {
		t.Helper()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, database.Close(db)) })
		return db
	}
}
