package tests_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/operations"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// kind is a kind of operation whose work a test chooses.
type kind struct {
	run  func(ctx context.Context, task *operations.Task) error
	undo func(ctx context.Context, task *operations.Task) error
}

func (kind) Name() models.OperationKind { return models.OperationBackup }

func (k kind) Run(ctx context.Context, task *operations.Task) error { return k.run(ctx, task) }

func (k kind) Undo(ctx context.Context, task *operations.Task) error {
	if k.undo == nil {
		return errors.New("it is not to be undone")
	}
	return k.undo(ctx, task)
}

// databasesOf opens what workers use of an application.
func databasesOf(t *testing.T, app *testkit.App) *tenants.Databases {
	t.Helper()
	databases, err := tenants.OpenDatabases(t.Context(), tenants.Options{
		Backend: app.Backend, DatabasePrefix: app.Settings.Database.TenantPrefix, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return databases
}

// startWorker starts a worker that knows one kind. stop waits for its end, and may be
// called twice.
func startWorker(t *testing.T, app *testkit.App, work kind) (stop func()) {
	t.Helper()
	worker := operations.New(operations.Options{
		Databases: databasesOf(t, app), Kinds: []operations.Kind{work}, Logger: slog.New(slog.NewTextHandler(app.Log, nil)),
		Hold: app.Tenants.HoldLong,
	})
	running, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		worker.Run(running)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// queue makes an operation on a tenant as the operator.
func queue(t *testing.T, app *testkit.App, slug string) models.Operation {
	t.Helper()
	tenant, err := models.FindTenantBySlug(t.Context(), app.Tenants.Core(), models.Slug(slug))
	require.NoError(t, err)
	op := models.Operation{Kind: models.OperationBackup, TenantID: tenant.ID}
	event := models.NewOperatorEvent(models.ActionOrganizationBackedUp).AboutTenant(tenant.Slug)
	require.NoError(t, models.CreateOperation(t.Context(), app.Tenants.Core(), event, &op, nil))
	return op
}

// awaitOperation waits until the operation is as wanted, and returns it.
func awaitOperation(t *testing.T, app *testkit.App, id string, wanted func(*models.Operation) bool) (op models.Operation) {
	t.Helper()
	testkit.Await(t, 30*time.Second, func() (err error) {
		if op, err = models.FindOperation(t.Context(), app.Tenants.Core(), id); err == nil && !wanted(&op) {
			err = fmt.Errorf("it is %+v", op)
		}
		return err
	})
	return op
}

func hasEnded(op *models.Operation) bool { return op.EndedAt != nil }

// An operation is done under the tenant's lock, and says how far it is.
func TestOperationsAreDone(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("acme", "ada@example.com")
		op, goOn := queue(t, app, "acme"), make(chan struct{})
		lock, err := databasesOf(t, app).Lock(t.Context(), op.TenantID)
		require.NoError(t, err)
		startWorker(t, app, kind{run: func(ctx context.Context, task *operations.Task) error {
			if err := task.Enter(ctx, "copying", map[string]int{"rows": 7}); err != nil {
				return err
			}
			task.Report(3, 7)
			<-goOn
			return nil
		}})

		other := queueIn(t, app, "globex")
		awaitOperation(t, app, other.ID, func(op *models.Operation) bool { return op.Done == 3 })
		waiting, err := models.FindOperation(t.Context(), app.Tenants.Core(), op.ID)
		require.NoError(t, err)
		require.Equal(t, models.OperationQueued, waiting.Status, "another has the tenant's lock")
		lock.Unlock()
		running := awaitOperation(t, app, op.ID, func(op *models.Operation) bool { return op.Done == 3 })
		close(goOn)
		done := awaitOperation(t, app, op.ID, hasEnded)

		require.Equal(t, models.OperationRunning, running.Status)
		require.Equal(t, "copying", running.Phase)
		require.EqualValues(t, 7, running.Total)
		require.JSONEq(t, `{"rows": 7}`, running.Findings)
		require.Equal(t, models.OperationDone, done.Status)
		require.EqualValues(t, 1, done.Attempts)
		require.Empty(t, done.Error)
		require.NotNil(t, done.StartedAt)
		require.Equal(t, op.TenantID, done.TenantID)
	})
}

// queueIn is queue for a tenant that it makes.
func queueIn(t *testing.T, app *testkit.App, slug string) models.Operation {
	t.Helper()
	app.Token(slug, "ada@example.com")
	return queue(t, app, slug)
}

// An operation that its worker leaves to others can be cancelled: this worker undoes it.
func TestAnOperationThatIsLeftIsCancelled(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		op := queueIn(t, app, "acme")
		var runs atomic.Int32
		startWorker(t, app, kind{
			run: func(context.Context, *operations.Task) error {
				runs.Add(1)
				return operations.Leave(errors.New("another process has the key"))
			},
			undo: func(context.Context, *operations.Task) error { return nil },
		})
		awaitOperation(t, app, op.ID, func(op *models.Operation) bool {
			return op.StartedAt != nil && op.Status == models.OperationQueued
		})
		app.Settings.Command(t, "operations", "cancel", op.ID, "--yes").RequireCode(t, 0)

		require.Equal(t, models.OperationCancelled, awaitOperation(t, app, op.ID, hasEnded).Status)
		require.EqualValues(t, 1, runs.Load())
		queue(t, app, "acme")
	})
}

// The last change of an operation is in a transaction that may keep core from being written
// to. What the worker writes meanwhile waits for the transaction, and not the other way round.
func TestAnOperationEndsInALongTransaction(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		op, core := queueIn(t, app, "acme"), app.Tenants.Core()
		startWorker(t, app, kind{run: func(ctx context.Context, task *operations.Task) error {
			return core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				if err := tx.Exec("UPDATE tenants SET error = error").Error; err != nil {
					return err
				}
				<-time.After(1500 * time.Millisecond) // the worker writes once a second
				within, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return task.DoneIn(within, tx)
			})
		}})
		done := awaitOperation(t, app, op.ID, hasEnded)
		require.Equal(t, models.OperationDone, done.Status)
		require.EqualValues(t, 1, done.Attempts)
	})
}

// A tenant has one open operation. What is refused is not on record.
func TestATenantHasOneOpenOperation(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Tenants.Core()
		first := queueIn(t, app, "acme")
		errs := testkit.AtOnce(4, func(int) error {
			op := models.Operation{Kind: first.Kind, TenantID: first.TenantID}
			return models.CreateOperation(context.WithoutCancel(t.Context()), core, models.NewOperatorEvent(models.ActionOrganizationBackedUp), &op, nil)
		})
		for _, err := range errs {
			require.ErrorIs(t, err, models.ErrOperationRunning)
		}
		op := models.Operation{Kind: first.Kind, TenantID: queueless(t, app, "globex")}
		refusal := models.Errorf(models.KindTooManyRequests, "too many")
		event := models.NewOperatorEvent(models.ActionOrganizationBackedUp)
		require.ErrorIs(t, models.CreateOperation(t.Context(), core, event, &op, func() error { return refusal }), refusal)
		events, err := models.ListEvents(t.Context(), core, models.EventPage{Limit: 10, Action: models.ActionOrganizationBackedUp})
		require.NoError(t, err)
		require.Len(t, events, 1)

		startWorker(t, app, kind{run: func(context.Context, *operations.Task) error { return nil }})
		awaitOperation(t, app, first.ID, hasEnded)
		second := queue(t, app, "acme")
		require.Greater(t, second.ID, first.ID)
		awaitOperation(t, app, second.ID, hasEnded)
	})
}

// queueless makes a tenant and returns its id.
func queueless(t *testing.T, app *testkit.App, slug string) string {
	t.Helper()
	app.Token(slug, "ada@example.com")
	tenant, err := models.FindTenantBySlug(t.Context(), app.Tenants.Core(), models.Slug(slug))
	require.NoError(t, err)
	return tenant.ID
}

// A worker that is told to stop gives up, and another goes on. So does another where a
// worker has died: its operation is running, and its lock is free.
func TestOperationsAreTakenOver(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		op, begun := queueIn(t, app, "acme"), make(chan struct{})
		stop := startWorker(t, app, kind{run: func(ctx context.Context, task *operations.Task) error {
			if err := task.Enter(ctx, "copying", nil); err != nil {
				return err
			}
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		}})
		<-begun
		stop()
		given, err := models.FindOperation(t.Context(), app.Tenants.Core(), op.ID)
		require.NoError(t, err)
		require.Equal(t, models.OperationQueued, given.Status)
		require.Zero(t, given.Attempts, "nothing has failed")
		require.Empty(t, given.Error)
		_, err = models.TakeOperation(t.Context(), app.Tenants.Core(), op.ID, "a worker that dies")
		require.NoError(t, err)

		startWorker(t, app, kind{run: func(_ context.Context, task *operations.Task) error {
			if phase := task.Operation().Phase; phase != "copying" {
				return operations.Permanent(fmt.Errorf("the phase is %q", phase))
			}
			return nil
		}})

		done := awaitOperation(t, app, op.ID, hasEnded)
		require.Equal(t, models.OperationDone, done.Status, done.Error)
		require.EqualValues(t, 2, done.Attempts)
	})
}

// A worker that has lost its operation to another writes nothing more, and is stopped.
func TestALostOperationIsLeftAlone(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		op, begun, ended := queueIn(t, app, "acme"), make(chan struct{}), make(chan error, 1)
		startWorker(t, app, kind{run: func(ctx context.Context, task *operations.Task) error {
			if task.Operation().Attempts > 1 {
				return nil
			}
			close(begun)
			<-ctx.Done()
			ended <- task.Commit(context.WithoutCancel(ctx), "switched", nil)
			return nil
		}})
		<-begun
		_, err := models.TakeOperation(t.Context(), app.Tenants.Core(), op.ID, "another")
		require.NoError(t, err)

		require.Error(t, <-ended)
		done := awaitOperation(t, app, op.ID, hasEnded)
		require.False(t, done.IsCommitted)
		require.EqualValues(t, 3, done.Attempts)
	})
}

// What fails is tried again, and undone in the end; what cannot succeed is undone at once.
func TestOperationsFail(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Tenants.Core()
		var undone atomic.Int32
		undo := func(context.Context, *operations.Task) error { undone.Add(1); return nil }
		again, last, hopeless := queueIn(t, app, "again"), queueIn(t, app, "last"), queueIn(t, app, "hopeless")
		require.NoError(t, core.Exec("UPDATE operations SET attempts = 4, updated_at = ? WHERE id = ?", time.Now().Add(-time.Hour), last.ID).Error)
		startWorker(t, app, kind{undo: undo, run: func(_ context.Context, task *operations.Task) error {
			switch op := task.Operation(); {
			case op.ID == hopeless.ID:
				return operations.Permanent(models.ErrTenantSuspended.Because(errors.New("two\nlines")))
			case op.ID == again.ID && op.Attempts == 2:
				return nil
			}
			return errors.New("the store is away")
		}})

		failed := awaitOperation(t, app, hopeless.ID, hasEnded)
		require.Equal(t, models.OperationFailed, failed.Status)
		require.Equal(t, "Tenant is suspended: two lines", failed.Error)
		require.Equal(t, models.KindTenantSuspended, failed.ErrorCode)
		failed = awaitOperation(t, app, last.ID, hasEnded)
		require.Equal(t, models.OperationFailed, failed.Status)
		require.Equal(t, "the store is away", failed.Error)
		require.Equal(t, models.KindInternal, failed.ErrorCode)
		done := awaitOperation(t, app, again.ID, hasEnded)
		require.Equal(t, models.OperationDone, done.Status)
		require.EqualValues(t, 2, undone.Load())
	})
}

// An operation that kills its workers is given up.
func TestAnOperationThatKillsIsGivenUp(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		op := queueIn(t, app, "acme")
		for i := range 5 {
			_, err := models.TakeOperation(t.Context(), app.Tenants.Core(), op.ID, strconv.Itoa(i))
			require.NoError(t, err)
		}
		startWorker(t, app, kind{
			run:  func(context.Context, *operations.Task) error { panic("it is not attempted again") },
			undo: func(context.Context, *operations.Task) error { return nil },
		})
		failed := awaitOperation(t, app, op.ID, hasEnded)
		require.Equal(t, models.OperationFailed, failed.Status)
		require.Equal(t, "its workers died", failed.Error)
	})
}

// operationJSON is an operation as the commands show it, as far as tests look.
type operationJSON struct {
	ID      string  `json:"id"`
	Tenant  *string `json:"tenant"`
	Status  string  `json:"status"`
	EndsAs  string  `json:"ends_as"`
	EndedAt *string `json:"ended_at"`
}

// The operator cancels an operation: what has begun is undone, what is committed is not.
func TestOperationsAreCancelled(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		owner := fleetOf(app, "acme")
		committed, running, queued := queue(t, app, "acme"), queueIn(t, app, "running"), queueIn(t, app, "queued")
		cancel := func(id string) testkit.Outcome { return settings.Command(t, "operations", "cancel", id, "--yes") }
		require.Contains(t, cancel(queued.ID).RequireCode(t, 0).Stdout, "is cancelled\n")
		require.NotNil(t, decodeLoosely[operationJSON](t, settings.Command(t, "operations", "show", queued.ID, "--json")).EndedAt)
		goOn, undone := make(chan struct{}), make(chan string, 3)
		startWorker(t, app, kind{
			run: func(ctx context.Context, task *operations.Task) error {
				if task.Operation().ID == committed.ID {
					if err := task.Commit(ctx, "switched", nil); err != nil {
						return err
					}
					<-goOn
					return nil
				}
				if err := task.Enter(ctx, "copying", nil); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			},
			undo: func(_ context.Context, task *operations.Task) error { undone <- task.Operation().ID; return nil },
		})
		awaitOperation(t, app, committed.ID, func(op *models.Operation) bool { return op.Phase == "switched" })
		awaitOperation(t, app, running.ID, func(op *models.Operation) bool { return op.Phase == "copying" })

		require.Contains(t, cancel(committed.ID).RequireCode(t, 1).Stderr, "it can only go forward now")
		require.Equal(t, 2, settings.Command(t, "operations", "cancel", running.ID).Code, "it asks first")
		require.Contains(t, cancel(running.ID).RequireCode(t, 0).Stdout, "a server undoes it")
		cancelled := awaitOperation(t, app, running.ID, hasEnded)
		close(goOn)
		done := awaitOperation(t, app, committed.ID, hasEnded)

		require.Equal(t, models.OperationCancelled, cancelled.Status)
		require.Equal(t, models.OperationDone, done.Status)
		require.Equal(t, running.ID, <-undone)
		require.Empty(t, undone)
		require.Contains(t, cancel(running.ID).RequireCode(t, 1).Stderr, "it has ended")
		require.Contains(t, cancel("nonsense").RequireCode(t, 1).Stderr, "Operation not found")
		require.Equal(t, 2, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'operation.cancelled' AND actor = 'operator'"))
		requireListed(t, &settings, queued.ID, running.ID, committed.ID)

		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", owner).Code)
		kept := decodeLoosely[operationJSON](t, settings.Command(t, "operations", "show", committed.ID, "--json"))
		require.Nil(t, kept.Tenant)
		require.Contains(t, settings.Command(t, "operations", "list").RequireCode(t, 0).Stdout, done.TenantID)
	})
}

// requireListed requires that operations list shows these, in that order.
func requireListed(t *testing.T, settings *testkit.Settings, ids ...string) {
	t.Helper()
	listed := decodeLoosely[[]operationJSON](t, settings.Command(t, "operations", "list", "--json"))
	found := make([]string, len(listed))
	for i := range listed {
		found[i] = listed[i].ID
	}
	require.Equal(t, ids, found)
}

// A server removes operations that ended 30 days ago, and none that is open.
func TestOldOperationsArePruned(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		old, recent, open := queueIn(t, app, "old"), queueIn(t, app, "recent"), queueIn(t, app, "open")
		core := app.Tenants.Core()
		for id, days := range map[string]int{old.ID: 31, recent.ID: 29} {
			at := time.Now().Add(-time.Duration(days) * 24 * time.Hour)
			require.NoError(t, core.Exec("UPDATE operations SET status = 'done', ended_at = ? WHERE id = ?", at, id).Error)
		}
		testkit.Start(t, settings)
		testkit.Await(t, 20*time.Second, func() error {
			_, err := models.FindOperation(t.Context(), core, old.ID)
			if !models.IsKind(err, models.KindOperationNotFound) {
				return fmt.Errorf("it is there: %w", err)
			}
			return nil
		})
		requireListed(t, &settings, open.ID, recent.ID)
	})
}

// Only the owner of the organization, and the user who asked for it, see an operation.
func TestOperationsAreShownToTheOwner(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "eve@example.com")
		app.Organization(owner, "acme")
		core := app.Tenants.Core()
		org, err := models.FindOrganization(t.Context(), core, 1, "acme")
		require.NoError(t, err)
		op := models.Operation{Kind: models.OperationBackup, TenantID: org.TenantID}
		event := models.NewOperatorEvent(models.ActionOrganizationBackedUp).AboutOrganization(&org)
		require.NoError(t, models.CreateOperation(t.Context(), core, event, &op, nil))
		path := "/api/operations/" + op.ID

		shown := app.Get(path, owner)
		require.Equal(t, http.StatusOK, shown.Code, shown.Raw)
		require.Equal(t, "acme", shown.Text(app, "organization"))
		require.Equal(t, "queued", shown.Text(app, "status"))
		for _, other := range []string{path + "0", "/api/operations/" + org.TenantID, "/api/operations/1", "/api/operations/%00"} {
			app.Get(other, owner).RequireProblem(app, 404, "operation_not_found", "Operation not found")
		}
		app.Get(path, stranger).RequireProblem(app, 404, "operation_not_found", "Operation not found")
		app.Get(path, "").RequireProblem(app, 403, "not_authenticated", "Not authenticated")
		app.Get(path, app.Token("acme", "grace@example.com")).RequireProblem(app, 403, "core_token_required", "Core authentication required")

		asker := int64(2)
		require.NoError(t, core.Exec("UPDATE operations SET actor_id = ?, error_code = 'busy', error = 'host 10.0.0.1' WHERE id = ?", asker, op.ID).Error)
		shown = app.Get(path, stranger)
		require.Equal(t, "busy", shown.Text(app, "error"))
		require.NotContains(t, shown.Raw, "10.0.0.1")
	})
}
