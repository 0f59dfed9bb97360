package operations

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"multitenant/models"
	"multitenant/tenants"
)

const (
	// lookEvery is how often a worker looks for operations, and writes how far one is.
	lookEvery = time.Second
	// maxAtOnce is how many operations one process works on: each keeps a connection to
	// core for its lock.
	maxAtOnce = 2
	// maxAttempts is how often an operation is attempted that is not committed.
	maxAttempts = 5
	// firstPause follows the first failure. Each later pause is twice as long, up to the
	// longest.
	firstPause   = 2 * time.Second
	longestPause = time.Minute
	// endTimeout bounds the writing of how an attempt ended, also while the process stops.
	endTimeout = time.Second
	// maxErrorBytes bounds the error that is kept.
	maxErrorBytes = 500
)

// Options say what a Worker works with.
type Options struct {
	Databases *tenants.Databases
	Kinds     []Kind
	Logger    *slog.Logger
	// Hold waits until this process may hold another lock for long.
	Hold func(ctx context.Context) (release func(), err error)
}

// Worker does the operations that are queued, and those whose worker has died. It leaves
// the kinds that it does not know to processes that know them.
type Worker struct {
	Options

	id    string
	kinds map[models.OperationKind]Kind
	left  sync.Map // has the ids of operations that other processes are to run
}

// New returns a Worker that has not begun.
func New(o Options) *Worker {
	w := &Worker{Options: o, id: uuid.NewString(), kinds: map[models.OperationKind]Kind{}}
	for _, kind := range o.Kinds {
		w.kinds[kind.Name()] = kind
	}
	return w
}

// Run works until ctx ends, and returns once it has given up what is under way: another
// process goes on with that at once.
func (w *Worker) Run(ctx context.Context) {
	var working errgroup.Group
	working.SetLimit(maxAtOnce)
	defer func() { _ = working.Wait() }() // each attempt has logged its error
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.look(ctx, &working)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// look works on what is due. Another worker, perhaps of this process, has the lock of an
// operation that is under way.
func (w *Worker) look(ctx context.Context, working *errgroup.Group) {
	open, err := models.ListOpenOperations(ctx, w.Databases.Core, slices.Collect(maps.Keys(w.kinds)))
	if err != nil {
		w.warn(ctx, "list operations", err)
		return
	}
	now := w.Databases.Core.NowFunc()
	for i := range open {
		_, isLeft := w.left.Load(open[i].ID)
		if isLeft && open[i].EndsAs == "" || !isDue(&open[i], now) {
			continue
		}
		working.Go(func() error {
			if err := w.attempt(ctx, &open[i]); err != nil {
				w.warn(ctx, "work on an operation", err, "operation", open[i].ID)
			}
			return nil
		})
	}
}

// Finish works on one operation until it has ended, or waits for the process that does.
// It returns the error of the first attempt of its own that fails: a worker of a server
// attempts the operation again then.
func (w *Worker) Finish(ctx context.Context, id string) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		op, err := models.FindOperation(ctx, w.Databases.Core, id)
		if err != nil || op.EndedAt != nil {
			return err
		}
		if err := w.attempt(ctx, &op); err != nil {
			return err
		}
		if op, err = models.FindOperation(ctx, w.Databases.Core, id); err != nil || op.EndedAt != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isDue reports whether the pause after the last failure is over.
func isDue(op *models.Operation, now time.Time) bool {
	if op.Status == models.OperationRunning || op.Attempts == 0 {
		return true
	}
	pause := firstPause
	for i := int64(1); i < op.Attempts && pause < longestPause; i++ {
		pause *= 2
	}
	return now.Sub(op.UpdatedAt) >= min(pause, longestPause)
}

// attempt takes the operation and works on it, unless another worker does.
func (w *Worker) attempt(ctx context.Context, open *models.Operation) error {
	release, err := w.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	session, free, err := w.Databases.TryLock(ctx, open.TenantID)
	if err != nil || !free {
		return err
	}
	defer session.Unlock()
	op, err := models.TakeOperation(ctx, w.Databases.Core, open.ID, w.id)
	if models.IsKind(err, models.KindOperationNotFound) {
		return nil // it ended meanwhile
	}
	if err != nil {
		return err
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	task := &Task{Session: session, worker: w, stop: stop}
	task.op.Store(&op)
	task.Report(op.Done, op.Total)
	err = task.work(running, w.kinds[op.Kind])
	return w.end(ctx, task, err)
}

// errGivenUp says that too many workers have died of an operation.
var errGivenUp = Permanent(errors.New("its workers died"))

// work runs or undoes the operation, and writes how far it is meanwhile.
func (t *Task) work(ctx context.Context, kind Kind) error {
	do, op := kind.Run, t.Operation()
	switch {
	case op.EndsAs != "":
		do = kind.Undo
	case op.Attempts > maxAttempts && !op.IsCommitted:
		return errGivenUp
	}
	var reporting sync.WaitGroup
	reporting.Go(func() { t.keepSaving(ctx) })
	err := do(ctx, t)
	t.stop(nil)
	reporting.Wait()
	if errors.Is(context.Cause(ctx), errTaken) {
		return errTaken
	}
	return err
}

// keepSaving writes how far the operation is, and ends the work when the operation was
// cancelled or is another worker's.
func (t *Task) keepSaving(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_ = t.save(ctx, func(*models.Operation) {}) // the next one may succeed
	}
}

// end writes how an attempt ended.
func (w *Worker) end(ctx context.Context, t *Task, err error) error {
	if errors.Is(err, errTaken) {
		return nil
	}
	_, isLeft := errors.AsType[*leftError](err)
	if isLeft {
		w.left.Store(t.Operation().ID, true)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	saving := t.save(ending, func(op *models.Operation) {
		switch {
		case err == nil:
			now := w.Databases.Core.NowFunc()
			op.Status, op.EndedAt = cmp.Or(op.EndsAs, models.OperationDone), &now
		case isLeft, ctx.Err() != nil: // nothing has failed: another process does it, or this one stops
			op.Status = models.OperationQueued
			op.Attempts--
		default:
			fail(op, err)
		}
	})
	if errors.Is(saving, errTaken) {
		return nil
	}
	op := t.Operation()
	w.Logger.InfoContext(ctx, "operation", "operation", op.ID, "kind", op.Kind, "tenant", op.TenantID, "status", op.Status)
	if err != nil && ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, saving)
}

// fail notes a failure. The operation is attempted again or, after the last attempt,
// undone.
func fail(op *models.Operation, err error) {
	op.Status, op.Error, op.ErrorCode = models.OperationQueued, line(err), models.KindInternal
	if known, ok := errors.AsType[*models.Error](err); ok {
		op.ErrorCode = known.Kind
	}
	if op.EndsAs != "" || op.IsCommitted {
		return
	}
	if isPermanent(err) || op.Attempts >= maxAttempts {
		op.Status, op.EndsAs = models.OperationRunning, models.OperationFailed // at once, without a pause
	}
}

// line returns the error in one line.
func line(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxErrorBytes)], "")
}

func (w *Worker) warn(ctx context.Context, message string, err error, more ...any) {
	if ctx.Err() == nil {
		w.Logger.WarnContext(ctx, message, append(more, "error", err)...) //nolint:sloglint // its callers give constants
	}
}
