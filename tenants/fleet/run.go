package fleet

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"multitenant/models"
	"multitenant/tenants"
)

// Move is a change of a tenant's schema, made or planned.
type Move struct {
	Tenant   string // its slug or, if it has none, its database
	Database string
	From, To string // migrations; From is empty for a tenant that is to be taken over
}

// Failure is a move that failed, and why.
type Failure struct {
	Move

	Reason error
}

// Summary is the progress of a run.
type Summary struct {
	Total    int // tenants that the run is about
	Done     int
	Failures []Failure
}

// Left returns how many tenants have not been attempted.
func (s *Summary) Left() int { return s.Total - s.Done - len(s.Failures) }

// tour opens the databases of all tenants, and reports how many it has looked at.
type tour struct {
	parallel int // how many at once
	report   func(*Summary)

	mu       sync.Mutex // guards progress and the calls of report
	progress Summary
}

// begin reports that a tour of so many databases begins.
func (t *tour) begin(total int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress = Summary{Total: total}
	t.report(&t.progress)
}

// note reports that one more database was looked at. Some may have been added after the
// count.
func (t *tour) note() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress.Done++
	t.progress.Total = max(t.progress.Total, t.progress.Done)
	t.report(&t.progress)
}

// task is one thing done to many tenants.
type task struct {
	report func(*Summary)
	to     string // the schema that each tenant is to have
	do     func(ctx context.Context, record *models.Tenant) error

	mu      sync.Mutex // guards summary and the calls of report
	summary Summary
}

// run carries out the task for the selected tenants, plan.Parallel at once.
func (f *Fleet) run(ctx context.Context, plan Plan, selection models.Selection, t *task) (Summary, error) {
	return f.spread(ctx, plan, selection, t, func(record *models.Tenant) { f.runOne(ctx, t, record, selection) })
}

// spread calls do with each selected tenant, plan.Parallel at once. do notes the result.
func (f *Fleet) spread(
	ctx context.Context, plan Plan, selection models.Selection, t *task, do func(*models.Tenant),
) (Summary, error) {
	selection, err := f.choose(ctx, plan, selection)
	if err != nil {
		return Summary{}, err
	}
	if t.summary.Total, err = models.CountTenants(ctx, f.databases.Core, selection); err != nil || t.summary.Total == 0 {
		return t.summary, err
	}
	t.report(&t.summary)
	var workers errgroup.Group
	workers.SetLimit(max(plan.Parallel, 1))
	err = models.EachTenant(ctx, f.databases.Core, selection, func(record *models.Tenant) error {
		workers.Go(func() error {
			do(record)
			return nil
		})
		return ctx.Err()
	})
	_ = workers.Wait() // the summary has their errors
	return t.summary, err
}

// runOne takes the tenant's lock and carries out the task, unless the tenant is
// gone or another process has done it.
func (f *Fleet) runOne(ctx context.Context, t *task, record *models.Tenant, selection models.Selection) {
	if ctx.Err() != nil {
		return
	}
	waiting, cancel := context.WithTimeout(ctx, tenants.MigrateTimeout) // for another process that migrates it
	defer cancel()
	session, err := f.databases.Backend.Lock(waiting, tenants.LockKey(record.ID))
	if err != nil && ctx.Err() != nil {
		return
	}
	if err == nil {
		defer session.Unlock()
		// A tenant that is begun is finished, even if the run is interrupted.
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), tenants.MigrateTimeout)
		defer cancel()
		err = f.runLocked(detached, t, record.ID, selection)
	}
	t.note(record, err)
}

// runLocked reads the tenant again, now that it is locked, and carries out the
// task if the tenant is still selected.
func (f *Fleet) runLocked(ctx context.Context, t *task, id string, selection models.Selection) error {
	selection.ID, selection.Failed = id, false
	return models.EachTenant(ctx, f.databases.Core, selection, func(record *models.Tenant) error {
		return t.do(ctx, record)
	})
}

func (t *task) note(record *models.Tenant, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.summary.Done++
	} else {
		t.summary.Failures = append(t.summary.Failures, Failure{Move: moveTo(record, t.to), Reason: err})
	}
	// Tenants that were added after the count are attempted too.
	t.summary.Total = max(t.summary.Total, t.summary.Done+len(t.summary.Failures))
	t.report(&t.summary)
}

func moveTo(record *models.Tenant, to string) Move {
	return Move{Tenant: record.Name(), Database: record.DatabaseName, From: record.SchemaVersion, To: to}
}
