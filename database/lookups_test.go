package database_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

func scanRow(ctx context.Context, db *gorm.DB, dest any, query string, args ...any) error {
	pool, _ := db.Statement.ConnPool.(interface {
		ScanRow(ctx context.Context, dest []any, query string, args ...any) error
	})
	return pool.ScanRow(ctx, []any{dest}, query, args...)
}

func openOne(t *testing.T) (database.Backend, *gorm.DB) {
	t.Helper()
	b, err := connect.Open(t.Context(), database.Options{URL: pgtest.Database(t), MaxConnections: 24})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b, openMany(t, b, 1)[0]
}

// TestLookupsKeepTheirAnswers: however many ask at once, all get what they asked
// for: a row of their own, none, or their own mistake; and who has given up gets
// nothing, later either.
func TestLookupsKeepTheirAnswers(t *testing.T) {
	t.Parallel()
	b, db := openOne(t)
	var group sync.WaitGroup
	for worker := range 32 {
		group.Go(func() {
			for i := range 100 {
				number := int64(1000*worker + i)
				if got, want, err := ask(t.Context(), db, number); err != nil || got != want {
					t.Errorf("%d: %d, not %d: %v", number, got, want, err)
				}
			}
		})
	}
	group.Wait()
	// The last may have their answers before the connection is given back.
	require.Eventually(t, func() bool { return b.Stats().InUse == 0 }, time.Minute, time.Millisecond)
}

// ask asks one of several things, as the number says, and returns what it got and
// what it should have.
func ask(ctx context.Context, db *gorm.DB, number int64) (got, want int64, err error) {
	query, isWanted := "SELECT $1::bigint", func(err error) bool { return err == nil }
	switch number % 10 {
	case 0:
		query, isWanted = "SELECT $1::bigint WHERE false", func(err error) bool { return errors.Is(err, sql.ErrNoRows) }
	case 1:
		query, isWanted = "SELECT $1::bigint / 0", isDivisionByZero
	case 2:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 50*time.Microsecond)
		defer cancel()
		isWanted = func(err error) bool { return err == nil || errors.Is(err, context.DeadlineExceeded) }
	}
	err = scanRow(ctx, db, &got, query, number)
	if err == nil {
		want = number
	}
	if isWanted(err) {
		err = nil
	}
	return got, want, err
}

func isDivisionByZero(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && server.Code == "22012"
}

// TestLookupsPassSlowOnes: those that take long keep nobody from being answered
// meanwhile.
func TestLookupsPassSlowOnes(t *testing.T) {
	t.Parallel()
	_, db := openOne(t)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 7 { // one less than a tenant alone may have of 24
		group.Go(func() {
			var nothing string
			_ = scanRow(ctx, db, &nothing, "SELECT pg_sleep(60)::text") // it is cancelled
		})
	}

	for number := range int64(20) {
		var got int64
		require.NoError(t, scanRow(t.Context(), db, &got, "SELECT $1::bigint", number))
		require.Equal(t, number, got)
	}
	cancel()
	group.Wait()
	require.NoError(t, database.Close(db), "what nobody waits for any more ends with the database")
}

// TestLookupsThatBreakDown: a session that ends under many fails them all, as
// out of reach, and the next is answered.
func TestLookupsThatBreakDown(t *testing.T) {
	t.Parallel()
	_, db := openOne(t)
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			var nothing string
			err := scanRow(t.Context(), db, &nothing, "SELECT pg_terminate_backend(pg_backend_pid())::text")
			if !database.IsUnavailable(err) {
				t.Errorf("%v", err)
			}
		})
	}
	group.Wait()
	var got int
	require.NoError(t, scanRow(t.Context(), db, &got, "SELECT 7"))
	require.Equal(t, 7, got)
}
