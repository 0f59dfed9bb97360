package database_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
)

func TestErrorsAreTranslated(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		var log bytes.Buffer
		b, err := connect.Open(t.Context(), database.Options{
			URL: url, MaxConnections: maxConns, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		db := b.Core().WithContext(t.Context())
		require.NoError(t, db.Exec("CREATE TABLE a (id integer PRIMARY KEY, name varchar UNIQUE, n integer CHECK (n > 0))").Error)
		require.NoError(t, db.Exec("CREATE TABLE b (id integer PRIMARY KEY, a_id integer REFERENCES a (id))").Error)
		require.NoError(t, db.Exec("INSERT INTO a VALUES (1, 'secret', 1)").Error)

		cases := map[string]error{
			"INSERT INTO a VALUES (1, 'x', 1)":      gorm.ErrDuplicatedKey,
			"INSERT INTO a VALUES (2, 'secret', 1)": gorm.ErrDuplicatedKey,
			"INSERT INTO b VALUES (1, 7)":           gorm.ErrForeignKeyViolated,
			"INSERT INTO a VALUES (3, 'y', 0)":      gorm.ErrCheckConstraintViolated,
		}
		for statement, want := range cases {
			err := db.Exec(statement).Error
			require.ErrorIs(t, err, want, statement)
			require.False(t, database.IsUnavailable(err))
		}
		var none struct{ ID int }
		require.ErrorIs(t, db.Table("a").Where("id = 99").Take(&none).Error, gorm.ErrRecordNotFound)
		require.Empty(t, log.String(), "what is expected is not logged")

		err = db.Exec("SELECT * FROM nowhere WHERE name = ?", "Ada's address").Error
		require.True(t, database.IsUndefinedTable(err))
		require.False(t, database.IsUnavailable(err))
		require.Contains(t, log.String(), "nowhere")
		require.NotContains(t, log.String(), "Ada")
	})
}

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	state := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
	ended := &pgconn.PgError{Code: "28P01", Severity: "FATAL"}
	cases := []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"ordinary", errors.New("x"), false},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), false},
		{"canceled", context.Canceled, false},
		{"deadline of a socket", errors.Join(&net.OpError{Op: "read", Err: syscall.ECONNRESET}, context.DeadlineExceeded), false},
		{"refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{"end", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{"bad connection", driver.ErrBadConn, true},
		{"connection done", sql.ErrConnDone, true},
		{"disk full", &net.OpError{Op: "write", Err: syscall.ENOSPC}, true},
		{"missing", fmt.Errorf("open: %w", database.ErrNotExist), true},
		{"foreign", database.ErrForeign, true},
		{"in use", database.ErrInUse, true},
		{"taken", database.ErrExist, false},
		{"no rows", sql.ErrNoRows, false},
		{"transaction done", sql.ErrTxDone, false},
		{"server shuts down", state("57P01"), true},
		{"server starts", state("57P03"), true},
		{"too many connections", state("53300"), true},
		{"disk of the server", state("53100"), true},
		{"connection failure", state("08006"), true},
		{"statement cut off by the server", state("57014"), true},
		{"session ended", ended, true},
		{"duplicate", state("23505"), false},
		{"syntax", state("42601"), false},
		{"bad text", state("22021"), false},
		{"no code", state(""), false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, database.IsUnavailable(tc.err))
		})
	}
}

func TestDeadlineEndsStatementAndIsNotUnavailable(t *testing.T) {
	slow := map[string]string{
		"sqlite":   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
		"postgres": "SELECT pg_sleep(60)",
	}
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()

		err := b.Core().WithContext(ctx).Exec(slow[b.Core().Name()]).Error

		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, database.IsUnavailable(err))
		require.Less(t, time.Since(began), 5*time.Second)
		require.NoError(t, b.Core().Exec("SELECT 1").Error)
	})
}

func TestOpenRefusesBadURLsWithoutQuotingThem(t *testing.T) {
	t.Parallel()
	urls := []string{
		"", "core.db", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///tmp/", "sqlite://a.db?mode=memory", "sqlite://:memory:",
		"postgres://u:hunter2@h:port/d", "postgres://u:hunter2%zz@h/d", "postgres://u:hunter2@h/d?sslmode=hunter2",
		"postgres://u:hunter2@127.0.0.1:1/d", "postgres://u:hunter2@127.0.0.1:1/d?connect_timeout=hunter2",
	}
	for _, url := range urls {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			_, err := connect.Open(t.Context(), database.Options{URL: url, MaxConnections: maxConns})
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestEndedContextIsNoBadConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		pool, err := b.Core().DB()
		require.NoError(t, err)
		conn, err := pool.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		cancel()

		_, err = conn.ExecContext(ctx, "SELECT 1")
		require.ErrorIs(t, err, context.Canceled)
		_, err = conn.BeginTx(ctx, nil)
		require.ErrorIs(t, err, context.Canceled)
		var one int
		require.ErrorIs(t, conn.QueryRowContext(ctx, "SELECT 1").Scan(&one), context.Canceled)
		require.False(t, database.IsUnavailable(err))
	})
}
