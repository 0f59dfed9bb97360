package tests_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// A command that is killed leaves the tenant as it was or restored, and nothing else, for
// a server that runs and for one that starts.
func TestKilledWhileRestoringInPlace(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		app := testkit.Start(t, settings)
		fleetOf(app, "acme")
		app.Register("acme", "old@example.com")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		app.Register("acme", "new@example.com")
		for range testkit.Rounds(t) {
			for _, step := range []tenants.Step{tenants.StepReserved, tenants.StepBuilt, tenants.StepFenced, tenants.StepClosed} {
				testkit.KillCommand(t, settings, step, "tenants", "restore", "acme", "--yes")
				awaitRestored(t, app, "new@example.com")
				requireWhole(t, app, "acme")
			}
			restarted := testkit.Start(t, settings)
			settings.RequireTidy(t)
			requireWhole(t, restarted, "acme")

			settings.Command(t, "tenants", "restore", "acme", "--yes").RequireCode(t, 0)
			for _, step := range []tenants.Step{tenants.StepFenced, tenants.StepClosed} {
				testkit.KillCommand(t, settings, step, "tenants", "restore", "acme", "--undo", "--yes")
				requireAbsent(t, app, "new@example.com")
				requireAbsent(t, restarted, "new@example.com")
				requireWhole(t, app, "acme")
			}
			settings.Command(t, "tenants", "restore", "acme", "--undo", "--yes").RequireCode(t, 0)
			awaitRestored(t, app, "new@example.com")
			restarted.Close()
		}
		settings.RequireTidy(t)
		settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
	})
}

// requireAbsent waits until acme answers that it does not have a user.
func requireAbsent(t *testing.T, app *testkit.App, email string) {
	t.Helper()
	testkit.Await(t, time.Minute, func() error {
		if login := app.Login("acme", email); login.Code != http.StatusUnauthorized {
			return fmt.Errorf("%d %s", login.Code, login.Raw)
		}
		return nil
	})
}

// writer registers users in a tenant until it is told to stop, and notes those that were
// acknowledged.
type writer struct {
	app  *testkit.App
	slug string

	acknowledged map[string]time.Time // when each was begun
	refused      []testkit.Response
}

func (w *writer) run(stop *atomic.Bool) {
	for !stop.Load() {
		email, began := uuid.NewString()+"@example.com", time.Now()
		if made := w.app.Register(w.slug, email); made.Code == http.StatusOK {
			w.acknowledged[email] = began
		} else {
			w.refused = append(w.refused, made)
		}
	}
}

// startWriters has several writers on each of the applications write to a tenant. end stops
// them and returns them; it may be called again.
func startWriters(slug string, apps ...*testkit.App) (end func() []*writer) {
	var stop atomic.Bool
	var work sync.WaitGroup
	writers := make([]*writer, 2*len(apps))
	for i := range writers {
		w := &writer{app: apps[i%len(apps)], slug: slug, acknowledged: make(map[string]time.Time)}
		writers[i] = w
		work.Go(func() { w.run(&stop) })
	}
	return func() []*writer {
		stop.Store(true)
		work.Wait()
		return writers
	}
}

// What servers acknowledge while a tenant is restored is in the database that was replaced,
// with its event carried over, or in the one that replaced it. After the end it is in that
// one. They refuse the rest by 503, and nothing to other tenants.
func TestWritersDuringRestoreInPlace(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		keepBackups(t, &settings, nil)
		first, second := testkit.Start(t, settings), testkit.Start(t, settings)
		fleetOf(first, "acme", "globex")
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		endOthers := startWriters("globex", first)
		defer endOthers()
		for range testkit.Rounds(t) {
			end := startWriters("acme", first, second)
			defer end()
			wrote := newGate(tenants.StepBuilt)
			watched := settings
			watched.OnStep = wrote.pass
			done := make(chan testkit.Outcome, 1)
			go func() { done <- watched.CommandUntil(t.Context(), "tenants", "restore", "acme", "--yes") }()
			<-wrote.reached
			awaitUser(t, &settings)
			close(wrote.open)
			(<-done).RequireCode(t, 0)
			ended := time.Now()
			awaitUser(t, &settings)
			requireKept(t, &settings, end(), ended)
		}
		for _, w := range endOthers() {
			require.Empty(t, w.refused)
			require.NotEmpty(t, w.acknowledged)
		}
	})
}

// Transactions without a pause do not hold out against a restore, in whatever order they
// write to tables.
func TestTransactionsDuringRestoreInPlace(t *testing.T) {
	const users, events = "LOCK TABLE tenant_users IN ROW EXCLUSIVE MODE;", "LOCK TABLE audit_events IN ROW EXCLUSIVE MODE;"
	for name, statements := range map[string]string{
		"users first":  users + "SELECT pg_sleep(0.02);" + events,
		"events first": events + "SELECT pg_sleep(0.02);" + users,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := testkit.Fresh(t, testkit.Postgres)
			keepBackups(t, &settings, nil)
			fleetOf(testkit.Start(t, settings), "acme")
			settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
			pool := settings.SQL(t, databaseNow(t, &settings))
			var stop atomic.Bool
			var ended atomic.Int64
			var work sync.WaitGroup
			for range 8 {
				work.Go(func() {
					for !stop.Load() {
						if _, err := pool.ExecContext(t.Context(), statements); err == nil { // its session may be ended
							ended.Add(1)
						}
					}
				})
			}

			restored := settings.Command(t, "tenants", "restore", "acme", "--yes")

			stop.Store(true)
			work.Wait()
			restored.RequireCode(t, 0)
			require.Greater(t, ended.Load(), int64(8))
		})
	}
}

// requireKept requires that nothing that was acknowledged is lost. ended is when the
// restore had ended.
func requireKept(t *testing.T, settings *testkit.Settings, writers []*writer, ended time.Time) {
	t.Helper()
	const users, events = "SELECT email FROM tenant_users", "SELECT target_name FROM audit_events WHERE action = 'user.registered'"
	before, after := keptOf(t, settings), databaseNow(t, settings)
	kept, now := linesOf(t, settings, before, users), linesOf(t, settings, after, users)
	carried := linesOf(t, settings, after, events)
	for event := range linesOf(t, settings, before, events) {
		require.Contains(t, carried, event, "an event is lost")
	}
	for _, w := range writers {
		for email, began := range w.acknowledged {
			line := " email=" + email
			require.True(t, now[line] || kept[line] && began.Before(ended), "%s was acknowledged and is lost", email)
		}
		for _, refused := range w.refused {
			require.Equal(t, http.StatusServiceUnavailable, refused.Code, refused.Raw)
			require.Contains(t, refused.Raw, "tenant_unavailable")
		}
	}
}

// awaitUser waits until a writer has written to the database of acme.
func awaitUser(t *testing.T, settings *testkit.Settings) {
	t.Helper()
	testkit.Await(t, time.Minute, func() error {
		if found := linesOf(t, settings, databaseNow(t, settings), "SELECT email FROM tenant_users"); len(found) < 2 {
			return fmt.Errorf("only %v", found)
		}
		return nil
	})
}

// linesOf returns what a query finds.
func linesOf(t *testing.T, settings *testkit.Settings, name, query string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for line := range strings.Lines(settings.Query(t, name, query)) {
		found[strings.TrimSuffix(line, "\n")] = true
	}
	return found
}

// keptOf returns the name of the database that was replaced last.
func keptOf(t *testing.T, settings *testkit.Settings) string {
	t.Helper()
	return testkit.Scalar[string](t, settings, settings.CoreName(),
		"SELECT database_name FROM replaced_databases ORDER BY replaced_at DESC LIMIT 1")
}
