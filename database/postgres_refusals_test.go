package database_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

// oldServer answers as a server of that version does until a session is ready.
func oldServer(t *testing.T, version string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			greet(conn, version)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// greet lets a client in and waits until it has gone.
func greet(conn net.Conn, version string) {
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.AuthenticationOk{})
	server.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
	server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if server.Flush() != nil {
		return
	}
	for {
		if message, err := server.Receive(); err != nil {
			return
		} else if _, ends := message.(*pgproto3.Terminate); ends {
			return
		}
	}
}

func TestPostgresRefusesOldServers(t *testing.T) {
	t.Parallel()
	for version, number := range map[string]string{"14.9 (Debian 14.9-1)": "14", "9.6.24": "9"} {
		_, err := connect.Open(t.Context(), database.Options{
			URL: "postgres://app:s3cret@" + oldServer(t, version) + "/core?sslmode=disable", MaxConnections: maxConns,
		})
		require.EqualError(t, err, "open core database: PostgreSQL 15 or later is needed, the server is "+number)
	}
}

// A database sorts as core does, whatever the server's default is.
func TestPostgresKeepsTheLocale(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	admin := connectAdmin(t)
	locales := []string{"LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE'", "LOCALE_PROVIDER libc"}
	var version int
	require.NoError(t, admin.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version))
	if version >= 160000 {
		locales = append(locales, "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ICU_RULES '&V << w <<< W'")
	}
	if version >= 170000 {
		locales = append(locales, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'")
	}
	for _, locale := range locales {
		name := newName()
		_, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" OWNER "+pgx.Identifier{roleOf(t, raw)}.Sanitize()+
			" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' "+locale)
		require.NoError(t, err)
		core, err := url.Parse(raw)
		require.NoError(t, err)
		core.Path = "/" + name
		b, err := connect.Open(t.Context(), database.Options{URL: core.String(), MaxConnections: maxConns})
		require.NoError(t, err)

		session := lock(t, b, "locale")
		made := makeDatabase(t, b, session)
		session.Unlock()

		var kinds int
		require.NoError(t, admin.QueryRow(t.Context(), `SELECT count(DISTINCT to_jsonb(d) - '{oid,datname,datacl,datfrozenxid,datminmxid,datistemplate}'::text[])
			FROM pg_database d WHERE datname IN ($1, $2)`, name, made).Scan(&kinds))
		require.Equal(t, 1, kinds, locale)
		require.NoError(t, b.Close())
	}
}

func TestPostgresRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	admin := connectAdmin(t)
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		name := newName()
		_, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" OWNER "+pgx.Identifier{roleOf(t, raw)}.Sanitize()+
			" TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '"+encoding+"'")
		require.NoError(t, err)

		core, err := url.Parse(raw)
		require.NoError(t, err)
		core.Path = "/" + name
		_, err = connect.Open(t.Context(), database.Options{URL: core.String(), MaxConnections: maxConns})

		require.ErrorContains(t, err, "has the encoding "+encoding+", and UTF8 is needed")
	}
}
