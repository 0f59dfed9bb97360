package database_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tests/pgtest"
)

// openMany opens one database many times: to the pool each is another tenant, and
// making a database takes long.
func openMany(t *testing.T, b database.Backend, n int) []*gorm.DB {
	t.Helper()
	s := lock(t, b, "many")
	name := newName()
	require.NoError(t, s.Create(t.Context(), name))
	s.Unlock()
	dbs := make([]*gorm.DB, n)
	for i := range dbs {
		dbs[i] = openTenant(t, b, name, nil)
	}
	return dbs
}

// row asks for a row as models do, by the short way, or as GORM does.
func row(ctx context.Context, db *gorm.DB, short bool) error {
	var one int
	scanner, ok := db.Statement.ConnPool.(interface {
		ScanRow(ctx context.Context, dest []any, query string, args ...any) error
	})
	if short && ok {
		return scanner.ScanRow(ctx, []any{&one}, "SELECT 1")
	}
	return db.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error
}

// watchConnections counts the role's connections until the test calls what it
// returns.
func watchConnections(t *testing.T, role string) (most func() int) {
	t.Helper()
	admin := connectAdmin(t)
	ctx := t.Context()
	done := make(chan struct{})
	seen := make(chan int)
	go func() {
		most := 0
		for {
			n := 0
			err := admin.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", role).Scan(&n)
			if err != nil {
				t.Error(err)
			}
			most = max(most, n)
			select {
			case <-done:
				seen <- most
				return
			case <-time.After(time.Millisecond): // the others need the processor as well
			}
		}
	}()
	return func() int { close(done); return <-seen }
}

// TestPostgresPoolServesHotAndCold: one tenant is hit hard while forty others are
// at random. Nobody is refused, and the setting holds.
func TestPostgresPoolServesHotAndCold(t *testing.T) {
	t.Parallel()
	const connections = 24
	raw := pgtest.Database(t)
	b, err := connect.Open(t.Context(), database.Options{URL: raw, MaxConnections: connections})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	dbs := openMany(t, b, 41)
	most := watchConnections(t, roleOf(t, raw))

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	served := make([]int, 24)
	longest := make([]time.Duration, 24)
	for worker := range 24 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				db := dbs[0]
				if worker >= 12 {
					db = dbs[1+rand.IntN(40)]
				}
				began := time.Now()
				if err := row(ctx, db, i%2 == 0); err != nil && ctx.Err() == nil {
					t.Errorf("%d: %v", worker, err)
				}
				longest[worker] = max(longest[worker], time.Since(began))
				served[worker]++
			}
		})
	}
	group.Wait()
	t.Logf("served %v, longest %v, %+v", served, longest, b.Stats())
	require.LessOrEqual(t, most(), connections)
	require.Positive(t, b.Stats().Evictions)
	for _, n := range served {
		require.Positive(t, n, "starved")
	}
}

// TestPostgresConnectionsStayWithinTheSetting while tenants are opened, used, given up
// on, closed, and databases made, by far more than may be connected.
func TestPostgresConnectionsStayWithinTheSetting(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	b, err := connect.Open(t.Context(), database.Options{URL: raw, MaxConnections: database.MinConnections})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	s := lock(t, b, "k")
	names := make([]string, 12)
	for i := range names {
		names[i] = makeDatabase(t, b, s)
	}
	most := watchConnections(t, roleOf(t, raw))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			for ctx.Err() == nil {
				limit := 2 * time.Second
				if i%4 == 0 {
					limit = 4 * time.Millisecond
				}
				quick, stop := context.WithTimeout(ctx, limit)
				_ = b.Core().WithContext(quick).Exec("SELECT pg_sleep(0.002)").Error
				open := b.OpenDatabase
				if i%5 > 0 {
					open = func(ctx context.Context, name string, check database.Check) (*gorm.DB, error) {
						return b.OpenTenant(ctx, name, database.Login{}, check)
					}
				}
				if db, err := open(quick, names[rand.IntN(len(names))], nil); err == nil {
					_ = db.WithContext(quick).Exec("SELECT pg_sleep(0.002)").Error
					_ = database.Close(db)
				}
				stop()
			}
		})
	}
	group.Wait()
	seen := most()
	require.LessOrEqual(t, seen, database.MinConnections)
	require.Greater(t, seen, database.MinConnections/2, "the test must have pressed")
}

// TestPostgresOpenTenantsAreCheap: without a connection one is a few kilobytes.
// It runs alone: it measures the memory of the process.
func TestPostgresOpenTenantsAreCheap(t *testing.T) {
	const tenants, most = 100, 8 << 10
	b := open(t, pgtest.Database(t))
	dbs := openMany(t, b, 30) // all connections there may be
	before := memory()
	dbs = append(dbs, openMany(t, b, tenants)...)
	each := (memory() - before) / tenants
	t.Logf("%d bytes each", each)
	require.Less(t, each, int64(most))
	runtime.KeepAlive(dbs)
}

// memory is what is in use on the heap and on stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

func TestPostgresPoolDiscardsOpenTransactions(t *testing.T) {
	t.Parallel()
	b := open(t, pgtest.Database(t))
	db := openMany(t, b, 1)[0]
	require.NoError(t, db.Exec("CREATE TABLE kept (id int)").Error)
	require.NoError(t, db.Exec("BEGIN; INSERT INTO kept VALUES (1)").Error) // and nobody ends it

	require.NoError(t, row(t.Context(), db, true))
	var n int
	require.NoError(t, db.Raw("SELECT count(*) FROM kept").Scan(&n).Error)
	require.Zero(t, n, "the next one must not be in another's transaction")
}

// TestPostgresPoolNoticesGoodByes: the server has ended idle connections, and the
// very next statement works.
func TestPostgresPoolNoticesGoodByes(t *testing.T) {
	t.Parallel()
	raw := pgtest.Database(t)
	admin := connectAdmin(t)
	b := open(t, raw)
	db := openMany(t, b, 1)[0]
	for i := range 10 {
		ended := 0
		err := admin.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000))
			FROM pg_stat_activity WHERE usename = $1`, roleOf(t, raw)).Scan(&ended)
		require.NoError(t, err)
		require.GreaterOrEqual(t, ended, 2)
		require.NoError(t, row(t.Context(), db, i%2 == 0))
		require.NoError(t, row(t.Context(), b.Core(), i%2 == 0))
	}
}

// TestPostgresPoolClosing: after Close a rename works at once, although others
// were waiting for the database.
func TestPostgresPoolClosing(t *testing.T) {
	t.Parallel()
	b := open(t, pgtest.Database(t))
	s := lock(t, b, "k")
	name := makeDatabase(t, b, s)
	for range 20 {
		db, err := b.OpenTenant(t.Context(), name, database.Login{}, nil)
		require.NoError(t, err)
		var group sync.WaitGroup
		for range 12 {
			group.Go(func() { _ = db.WithContext(t.Context()).Exec("SELECT pg_sleep(0.001)").Error })
		}
		require.NoError(t, database.Close(db))
		next := newName()
		require.NoError(t, rename(t.Context(), s, name, next))
		name = next
		group.Wait()
		require.Error(t, row(t.Context(), db, true))
		require.Error(t, row(t.Context(), db, false))
	}
}

// TestPostgresSilentTenantHarmsNoOther: one tenant never comes to an answer while
// it is connected to, though a hundred ask, and more than there are connections.
func TestPostgresSilentTenantHarmsNoOther(t *testing.T) {
	t.Parallel()
	b := open(t, pgtest.Database(t))
	dbs := openMany(t, b, 8)
	name := makeDatabase(t, b, lock(t, b, "k"))
	var isSilent atomic.Bool
	silent := openTenant(t, b, name, func(ctx context.Context, _ database.Querier) error {
		if isSilent.Swap(true) {
			<-ctx.Done()
		}
		return ctx.Err()
	})
	_, err := connectAdmin(t).Exec(t.Context(),
		"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if err := row(ctx, silent, true); err == nil {
				t.Error("nobody can open it")
			}
		})
	}
	require.Eventually(t, func() bool { return b.Stats().Waiting == 100 }, patience, time.Millisecond)
	for i := range 200 {
		began := time.Now()
		if err := row(t.Context(), dbs[i%len(dbs)], i%3 == 0); err != nil {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	}
	cancel()
	group.Wait()
}
