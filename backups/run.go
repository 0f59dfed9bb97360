package backups

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
	"multitenant/operations"
	"multitenant/tenants"
)

// Plan says which tenants a run is about.
type Plan struct {
	Slug     models.Slug // this tenant alone; empty means all, and core
	Parallel int         // how many tenants at once, 1 or more
}

// Result is what became of one database.
type Result struct {
	Name    string  // of the tenant, or core
	Record  *Record // of its backup; nil if there is none
	Skipped string  // why it was not tried
	IsLeft  bool    // it was skipped, and should not stay without a backup
	Err     error   // why it failed
}

// Summary is the progress of a run.
type Summary struct {
	Total   int // backups that the run is about
	Results []Result
}

// Left returns how many have not been attempted.
func (s *Summary) Left() int { return s.Total - len(s.Results) }

// Count counts the results that are like that.
func (s *Summary) Count(is func(*Result) bool) (n int) {
	for i := range s.Results {
		if is(&s.Results[i]) {
			n++
		}
	}
	return n
}

// round is one run.
type round struct {
	*Backups

	report func(*Summary)

	mu      sync.Mutex // guards summary and the calls of report
	summary Summary
}

// Run makes backups of all tenants, suspended ones too, and of core before and after
// them; or of one tenant. All are attempted. When ctx ends, those under way are given
// up. Run returns errors of the registry, of ctx and of a store that keeps nothing; the
// Summary has the others.
func (b *Backups) Run(ctx context.Context, plan Plan, report func(*Summary)) (Summary, error) {
	if err := b.try(ctx); err != nil {
		return Summary{}, err
	}
	run := &round{Backups: b, report: report}
	if plan.Slug != "" {
		record, err := models.FindTenantBySlug(ctx, b.databases.Core, plan.Slug)
		if err != nil {
			return Summary{}, err
		}
		run.summary.Total = 1
		run.tenant(ctx, &record)
		return run.summary, nil
	}
	selection := models.Selection{Claimed: true}
	count, err := models.CountTenants(ctx, b.databases.Core, selection)
	if err != nil {
		return Summary{}, err
	}
	run.summary.Total = count + 2 // core twice
	report(&run.summary)
	run.core(ctx)
	err = run.tenants(ctx, selection, plan.Parallel)
	run.core(ctx)
	return run.summary, err
}

func (b *round) tenants(ctx context.Context, selection models.Selection, parallel int) error {
	var workers errgroup.Group
	workers.SetLimit(max(parallel, 1))
	err := models.EachTenant(ctx, b.databases.Core, selection, func(record *models.Tenant) error {
		workers.Go(func() error {
			b.tenant(ctx, record)
			return nil
		})
		return ctx.Err()
	})
	_ = workers.Wait() // the summary has their errors
	return err
}

// core backs core up, under the lock that keeps servers from migrating it.
func (b *round) core(ctx context.Context) {
	result := Result{Name: CoreOwner}
	session, err := b.databases.Backend.Lock(ctx, tenants.CoreLock)
	if err == nil {
		defer session.Unlock()
		result.Record, err = b.copyCore(ctx)
	}
	result.Err = err
	b.note(ctx, &result)
}

// copyCore makes a backup of core, whose lock the caller must hold.
func (b *Backups) copyCore(ctx context.Context) (*Record, error) {
	layout, err := b.coreLayout.get(ctx)
	if err != nil {
		return nil, err
	}
	j := &job{
		record: Record{InstallationID: b.databases.InstallationID(), TenantID: CoreOwner},
		source: &database.Source{Layout: layout}, migrations: migrations.Core(b.databases.Prefix), keyFile: b.keyFile,
	}
	if err := b.keep(ctx, j); err != nil {
		return nil, err
	}
	return &j.record, nil
}

// tenant backs a tenant up, under its lock: then it is not migrated meanwhile, whose
// ALTER TABLE would wait for the copy, and all queries behind it.
func (b *round) tenant(ctx context.Context, record *models.Tenant) {
	result := newResult(b.keepTenant(ctx, record.ID))
	result.Name = record.Name()
	b.note(ctx, &result)
}

// newResult sorts what became of a backup: not each error is a fault.
func newResult(kept *Record, err error) (result Result) {
	switch {
	case err == nil:
		result.Record = kept
	case models.IsKind(err, models.KindTenantNotFound):
		result.Skipped = "it is gone"
	case errors.Is(err, tenants.ErrUnfinished):
		result.Skipped = err.Error()
	case errors.Is(err, tenants.ErrBehind), errors.Is(err, database.ErrOlderSchema), errors.Is(err, database.ErrNewerSchema):
		result.Skipped, result.IsLeft = tenants.ErrBehind.Error(), true
	default:
		result.Err = err
	}
	return result
}

func (b *round) keepTenant(ctx context.Context, id string) (*Record, error) {
	session, err := b.databases.Backend.Lock(ctx, tenants.LockKey(id))
	if err != nil {
		return nil, err
	}
	defer session.Unlock()
	return b.copyTenant(ctx, id, nil)
}

// copyTenant makes a backup of a tenant, whose lock the caller must hold. task, unless it
// is nil, is told of progress.
func (b *Backups) copyTenant(ctx context.Context, id string, task *operations.Task) (kept *Record, err error) {
	err = b.databases.LendForCopy(ctx, id, func(ctx context.Context, record *models.Tenant) (err error) {
		kept, err = b.copyRecord(ctx, record, task)
		return err
	})
	return kept, err
}

// copyRecord makes a backup of a tenant that has this code's schema and whose lock the
// caller must hold.
func (b *Backups) copyRecord(ctx context.Context, record *models.Tenant, task *operations.Task) (*Record, error) {
	described, err := b.describe(ctx, record)
	if err != nil {
		return nil, err
	}
	layout, err := b.tenantLayout.get(ctx)
	if err != nil {
		return nil, err
	}
	j := &job{
		record: Record{
			InstallationID: b.databases.InstallationID(), TenantID: record.ID, Slug: string(record.Slug),
			Organization: described.Name,
		},
		source: b.databases.SourceOf(record, layout), migrations: b.databases.Migrations, organization: described, task: task,
	}
	if err := b.keep(ctx, j); err != nil {
		return nil, err
	}
	return &j.record, nil
}

// describe reads what core alone knows of a tenant.
func (b *Backups) describe(ctx context.Context, record *models.Tenant) (*organization, error) {
	described := &organization{
		TenantID: record.ID, Slug: record.Slug, DatabaseName: record.DatabaseName, Status: record.Status,
		Registration: record.Registration, CreatedAt: record.CreatedAt, SuspendedByOwner: record.SuspendedByOwner,
	}
	var err error
	if described.Aliases, err = models.ListAliases(ctx, b.databases.Core, record.ID); err != nil {
		return nil, err
	}
	org, err := models.FindOrganizationOf(ctx, b.databases.Core, record.ID)
	if models.IsKind(err, models.KindOrganizationNotFound) {
		return described, nil
	}
	if err != nil {
		return nil, err
	}
	owner, err := models.FindOwner(ctx, b.databases.Core, record.ID)
	if err != nil {
		return nil, fmt.Errorf("find the owner: %w", err)
	}
	described.Name, described.Description, described.Registration = org.Name, org.Description, org.Registration
	described.OwnerID, described.OwnerEmail, described.OrganizationID = owner.ID, owner.Email, org.ID
	return described, nil
}

// note adds a result. What was given up because ctx ended has none.
func (b *round) note(ctx context.Context, result *Result) {
	if result.Record == nil && ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.summary.Results = append(b.summary.Results, *result)
	b.summary.Total = max(b.summary.Total, len(b.summary.Results))
	b.report(&b.summary)
}
