package database_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/tests/pgtest"
)

func TestRename(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		first, second, third := makeDatabase(t, b, s), makeDatabase(t, b, s), newName()

		require.ErrorIs(t, rename(t.Context(), s, first, second), database.ErrExist)
		require.Equal(t, second, readMark(t, openDatabase(t, b, second, nil)))
		require.ErrorIs(t, rename(t.Context(), s, newName(), third), database.ErrNotExist)

		require.NoError(t, rename(t.Context(), s, first, third))
		require.Equal(t, first, readMark(t, openDatabase(t, b, third, nil)))
		_, err := b.OpenDatabase(t.Context(), first, nil)
		require.ErrorIs(t, err, database.ErrNotExist)
	})
}

func TestRenameOfOpenDatabaseIsRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := makeDatabase(t, b, s)
		require.False(t, isInUse(t, s, name))
		db := openDatabase(t, b, name, nil)
		require.Equal(t, name, readMark(t, db))
		if engine == "postgres" {
			require.False(t, isInUse(t, s, name), "Leave would end the session")
			enter(t, name)
		}
		require.True(t, isInUse(t, s, name))

		err := rename(t.Context(), s, name, newName())

		require.ErrorIs(t, err, database.ErrInUse)
		require.True(t, database.IsUnavailable(err))
		require.Equal(t, name, readMark(t, db))
	})
}

// enter opens a database of the test's server as its administrator.
func enter(t *testing.T, name string) {
	t.Helper()
	address, err := url.Parse(pgtest.Server(t))
	require.NoError(t, err)
	address.Path = "/" + name
	guest, err := pgx.Connect(t.Context(), address.String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, guest.Close(context.WithoutCancel(t.Context()))) })
}

// After Leave a database can be renamed at once, whichever processes had it open.
func TestLeave(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name, next := makeDatabase(t, b, s), newName()
		mine, err := b.OpenDatabase(t.Context(), name, nil)
		require.NoError(t, err)
		require.Equal(t, name, readMark(t, mine))
		if engine == "postgres" {
			require.Equal(t, name, readMark(t, openDatabase(t, open(t, url), name, nil)))
		}

		require.NoError(t, s.Leave(t.Context(), name, mine))

		require.NoError(t, rename(t.Context(), s, name, next))
		require.Equal(t, name, readMark(t, openDatabase(t, b, next, nil)))
		require.NoError(t, s.Leave(t.Context(), newName(), nil), "a missing database has no session")
	})
}

// A claim that fails leaves the database as it was.
func TestAClaimFails(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name, next := makeDatabase(t, b, s), newName()
		refusal := errors.New("refused")

		err := s.Claim(t.Context(), name, next, "", func(*gorm.DB) error { return refusal })

		require.ErrorIs(t, err, refusal)
		require.ErrorIs(t, s.CheckFree(t.Context(), name), database.ErrExist)
		require.NoError(t, s.CheckFree(t.Context(), next))
		require.Equal(t, name, readMark(t, openDatabase(t, b, name, nil)))
	})
}

func TestCloseWaitsSoThatRenameNeedNot(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := makeDatabase(t, b, s)
		for range 10 {
			db, err := b.OpenDatabase(t.Context(), name, nil)
			require.NoError(t, err)
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() { readMark(t, db) })
			}
			group.Wait()

			began := time.Now()
			require.NoError(t, database.Close(db))
			next := newName()
			require.NoError(t, rename(t.Context(), s, name, next))
			require.Less(t, time.Since(began), time.Second)
			name = next
		}
	})
}

func TestCloseWaitsForStatements(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := makeDatabase(t, b, s)
		db, err := b.OpenDatabase(t.Context(), name, nil)
		require.NoError(t, err)
		tx := db.Begin()
		require.NoError(t, tx.Exec("INSERT INTO "+database.Qualified(db, "marks")+" VALUES ('late')").Error)

		closed := make(chan error)
		go func() { closed <- database.Close(db) }()
		require.Never(t, func() bool {
			select {
			case err := <-closed:
				t.Errorf("closed under a transaction: %v", err)
				return true
			default:
				return false
			}
		}, 100*time.Millisecond, 10*time.Millisecond)
		require.NoError(t, tx.Commit().Error)

		require.NoError(t, <-closed)
		require.NoError(t, rename(t.Context(), s, name, newName()))
	})
}

func TestDropEndsSessions(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		name := makeDatabase(t, b, s)
		db := openDatabase(t, b, name, nil)
		require.Equal(t, name, readMark(t, db))

		require.NoError(t, s.Drop(t.Context(), name, ""))
		require.NoError(t, s.Drop(t.Context(), name, ""), "a missing one is no error")

		require.Eventually(t, func() bool { // the first to ask may still get word of the end
			err := db.Exec("SELECT text FROM marks").Error
			require.True(t, database.IsUnavailable(err), "%v", err)
			return errors.Is(err, database.ErrNotExist)
		}, patience, 10*time.Millisecond)

		require.NoError(t, s.Create(t.Context(), name))
		mark(t, b, name, "another")
	})
}

// isInUse reports whether others have the database open.
func isInUse(t *testing.T, s database.Session, name string) bool {
	t.Helper()
	_, others, err := s.CountSessions(t.Context(), name)
	require.NoError(t, err)
	return others > 0
}
