package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// The kinds of findings, by what is wrong.
const (
	kindUnfinished   = "unsettled"            // its making or deletion was interrupted
	kindMissing      = "database_missing"     // a registered database does not exist
	kindForeign      = "stamp"                // it has no stamp, or another tenant's
	kindUnreachable  = "database_unreachable" // it cannot be opened for another reason
	kindBehind       = "schema"               // it lacks migrations
	kindNewer        = "schema_newer"         // it has migrations that the registry does not know
	kindRole         = "role"                 // it has no role, or the role cannot enter it
	kindGrants       = "grants"               // its role may not use all of it
	kindOpen         = "open"                 // every role of the server may connect
	kindOrganization = "organization"         // organization and tenant contradict each other
	kindReplaced     = "replaced"             // a restored database has replaced it, and it is kept
	kindUnexplained  = "unexplained_"         // followed by a noun: it is in no row of the registry
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind    string
	Tenant  string // its slug; empty if it is about no tenant or about a spare
	Name    string // of the database, the role, the file or the organization
	Problem string

	repair   func(ctx context.Context) error // nil if an operator has to decide
	tenantID string
}

// IsNote reports whether the finding needs no action: it is about objects of another role,
// which are left alone, or about a database that is kept for a while.
func (f *Finding) IsNote() bool {
	return f.Kind == string(database.FaultForeign) || f.Kind == kindReplaced
}

// CanRepair reports whether Repair may be called.
func (f *Finding) CanRepair() bool { return f.repair != nil }

// Repair repairs it. It returns nil if another process has already done so, and the
// errors of the databases. Call it only if CanRepair.
func (f *Finding) Repair(ctx context.Context) error { return f.repair(ctx) }

// IsSame reports whether both are the same thing, found twice.
func (f *Finding) IsSame(other *Finding) bool { return f.Kind == other.Kind && f.Name == other.Name }

// Examine compares the registry with the existing databases, roles and files, and
// changes nothing. It opens the database of each tenant, once if nothing is wrong
// with it. It calls report before the first tenant and after each one, never concurrently.
// It returns KindTenantNotFound for an unknown slug, and the errors of the core database.
func (f *Fleet) Examine(ctx context.Context, plan Plan, report func(*Summary)) ([]Finding, error) {
	x := &examination{fleet: f, databases: f.databases}
	survey, err := f.survey(ctx)
	if err != nil {
		return nil, err
	}
	x.survey = survey
	if plan.Slug == "" {
		err = x.examineCore(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := f.databases.Identify(ctx); err != nil {
		return x.findings, unlessFound(x.findings, err)
	}
	err = x.examineRows(ctx, plan, &tour{parallel: plan.Parallel, report: report})
	slices.SortFunc(x.findings, func(a, b Finding) int {
		return strings.Compare(a.Tenant+" "+a.Kind+" "+a.Name, b.Tenant+" "+b.Kind+" "+b.Name)
	})
	return x.findings, err
}

// unlessFound drops an error that a fault of core explains.
func unlessFound(findings []Finding, err error) error {
	if len(findings) > 0 && database.IsDenied(err) {
		return nil
	}
	return err
}

// examineRows examines the tenants in the registry.
func (x *examination) examineRows(ctx context.Context, plan Plan, t *tour) error {
	selection := models.Selection{}
	var err error
	if plan.Slug == "" {
		err = x.examineWhole(ctx)
	} else {
		var record models.Tenant
		record, err = models.FindTenantBySlug(ctx, x.databases.Core, plan.Slug)
		selection.ID = record.ID
	}
	if err != nil {
		return unlessFound(x.findings, err)
	}
	total, err := models.CountTenants(ctx, x.databases.Core, selection)
	if err != nil {
		return err
	}
	t.begin(total)
	var workers errgroup.Group
	workers.SetLimit(max(t.parallel, 1))
	err = models.EachTenant(ctx, x.databases.Core, selection, func(record *models.Tenant) error {
		workers.Go(func() error {
			defer t.note()
			return x.examineTenant(ctx, record)
		})
		return ctx.Err()
	})
	if failed := workers.Wait(); err == nil {
		err = failed
	}
	return err
}

// examination is one call of Examine.
type examination struct {
	fleet     *Fleet
	databases *tenants.Databases
	survey    database.Survey

	mu       sync.Mutex // guards findings
	findings []Finding
}

func (x *examination) add(finding *Finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.findings = append(x.findings, *finding)
}

// find adds a finding about a tenant.
func (x *examination) find(record *models.Tenant, kind, problem string, repair func(ctx context.Context) error) {
	x.add(&Finding{Kind: kind, Tenant: string(record.Slug), Name: record.DatabaseName, Problem: problem, repair: repair, tenantID: record.ID})
}

func (x *examination) hasFound(record *models.Tenant) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.findings, func(f Finding) bool { return f.tenantID == record.ID })
}

func (x *examination) forget(record *models.Tenant) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.findings = slices.DeleteFunc(x.findings, func(f Finding) bool { return f.tenantID == record.ID })
}

// examineWhole examines what concerns no single tenant.
func (x *examination) examineWhole(ctx context.Context) error {
	if open := x.survey.Databases[x.survey.Core].Public; len(open) > 0 {
		x.add(&Finding{Kind: kindOpen, Name: x.survey.Core, Problem: openTo(open), repair: x.databases.Roles.Secure})
	}
	contradictions, err := models.ListContradictions(ctx, x.databases.Core)
	if err != nil {
		return err
	}
	for _, found := range contradictions {
		problem := "the organization has no tenant"
		if found.TenantSlug != "" {
			problem = fmt.Sprintf("the organization leads to tenant %q", found.TenantSlug)
		}
		x.add(&Finding{Kind: kindOrganization, Name: string(found.Slug), Problem: problem})
	}
	if err := x.noteReplaced(ctx); err != nil {
		return err
	}
	strays, err := x.databases.ListUnexplained(ctx)
	if err != nil {
		return err
	}
	for _, s := range strays {
		problem, repair := x.examineStray(ctx, s)
		x.add(&Finding{Kind: kindUnexplained + s.Noun, Name: s.Name, Problem: problem, repair: repair})
	}
	return nil
}

func (x *examination) noteReplaced(ctx context.Context) error {
	replaced, err := models.ListReplaced(ctx, x.databases.Core)
	for i := range replaced {
		x.add(&Finding{
			Kind: kindReplaced, Name: replaced[i].DatabaseName, tenantID: replaced[i].TenantID,
			Problem: fmt.Sprintf("it is kept since it was replaced at %s: tenants restore --undo puts the last one of a tenant back",
				replaced[i].ReplacedAt.UTC().Format(time.RFC3339)),
		})
	}
	return err
}

func openTo(privileges []string) string {
	return "every role of the server has the right to " + strings.Join(privileges, ", ")
}

// examineTenant examines one tenant. A fault of the tenant is a finding; an
// error ends the whole examination.
func (x *examination) examineTenant(ctx context.Context, record *models.Tenant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case !record.Status.IsFinished():
		return x.examineUnfinished(ctx, record)
	case record.Status == models.TenantSpare:
		return x.fleet.withSpare(ctx, record, x.examineFinished)
	}
	return x.examineFinished(ctx, record)
}

// examineFinished examines a tenant or a spare. It drops the findings if the tenant
// has been removed, marked for deletion or renamed meanwhile.
func (x *examination) examineFinished(ctx context.Context, record *models.Tenant) error {
	if err := x.examineState(ctx, record); err != nil || !x.hasFound(record) {
		return err
	}
	isGone, err := x.fleet.isGone(ctx, record)
	if isGone {
		x.forget(record)
	}
	return err
}

func (x *examination) examineState(ctx context.Context, record *models.Tenant) error {
	if open := x.survey.Databases[record.DatabaseName].Public; len(open) > 0 {
		x.find(record, kindOpen, openTo(open), func(ctx context.Context) error { return x.fleet.repairOpen(ctx, record.ID) })
	}
	x.examineRegistry(record)
	x.examineLimit(record)
	bounded, cancel := context.WithTimeout(ctx, tenants.OpenTimeout)
	defer cancel()
	return x.examineDatabase(bounded, record)
}

// longAtWork is how long a tenant may be unfinished while a process works on it.
const longAtWork = 2 * time.Minute

// examineUnfinished finds an unfinished tenant that no process is working on, or that is
// unfinished for so long that the work must be in vain.
func (x *examination) examineUnfinished(ctx context.Context, record *models.Tenant) error {
	session, free, err := x.databases.TryLock(ctx, record.ID)
	if err != nil {
		return err
	}
	if free {
		session.Unlock()
	}
	now, err := models.FindTenant(ctx, x.databases.Core, record.ID)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && now.Status.IsFinished() {
		return nil
	}
	if err != nil {
		return err
	}
	if now.BackupDue {
		x.find(&now, kindUnfinished, "it is deleted, and stays until a server has made its last backup: "+now.Error, nil)
		return nil
	}
	problem := fmt.Sprintf("it is %s, and no process is at work on it", now.Status)
	if !free {
		if time.Since(now.UpdatedAt) < longAtWork {
			return nil
		}
		problem = fmt.Sprintf("it is %s since %s, and a process is at work on it", now.Status, now.UpdatedAt.UTC().Format(time.RFC3339))
	}
	x.find(&now, kindUnfinished, problem, func(ctx context.Context) error { return x.fleet.repairUnfinished(ctx, record.ID) })
	return nil
}

// examineRegistry finds what the registry itself says is wrong.
func (x *examination) examineRegistry(record *models.Tenant) {
	repair := func(ctx context.Context) error { return x.fleet.repairSchema(ctx, record.ID) }
	reason := ""
	if record.Error != "" {
		reason = "; the last attempt to migrate it failed: " + record.Error
	}
	switch {
	case record.SchemaVersion == "":
		x.find(record, kindBehind, "it was not taken over yet"+reason, repair)
	case record.SchemaVersion < x.databases.Version:
		x.find(record, kindBehind, fmt.Sprintf("it has %s, this program's is %s%s", record.SchemaVersion, x.databases.Version, reason), repair)
	case x.databases.LacksRole(record):
		x.find(record, kindRole, "it has no role of its own yet"+reason, repair)
	case reason != "":
		x.find(record, kindBehind, strings.TrimPrefix(reason, "; "), repair)
	}
}
