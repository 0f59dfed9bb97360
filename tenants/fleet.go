package tenants

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"multitenant/models"
)

// FleetPlan says which tenants a run over the fleet is about, and how it goes.
type FleetPlan struct {
	Slug       models.Slug // this tenant alone; empty means all
	OnlyFailed bool        // those whose last migration failed
	Parallel   int         // how many at once, 1 or more
}

// Move is what a run does, or would do, to one tenant's schema.
type Move struct {
	Tenant   string // its slug or, where it has none, its database
	Database string
	From, To string // migrations; From is empty for a tenant that is to be taken over
}

// Failure is a tenant that a run has failed on, and why.
type Failure struct {
	Move

	Reason error
}

// Summary says how far a run has come.
type Summary struct {
	Total    int // of those it is about
	Done     int
	Failures []Failure
}

// Left is how many have not been attempted.
func (s *Summary) Left() int { return s.Total - s.Done - len(s.Failures) }

// MigrateFleet brings the databases of the tenants that are behind up to this
// code's schema, suspended tenants' too. All are attempted, each under its lock
// and in a transaction of its own; those that fail are in the summary. report is
// called at the start and after each, by one goroutine at a time. When ctx ends, those under way
// are finished and no more are begun; the next run takes up the rest.
//
// The error says why there was no run, or none to the end: KindTenantNotFound
// for a slug that is none of the fleet's.
func (m *Manager) MigrateFleet(ctx context.Context, plan FleetPlan, report func(*Summary)) (Summary, error) {
	return m.runFleet(ctx, plan, m.behind(plan), &fleetRun{
		report: report,
		to:     m.version,
		do:     m.upgrade,
	})
}

// EachBehind calls do with what MigrateFleet would do to each tenant, and
// changes nothing.
func (m *Manager) EachBehind(ctx context.Context, plan FleetPlan, do func(Move) error) error {
	selection, err := m.choose(ctx, plan, m.behind(plan))
	if err != nil {
		return err
	}
	selection.Brief = true
	return models.EachTenant(ctx, m.core, selection, func(record *models.Tenant) error {
		return do(moveTo(record, m.version))
	})
}

// behind selects the tenants with an older schema than this code's, or without a
// role that they could have. One that a newer version has migrated is not behind.
func (m *Manager) behind(plan FleetPlan) models.Selection {
	older := []string{""} // to be taken over
	for _, migration := range m.migrations {
		if migration.ID != m.version {
			older = append(older, migration.ID)
		}
	}
	// Before core has been migrated nothing can be said of roles.
	roleless := m.installation.ID != "" && m.canCreateRoles()
	return models.Selection{Fleet: true, Versions: older, Roleless: roleless, Failed: plan.OnlyFailed}
}

// choose narrows a selection to the plan's tenant, if it names one.
func (m *Manager) choose(ctx context.Context, plan FleetPlan, selection models.Selection) (models.Selection, error) {
	if plan.Slug == "" {
		return selection, nil
	}
	record, err := models.FindTenantBySlug(ctx, m.core, plan.Slug)
	if err != nil {
		return selection, err
	}
	if !record.Status.IsSettled() {
		return selection, fmt.Errorf("it is %s: what is being made or removed is not touched", record.Status)
	}
	selection.ID = record.ID
	return selection, nil
}

// fleetRun does one thing to many tenants.
type fleetRun struct {
	report func(*Summary)
	to     string // the schema each is to have
	do     func(ctx context.Context, record *models.Tenant) error

	mu      sync.Mutex // guards summary, and report's turn
	summary Summary
}

func (m *Manager) runFleet(ctx context.Context, plan FleetPlan, selection models.Selection, run *fleetRun) (Summary, error) {
	selection, err := m.choose(ctx, plan, selection)
	if err != nil {
		return Summary{}, err
	}
	if run.summary.Total, err = models.CountTenants(ctx, m.core, selection); err != nil || run.summary.Total == 0 {
		return run.summary, err
	}
	run.report(&run.summary)
	var workers errgroup.Group
	workers.SetLimit(max(plan.Parallel, 1))
	err = models.EachTenant(ctx, m.core, selection, func(record *models.Tenant) error {
		workers.Go(func() error {
			m.runOne(ctx, run, record, selection)
			return nil
		})
		return ctx.Err()
	})
	_ = workers.Wait() // the summary has their errors
	return run.summary, err
}

// runOne takes the tenant's lock and does what is to be done, unless the tenant
// has gone or somebody else has done it meanwhile.
func (m *Manager) runOne(ctx context.Context, run *fleetRun, record *models.Tenant, selection models.Selection) {
	if ctx.Err() != nil {
		return
	}
	session, err := m.backend.Lock(ctx, lockKey(record.ID))
	if err != nil && ctx.Err() != nil {
		return
	}
	if err == nil {
		defer session.Unlock()
		// What is begun is finished: half a run is fine, half a tenant is not.
		under, cancel := context.WithTimeout(context.WithoutCancel(ctx), migrateTimeout)
		defer cancel()
		err = m.runLocked(under, run, record.ID, selection)
	}
	run.note(record, err)
}

func (m *Manager) runLocked(
	ctx context.Context, run *fleetRun, id string, selection models.Selection,
) error {
	selection.ID, selection.Failed = id, false
	return models.EachTenant(ctx, m.core, selection, func(record *models.Tenant) error {
		return run.do(ctx, record)
	})
}

func (r *fleetRun) note(record *models.Tenant, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.summary.Done++
	} else {
		r.summary.Failures = append(r.summary.Failures, Failure{Move: moveTo(record, r.to), Reason: err})
	}
	// Rows that have come since they were counted are attempted too.
	r.summary.Total = max(r.summary.Total, r.summary.Done+len(r.summary.Failures))
	r.report(&r.summary)
}

func moveTo(record *models.Tenant, to string) Move {
	return Move{Tenant: record.Name(), Database: record.DatabaseName, From: record.SchemaVersion, To: to}
}
