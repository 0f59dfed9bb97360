// Package operations does long work. Each operation is a row in core. A worker in
// any server process does it under the tenant's lock, which ends with the process: then
// another process takes the operation over.
package operations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// Kind does operations of one kind. A worker may die at any point, and another calls Run
// or Undo again, so both begin with finding out what is there already. They return soon
// after ctx has ended.
type Kind interface {
	// Name is how operations name the kind.
	Name() models.OperationKind
	// Run does the operation. It enters each phase by the Task, and commits where the
	// operation cannot be undone any more. After an error it is tried again, unless the error
	// is of Permanent or, by this worker, of Leave.
	Run(ctx context.Context, task *Task) error
	// Undo removes what Run has left. It is called once the operation was cancelled or has
	// failed for good, unless it is committed.
	Undo(ctx context.Context, task *Task) error
}

// permanentError is an error that another attempt would not change.
type permanentError struct{ error }

// Unwrap returns the error itself.
func (e *permanentError) Unwrap() error { return e.error }

// Permanent returns an error after which the operation has failed at once.
func Permanent(err error) error { return &permanentError{err} }

// isPermanent reports whether another attempt would fail alike: the error is Permanent, or
// it says that the tenant is gone.
func isPermanent(err error) bool {
	_, permanent := errors.AsType[*permanentError](err)
	return permanent || models.IsKind(err, models.KindTenantNotFound)
}

// leftError is an error of a process that lacks a thing which others may have.
type leftError struct{ error }

// Unwrap returns the error itself.
func (e *leftError) Unwrap() error { return e.error }

// Leave returns an error after which this worker leaves the operation to those of other
// processes. It does not count as an attempt.
func Leave(err error) error { return &leftError{err} }

// errTaken says that an operation is not this worker's any more.
var errTaken = errors.New("the operation was cancelled, or another worker has taken it")

// Task is an operation that this process works on.
type Task struct {
	// Session holds the tenant's lock.
	Session database.Session

	worker *Worker
	stop   context.CancelCauseFunc // ends the context of Run and Undo

	done, total atomic.Int64 // of the phase

	saving sync.Mutex                       // held while the operation is written
	op     atomic.Pointer[models.Operation] // is replaced, and never changed
}

// Operation returns the operation as it is now.
func (t *Task) Operation() models.Operation { return *t.op.Load() }

// Arguments reads the arguments into the value that to points to.
func (t *Task) Arguments(to any) error {
	if err := json.Unmarshal([]byte(t.Operation().Arguments), to); err != nil {
		return Permanent(fmt.Errorf("read the arguments: %w", err))
	}
	return nil
}

// Findings reads the findings that were kept last into the value that to points to.
func (t *Task) Findings(to any) error {
	if err := json.Unmarshal([]byte(t.Operation().Findings), to); err != nil {
		return Permanent(fmt.Errorf("read the findings: %w", err))
	}
	return nil
}

// Report says how much of the phase is done. It does not block, and is written within a
// second. total is 0 while it is not known. A nil Task is told in vain.
func (t *Task) Report(done, total int64) {
	if t == nil {
		return
	}
	t.done.Store(done)
	t.total.Store(total)
}

// Enter begins a phase. findings, unless it is nil, is kept for the next worker, without
// secrets. Enter fails if the operation is not this worker's any more. A nil Task is told in
// vain.
func (t *Task) Enter(ctx context.Context, phase string, findings any) error {
	if t == nil {
		return nil
	}
	return t.enter(ctx, phase, findings, false)
}

// Commit begins the phase from which the operation only goes forward: it is not cancelled
// after Commit, and is attempted until it succeeds. Commit fails if the operation was
// cancelled before, or is not this worker's any more.
func (t *Task) Commit(ctx context.Context, phase string, findings any) error {
	return t.enter(ctx, phase, findings, true)
}

// DoneIn ends the operation as done in the transaction of its last change, so that both
// happen or neither. It fails if the operation was cancelled, or is not this worker's
// any more.
func (t *Task) DoneIn(ctx context.Context, tx *gorm.DB) error {
	op := t.Operation()
	now := tx.NowFunc()
	op.Status, op.EndedAt = models.OperationDone, &now
	op.Done, op.Total = t.done.Load(), t.total.Load()
	saved, err := models.SaveOperation(ctx, tx, &op)
	if err == nil && !saved {
		err = errTaken
	}
	return err
}

func (t *Task) enter(ctx context.Context, phase string, findings any, commits bool) error {
	kept := ""
	if findings != nil {
		text, err := json.Marshal(findings)
		if err != nil {
			return Permanent(fmt.Errorf("keep the findings: %w", err))
		}
		kept = string(text)
	}
	t.Report(0, 0)
	return t.save(ctx, func(op *models.Operation) {
		op.Phase = phase
		op.IsCommitted = op.IsCommitted || commits
		if kept != "" {
			op.Findings = kept
		}
	})
}

// save changes the operation and writes it. It ends the work if the operation is not this
// worker's any more.
func (t *Task) save(ctx context.Context, change func(*models.Operation)) error {
	t.saving.Lock()
	defer t.saving.Unlock()
	changed := t.Operation()
	changed.Done, changed.Total = t.done.Load(), t.total.Load()
	change(&changed)
	saved, err := models.SaveOperation(ctx, t.worker.Databases.Core, &changed)
	if err != nil {
		return err
	}
	if !saved {
		t.stop(errTaken)
		return errTaken
	}
	t.op.Store(&changed)
	return nil
}
