package database_test

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
)

func TestCreateOpensAndExists(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := newName()

		require.False(t, exists(t, b, name))

		require.NoError(t, s.Create(t.Context(), name))
		require.True(t, exists(t, b, name))
		require.ErrorIs(t, s.Create(t.Context(), name), database.ErrExist)

		mark(t, b, name, "here")
		require.Equal(t, "here", readMark(t, openDatabase(t, b, name, nil)))
		require.ErrorIs(t, s.Create(t.Context(), name), database.ErrExist)
		require.Equal(t, "here", readMark(t, openDatabase(t, b, name, nil)), "a second creation must not touch it")
	})
}

func TestOpenNeverCreates(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		name := newName()

		_, err := b.OpenDatabase(t.Context(), name, nil)

		require.ErrorIs(t, err, database.ErrNotExist)
		require.True(t, database.IsUnavailable(err))
		require.False(t, exists(t, b, name))
	})
}

func TestFailedCheckKeepsDatabaseShut(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := makeDatabase(t, b, s)

		_, err := b.OpenDatabase(t.Context(), name, func(context.Context, database.Querier) error {
			return database.ErrForeign
		})
		require.ErrorIs(t, err, database.ErrForeign)
		require.True(t, database.IsUnavailable(err))

		_, err = b.OpenDatabase(t.Context(), name, func(ctx context.Context, q database.Querier) error {
			var id string
			return q.QueryRowContext(ctx, "SELECT tenant_id FROM tenant_stamp").Scan(&id)
		})
		require.Error(t, err)
		require.True(t, database.IsUndefinedTable(err), err.Error())
		require.False(t, database.IsUnavailable(err))
		require.NoError(t, rename(t.Context(), s, name, newName()), "no connection must be left")
	})
}

func TestEveryConnectionIsChecked(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		name := makeDatabase(t, b, lock(t, b, "k"))
		var checks atomic.Int32
		var broken atomic.Bool
		db := openTenant(t, b, name, func(ctx context.Context, q database.Querier) error {
			checks.Add(1)
			if broken.Load() {
				return database.ErrForeign
			}
			var text string
			return q.QueryRowContext(ctx, "SELECT text FROM marks WHERE text = $1", name).Scan(&text)
		})
		pool, err := db.DB()
		require.NoError(t, err)
		require.EqualValues(t, 1, checks.Load())

		conns := make([]*sql.Conn, 0, 4)
		for range 4 {
			conn, err := pool.Conn(t.Context())
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		require.EqualValues(t, 4, checks.Load())
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
		require.Equal(t, name, readMark(t, db))
		require.EqualValues(t, 4, checks.Load(), "connections are used again without another check")

		broken.Store(true)
		err = needNewConnection(t, pool, len(conns))
		require.ErrorIs(t, err, database.ErrForeign)
		require.True(t, database.IsUnavailable(err))
	})
}

// needNewConnection takes connections until one has to be made, and returns what
// came of that.
func needNewConnection(t *testing.T, pool *sql.DB, idle int) error {
	t.Helper()
	pool.SetMaxIdleConns(-1) // on SQLite, where this is all there is, the first
	for range idle + 1 {
		conn, err := pool.Conn(t.Context())
		if err != nil {
			return err
		}
		defer func() { require.NoError(t, conn.Close()) }()
	}
	return nil
}

func TestConnectionsOfOneDatabaseAreBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		db := openDatabase(t, b, makeDatabase(t, b, lock(t, b, "k")), nil)
		pool, err := db.DB()
		require.NoError(t, err)
		most := 4 // of databases being made, and of files
		conns := make([]*sql.Conn, most)
		for i := range conns {
			conns[i], err = pool.Conn(t.Context())
			require.NoError(t, err)
		}
		impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = pool.Conn(impatient)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
		require.Positive(t, b.MaxOpen())
	})
}

func TestUnlockedSessionDoesNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := makeDatabase(t, b, s)
		s.Unlock()
		s.Unlock()

		require.ErrorIs(t, s.Create(t.Context(), newName()), database.ErrUnlocked)
		require.ErrorIs(t, rename(t.Context(), s, name, newName()), database.ErrUnlocked)
		require.ErrorIs(t, s.Drop(t.Context(), name, ""), database.ErrUnlocked)
		require.Equal(t, name, readMark(t, openDatabase(t, b, name, nil)))
	})
}

func TestHostileNamesAreRefused(t *testing.T) {
	names := []string{
		"", "..", "../core", "a/b", `a\b`, "a?mode=memory", "a#b", "%2e%2e%2fcore", "a b", "x dbname=postgres",
		"x?host=evil", `a"; DROP TABLE users; --`, "a\x00b", "-rf", "ä", "a.b", strings.Repeat("a", 64),
	}
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		for _, name := range names {
			_, err := b.OpenDatabase(t.Context(), name, nil)
			require.ErrorIs(t, err, database.ErrName, "%q", name)
			require.ErrorIs(t, s.Create(t.Context(), name), database.ErrName, "%q", name)
			require.ErrorIs(t, rename(t.Context(), s, name, newName()), database.ErrName, "%q", name)
			require.ErrorIs(t, rename(t.Context(), s, newName(), name), database.ErrName, "%q", name)
			require.ErrorIs(t, s.Drop(t.Context(), name, ""), database.ErrName, "%q", name)
		}
	})
}
