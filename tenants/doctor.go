package tenants

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"multitenant/database"
	"multitenant/models"
)

// The kinds of findings, by what is wrong.
const (
	kindUnsettled    = "unsettled"            // its making or removing was left unfinished
	kindMissing      = "database_missing"     // a registered database is not there
	kindForeign      = "stamp"                // it bears no stamp, or another's
	kindUnreachable  = "database_unreachable" // it cannot be opened for another reason
	kindBehind       = "schema"               // it lacks migrations
	kindNewer        = "schema_newer"         // it has migrations that the registry knows nothing of
	kindRole         = "role"                 // it has no role, or cannot be entered by it
	kindGrants       = "grants"               // its role may not use all of it
	kindOpen         = "open"                 // every role of the server may connect
	kindOrganization = "organization"         // organization and tenant contradict each other
	kindUnexplained  = "unexplained_"         // with a noun: it is in no row of the registry
)

// Finding is something that is wrong.
type Finding struct {
	Kind    string
	Tenant  string // its slug; empty where it is about no tenant, or one that is nobody's
	Name    string // of the database, the role, the file or the organization
	Problem string

	mend     func(ctx context.Context) error // nil where somebody has to decide
	tenantID string
}

// CanMend reports whether Mend knows what to do.
func (f *Finding) CanMend() bool { return f.mend != nil }

// Mend puts it right. Somebody else may have done so meanwhile; that is no error.
func (f *Finding) Mend(ctx context.Context) error { return f.mend(ctx) }

// IsSame reports whether it is the same thing, found another time.
func (f *Finding) IsSame(other *Finding) bool { return f.Kind == other.Kind && f.Name == other.Name }

// Examine compares the registry with the databases, roles and files there are,
// and changes nothing. It opens the database of each tenant, once where nothing
// is wrong with it. KindTenantNotFound for a slug that is none.
func (m *Manager) Examine(ctx context.Context, plan FleetPlan) ([]Finding, error) {
	x := &examination{Manager: m}
	survey, err := m.survey(ctx)
	if err != nil {
		return nil, err
	}
	x.survey = survey
	selection := models.Selection{}
	if plan.Slug == "" {
		err = x.examineWhole(ctx)
	} else {
		var record models.Tenant
		record, err = models.FindTenantBySlug(ctx, m.core, plan.Slug)
		selection.ID = record.ID
	}
	if err != nil {
		return nil, err
	}
	var workers errgroup.Group
	workers.SetLimit(max(plan.Parallel, 1))
	err = models.EachTenant(ctx, m.core, selection, func(record *models.Tenant) error {
		workers.Go(func() error { return x.examineTenant(ctx, record) })
		return ctx.Err()
	})
	if failed := workers.Wait(); err == nil {
		err = failed
	}
	slices.SortFunc(x.findings, func(a, b Finding) int {
		return strings.Compare(a.Tenant+" "+a.Kind+" "+a.Name, b.Tenant+" "+b.Kind+" "+b.Name)
	})
	return x.findings, err
}

// examination is an Examine under way.
type examination struct {
	*Manager

	survey database.Survey

	mu       sync.Mutex // guards findings
	findings []Finding
}

func (x *examination) add(finding *Finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.findings = append(x.findings, *finding)
}

// find adds what is wrong with a tenant.
func (x *examination) find(record *models.Tenant, kind, problem string, mend func(ctx context.Context) error) {
	x.add(&Finding{Kind: kind, Tenant: string(record.Slug), Name: record.DatabaseName, Problem: problem, mend: mend, tenantID: record.ID})
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

// examineWhole looks at what is about no tenant in particular.
func (x *examination) examineWhole(ctx context.Context) error {
	if open := x.survey.Databases[x.survey.Core].Public; len(open) > 0 {
		x.add(&Finding{Kind: kindOpen, Name: x.survey.Core, Problem: openTo(open), mend: x.roles.Secure})
	}
	contradictions, err := models.ListContradictions(ctx, x.core)
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
	strays, err := x.unexplained(ctx)
	if err != nil {
		return err
	}
	for _, s := range strays {
		problem, mend := x.examineStray(ctx, s)
		x.add(&Finding{Kind: kindUnexplained + s.noun, Name: s.name, Problem: problem, mend: mend})
	}
	return nil
}

func openTo(privileges []string) string {
	return "every role of the server has the right to " + strings.Join(privileges, ", ")
}

// examineTenant looks at one tenant. The error says that the examination cannot
// go on; what is wrong with the tenant is a finding.
func (x *examination) examineTenant(ctx context.Context, record *models.Tenant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case !record.Status.IsSettled():
		return x.examineUnsettled(ctx, record)
	case record.Status == models.TenantSpare:
		return x.examineSpare(ctx, record)
	}
	return x.examineSettled(ctx, record)
}

// examineSpare looks at a spare that nobody is about to claim, and keeps it from
// being claimed meanwhile: a database that is in use gets no other name.
func (x *examination) examineSpare(ctx context.Context, record *models.Tenant) error {
	session, free, err := x.backend.TryLock(ctx, lockKey(record.ID))
	if err != nil || !free {
		return err
	}
	defer session.Unlock()
	now, err := models.FindTenant(ctx, x.core, record.ID)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && now.Status != models.TenantSpare {
		return nil
	}
	if err != nil {
		return err
	}
	return x.examineSettled(ctx, &now)
}

// examineSettled looks at a tenant or a spare. What is found of one that has
// gone, is going, or got another name meanwhile is nothing.
func (x *examination) examineSettled(ctx context.Context, record *models.Tenant) error {
	if err := x.examineState(ctx, record); err != nil || !x.hasFound(record) {
		return err
	}
	now, err := models.FindTenant(ctx, x.core, record.ID)
	isGone := models.IsKind(err, models.KindTenantNotFound)
	if isGone || err == nil && (now.DatabaseName != record.DatabaseName || !now.Status.IsSettled()) {
		x.forget(record)
		return nil
	}
	return err
}

func (x *examination) examineState(ctx context.Context, record *models.Tenant) error {
	if open := x.survey.Databases[record.DatabaseName].Public; len(open) > 0 {
		x.find(record, kindOpen, openTo(open), func(ctx context.Context) error { return x.mendOpen(ctx, record.ID) })
	}
	x.examineRegistry(record)
	bounded, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return x.examineDatabase(bounded, record)
}

// examineUnsettled finds a tenant that nobody is at work on.
func (x *examination) examineUnsettled(ctx context.Context, record *models.Tenant) error {
	session, free, err := x.backend.TryLock(ctx, lockKey(record.ID))
	if err != nil || !free {
		return err
	}
	session.Unlock()
	now, err := models.FindTenant(ctx, x.core, record.ID)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && now.Status.IsSettled() {
		return nil
	}
	if err == nil {
		x.find(&now, kindUnsettled, fmt.Sprintf("it is %s, and nobody is at work on it", now.Status),
			func(ctx context.Context) error { return x.mendUnsettled(ctx, record.ID) })
	}
	return err
}

// examineRegistry finds what the registry itself knows to be wrong.
func (x *examination) examineRegistry(record *models.Tenant) {
	mend := func(ctx context.Context) error { return x.mendSchema(ctx, record.ID) }
	reason := ""
	if record.Error != "" {
		reason = "; the last attempt to migrate it failed: " + record.Error
	}
	switch {
	case record.SchemaVersion == "":
		x.find(record, kindBehind, "it was not taken over yet"+reason, mend)
	case record.SchemaVersion < x.version:
		x.find(record, kindBehind, fmt.Sprintf("it has %s, this program's is %s%s", record.SchemaVersion, x.version, reason), mend)
	case x.lacksRole(record):
		x.find(record, kindRole, "it has no role of its own yet"+reason, mend)
	case reason != "":
		x.find(record, kindBehind, strings.TrimPrefix(reason, "; "), mend)
	}
}
