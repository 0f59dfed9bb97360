package database_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

func connectAdmin(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.Server(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func roleOf(t *testing.T, raw string) string {
	t.Helper()
	parsed, err := url.Parse(raw)
	require.NoError(t, err)
	return parsed.User.Username()
}

// withParameter adds a parameter to a URL.
func withParameter(t *testing.T, raw, key, value string) string {
	t.Helper()
	parsed, err := url.Parse(raw)
	require.NoError(t, err)
	query := parsed.Query()
	query.Set(key, value)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

func TestPostgresSettingIsSharedOut(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	for _, connections := range []int{database.MinConnections, 20, 40, 100} {
		b, err := connect.Open(t.Context(), database.Options{URL: raw, MaxConnections: connections})
		require.NoError(t, err)
		require.Equal(t, connections, b.Stats().MaxConnections, "no less and no more")
		require.NoError(t, b.Close())
	}
	_, err := connect.Open(t.Context(), database.Options{URL: raw, MaxConnections: database.MinConnections - 1})
	require.Error(t, err)
}

func TestPostgresCoreMustExist(t *testing.T) {
	t.Parallel()
	parsed, err := url.Parse(pgtest.Database(t))
	require.NoError(t, err)
	password, _ := parsed.User.Password()
	parsed.Path = "/nowhere"

	_, err = connect.Open(t.Context(), database.Options{URL: parsed.String(), MaxConnections: maxConns})
	require.ErrorContains(t, err, `core database "nowhere" does not exist: create it first`)

	parsed.User = url.UserPassword(parsed.User.Username(), "not-"+password)
	_, err = connect.Open(t.Context(), database.Options{URL: parsed.String(), MaxConnections: maxConns})
	require.Error(t, err)
	require.True(t, database.IsUnavailable(err))
	require.NotContains(t, err.Error(), password)
}

func TestPostgresTakesURLsOfTheOriginal(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	raw = withParameter(t, strings.Replace(raw, "sslmode=disable", "", 1), "ssl", "disable")
	raw = withParameter(t, raw, "prepared_statement_cache_size", "0")
	b := open(t, raw)
	var name string
	require.NoError(t, b.Core().Raw("SELECT current_setting('application_name')").Scan(&name).Error)
	require.Equal(t, "multitenant", name)

	named := open(t, withParameter(t, raw, "application_name", "mine"))
	require.NoError(t, named.Core().Raw("SELECT current_setting('application_name')").Scan(&name).Error)
	require.Equal(t, "mine", name)
}

// TestPostgresTakesURLsOfPsql: hosts that package net/url does not know, and none.
func TestPostgresTakesURLsOfPsql(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	parsed, err := url.Parse(raw)
	require.NoError(t, err)
	password, _ := parsed.User.Password()
	service := filepath.Join(t.TempDir(), "services")
	require.NoError(t, os.WriteFile(service, fmt.Appendf(nil, "[core]\nhost=[::1],%s\nport=1,%s\ndbname=%s\nuser=%s\npassword=%s\n",
		parsed.Hostname(), parsed.Port(), roleOf(t, raw), roleOf(t, raw), password), 0o600))
	for _, address := range []string{
		strings.Replace(raw, "@", "@[::1]:1,", 1),
		strings.Replace(raw, "@", "@%2Fnowhere%2Fat%20all:1,", 1),
		raw + "&keepalives=1&keepalives_idle=30&gssencmode=disable&sslcompression=0&fallback_application_name=x&client_encoding=auto",
		"postgres://?sslmode=disable&service=core&servicefile=" + url.QueryEscape(service),
	} {
		var name string
		require.NoError(t, open(t, address).Core().Raw("SELECT current_database()").Scan(&name).Error)
		require.Equal(t, roleOf(t, raw), name)
	}
}

func TestPostgresDatabaseIsClosedToOthers(t *testing.T) {
	t.Parallel()
	mine := open(t, pgtest.Database(t))
	stranger, err := url.Parse(pgtest.Database(t))
	require.NoError(t, err)
	name := makeDatabase(t, mine, lock(t, mine, "k"))

	other := open(t, stranger.String())
	_, err = other.OpenDatabase(t.Context(), name, nil)
	require.ErrorContains(t, err, "permission denied")
	require.True(t, database.IsUnavailable(err))
	var encodings []string
	require.NoError(t, mine.Core().Raw("SELECT DISTINCT pg_encoding_to_char(encoding) || datcollate || datctype FROM pg_database WHERE datname IN (?, current_database())", name).Scan(&encodings).Error)
	require.Len(t, encodings, 1, "like core")
}

func TestPostgresCoreIsNoTenant(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	b := open(t, raw)
	s := lock(t, b, "k")
	core := roleOf(t, raw) // the database is named like its role
	_, err := b.OpenDatabase(t.Context(), core, nil)
	require.ErrorIs(t, err, database.ErrForeign)
	require.ErrorIs(t, s.Drop(t.Context(), core, ""), database.ErrForeign)
	require.ErrorIs(t, rename(t.Context(), s, core, newName()), database.ErrForeign)
}

func TestPostgresCanceledCreationKeepsOthersOut(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	mine, other := open(t, raw), open(t, raw)
	s := lock(t, mine, "k")
	name := newName()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()

	require.ErrorIs(t, s.Create(ctx, name), context.DeadlineExceeded)
	require.Error(t, s.Create(t.Context(), name), "the session is dead, or the database was made in time")
	s.Unlock()
	next := lock(t, other, "k") // not before the server is done with it

	require.NoError(t, next.Drop(t.Context(), name, ""))
	require.NoError(t, next.Create(t.Context(), name))
}

func TestPostgresUnreachableServerIsUnavailable(t *testing.T) {
	t.Parallel()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	address := "postgres://u:p@" + silent.Addr().String() + "/d?sslmode=disable&connect_timeout=1"
	began := time.Now()

	_, err = connect.Open(t.Context(), database.Options{URL: address, MaxConnections: maxConns})
	require.True(t, database.IsUnavailable(err), "%v", err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 4*time.Second)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = connect.Open(ctx, database.Options{URL: address, MaxConnections: maxConns})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, database.IsUnavailable(err))
}

func TestPostgresPoolRecoversFromKilledConnections(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	admin, role := connectAdmin(t), roleOf(t, raw)
	b := open(t, raw)
	db := openDatabase(t, b, makeDatabase(t, b, lock(t, b, "k")), nil)
	require.NotEmpty(t, readMark(t, db))

	_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
	require.NoError(t, err)

	for _, handle := range []interface {
		DB() (*sql.DB, error)
	}{db, b.Core()} {
		pool, err := handle.DB()
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := pool.ExecContext(t.Context(), "SELECT 1")
			require.True(t, err == nil || database.IsUnavailable(err), "%v", err)
			return err == nil
		}, patience, time.Millisecond)
	}
}
