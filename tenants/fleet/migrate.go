package fleet

import (
	"context"

	"multitenant/models"
)

// Migrate migrates the databases of the tenants that are behind to this code's
// schema, including suspended tenants. It attempts all, each under its lock and in
// its own transaction; the summary has the failures. It calls report at the start
// and after each tenant, never concurrently. When ctx ends, tenants in progress are
// finished and no more are begun; the next run continues.
//
// The error says why there was no complete run: KindTenantNotFound for an unknown
// slug, the error of ctx, or that of the core database.
func (f *Fleet) Migrate(ctx context.Context, plan Plan, report func(*Summary)) (Summary, error) {
	return f.run(ctx, plan, f.behind(plan), &task{
		report: report,
		to:     f.databases.Version,
		do:     f.databases.Upgrade,
	})
}

// EachBehind calls do with each move that Migrate would make, and changes nothing.
// It returns the errors of Migrate and of do.
func (f *Fleet) EachBehind(ctx context.Context, plan Plan, do func(Move) error) error {
	selection, err := f.choose(ctx, plan, f.behind(plan))
	if err != nil {
		return err
	}
	selection.Brief = true
	return models.EachTenant(ctx, f.databases.Core, selection, func(record *models.Tenant) error {
		return do(moveTo(record, f.databases.Version))
	})
}

// Behind selects the tenants that Migrate would migrate.
func (f *Fleet) Behind() models.Selection { return f.behind(Plan{}) }

// behind selects the tenants with an older schema than this code's, and those
// without a role that they could have. A tenant that a newer version has migrated
// is not behind.
func (f *Fleet) behind(plan Plan) models.Selection {
	older := []string{""} // to be taken over
	for _, migration := range f.databases.Migrations {
		if migration.ID != f.databases.Version {
			older = append(older, migration.ID)
		}
	}
	return models.Selection{Fleet: true, Versions: older, Roleless: f.hasRoles, Failed: plan.OnlyFailed}
}
