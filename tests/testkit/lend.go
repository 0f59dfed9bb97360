package testkit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"multitenant/tests/pgtest"
)

// lent keeps what tests on PostgreSQL have given back. To make a core database and to
// start an application takes longer than most tests.
var lent struct{ apps, cores lender }

// Main runs tests and then ends what they were lent.
type Main struct {
	M pgtest.Runner
}

// Run runs the tests and returns their exit code.
func (m Main) Run() int {
	code := m.M.Run()
	lent.apps.end()
	lent.cores.end()
	return code
}

// EachLent is Each for tests that may get the application of an earlier test. It has the
// default settings, and neither users nor tenants. A test that stops it, or changes its
// roles or the tables of core, needs Each.
func EachLent(t *testing.T, test func(t *testing.T, app *App)) {
	t.Helper()
	onEach(t, func(t *testing.T, engine Engine) {
		t.Helper()
		if engine == SQLite {
			test(t, startLent(t, Fresh(t, engine)))
			return
		}
		test(t, lent.apps.take(t, func(own *life) *App { return startLent(own, Fresh(own, engine)) }).For(t))
	})
}

// EachLentCore is EachEngine for tests that may get the core database of an earlier test:
// its tables have no rows. A test that changes its roles or tables needs EachEngine.
func EachLentCore(t *testing.T, test func(t *testing.T, settings Settings)) {
	t.Helper()
	onEach(t, func(t *testing.T, engine Engine) {
		t.Helper()
		if engine == SQLite {
			test(t, Fresh(t, engine))
			return
		}
		test(t, lent.cores.take(t, func(own *life) *App { return &App{Settings: Fresh(own, engine), Log: &Log{}} }).Settings)
	})
}

// SetClock gives a lent application another clock of tokens and sessions until the end
// of the test.
func (app *App) SetClock(now func() time.Time) { app.clock.Store(&now) }

func startLent(tb testing.TB, settings Settings) *App {
	tb.Helper()
	clock := &atomic.Pointer[func() time.Time]{}
	settings.Now = func() time.Time {
		if now := clock.Load(); now != nil {
			return (*now)()
		}
		return time.Now()
	}
	app := Start(tb, settings)
	app.clock = clock
	return app
}

// lender lends applications, or only their settings.
type lender struct {
	mu   sync.Mutex // guards idle
	idle []*loan
}

type loan struct {
	app  *App // is not running where only its settings are lent
	life *life
}

// take returns what an earlier test has given back, or else what begin makes, until the
// end of the test.
func (l *lender) take(tb testing.TB, begin func(own *life) *App) *App {
	tb.Helper()
	taken := l.last()
	if taken == nil {
		own := &life{TB: tb}
		taken = &loan{app: begin(own), life: own}
	}
	tb.Cleanup(func() {
		taken.life.TB = tb
		l.giveBack(taken)
	})
	return taken.app
}

func (l *lender) last() *loan {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.idle) - 1
	if last < 0 {
		return nil
	}
	taken := l.idle[last]
	l.idle = l.idle[:last]
	return taken
}

// giveBack keeps the loan for another test, unless this one has failed.
func (l *lender) giveBack(given *loan) {
	if given.life.Failed() {
		given.life.end()
		return
	}
	given.clear()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, given)
}

func (l *lender) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, given := range l.idle {
		given.life.TB = nil
		given.life.end()
	}
	l.idle = nil
}

// clearRows deletes the rows of core and lets its numbers begin anew. TRUNCATE would make
// the application's sessions read all tables' definitions again. One statement deletes
// all, so that foreign keys are checked at its end.
const clearRows = `DO $$
	DECLARE own text := (SELECT string_agg(format('%I AS (DELETE FROM %1$I)', tablename), ', ') FROM pg_tables
		WHERE schemaname = 'public' AND tablename NOT IN ('schema_migrations', 'core_installation'));
	BEGIN
		IF own IS NOT NULL THEN
			ALTER TABLE audit_events DISABLE TRIGGER USER;
			EXECUTE 'WITH ' || own || ' SELECT';
			ALTER TABLE audit_events ENABLE TRIGGER USER;
			PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public';
		END IF;
	END $$`

// clear removes what a test has made. The installation and the schema of core stay.
func (l *loan) clear() {
	if l.app.server != nil {
		l.app.client.CloseIdleConnections() // the next test's first request must not meet one that is closed
		l.app.server.CloseClientConnections()
		l.app.clock.Store(nil)
	}
	settings := &l.app.Settings
	settings.Exec(l.life, settings.CoreName(), clearRows)
	pgtest.Clear(l.life, settings.Database.URL, settings.Database.TenantPrefix)
	l.app.Log.reset()
}

// life is a testing.TB for what outlives the test that makes it.
type life struct {
	testing.TB // of the test that has it now; nil after the last

	ends []func()
}

// Helper marks nothing: there may be no test.
func (*life) Helper() {}

// Context does not end with a test.
func (*life) Context() context.Context { return context.Background() }

// Cleanup is for the end of the life.
func (l *life) Cleanup(end func()) { l.ends = append(l.ends, end) }

// Errorf fails the test.
func (l *life) Errorf(format string, arguments ...any) {
	if l.TB == nil {
		panic(fmt.Sprintf(format, arguments...))
	}
	l.TB.Errorf(format, arguments...)
}

func (l *life) end() {
	for _, end := range slices.Backward(l.ends) {
		end()
	}
}
