package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"multitenant/database"
	"multitenant/models"
)

// changedTries is how often the trials are repeated with other tenants, if those
// that were used have been claimed or deleted meanwhile.
const changedTries = 20

// TryIsolation tries in all known ways to get from one tenant into others, into the
// core and into spares, and checks the access rights of all tenants, plan.Parallel at
// once. It tries as the plan's tenant or, if the plan names none, as any that is ready.
// It changes nothing. It calls report before the first tenant's database is opened and after
// each one, never concurrently, and from the start where failed trials are repeated. The
// error says why there were no trials: KindTenantNotFound for an unknown slug, or an error
// of the core database.
func (f *Fleet) TryIsolation(ctx context.Context, plan Plan, report func(*Summary)) ([]database.Trial, error) {
	for range changedTries {
		from, others, err := f.choosePair(ctx, plan.Slug)
		if err != nil {
			return nil, err
		}
		trials, err := f.tryIsolation(ctx, from, others, &tour{parallel: plan.Parallel, report: report})
		if err != nil || !slices.ContainsFunc(trials, Failed) {
			return trials, err
		}
		if changed, err := f.haveChanged(ctx, from, others); err != nil || !changed {
			return trials, err
		}
	}
	return nil, errors.New("the tenants that were tried with were renamed or deleted meanwhile: try again")
}

func (f *Fleet) tryIsolation(
	ctx context.Context, from *models.Tenant, others []models.Tenant, t *tour,
) ([]database.Trial, error) {
	hasRoles := f.databases.Roles != nil
	switch {
	case hasRoles && !f.databases.CanCreateRoles() && (from == nil || from.Role == ""):
		return []database.Trial{failed("tenant_role", "all tenants are reached by one role, so nothing on the server keeps "+
			"them apart: its administrator can ALTER ROLE … CREATEROLE, then run migrate")}, nil
	case hasRoles && from != nil && from.Role == "":
		return []database.Trial{failed("tenant_role", "tenant "+from.Name()+" has no role of its own yet: run migrate")}, nil
	}
	trials, err := f.cross(ctx, from, others)
	if err != nil || !hasRoles {
		return trials, err
	}
	fleet, err := f.tryFleet(ctx, t)
	return append(trials, fleet...), err
}

// haveChanged reports whether one of these tenants has another status now.
func (f *Fleet) haveChanged(ctx context.Context, from *models.Tenant, others []models.Tenant) (bool, error) {
	all := others
	if from != nil {
		all = append(slices.Clone(others), *from)
	}
	for i := range all {
		now, err := models.FindTenant(ctx, f.databases.Core, all[i].ID)
		if models.IsKind(err, models.KindTenantNotFound) || err == nil && now.Status != all[i].Status {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

func failed(name, detail string) database.Trial {
	return database.Trial{Name: name, Result: database.ResultFail, Detail: detail}
}

// choosePair returns the tenant to try as, or nil if none is ready, and the
// databases to try to reach: another ready tenant's and a spare.
func (f *Fleet) choosePair(ctx context.Context, slug models.Slug) (from *models.Tenant, others []models.Tenant, err error) {
	if slug != "" {
		record, err := models.FindTenantBySlug(ctx, f.databases.Core, slug)
		if err != nil {
			return nil, nil, err
		}
		if record.Status != models.TenantReady {
			return nil, nil, fmt.Errorf("it is %s: trials need one that is ready", record.Status)
		}
		from = &record
	}
	ready, err := models.ListByStatus(ctx, f.databases.Core, models.TenantReady, 2)
	if err != nil {
		return nil, nil, err
	}
	for i := range ready {
		switch {
		case from == nil:
			from = &ready[i]
		case ready[i].ID != from.ID && len(others) == 0:
			others = append(others, ready[i])
		}
	}
	spares, err := models.ListByStatus(ctx, f.databases.Core, models.TenantSpare, 1)
	return from, append(others, spares...), err
}

// cross carries out the trials that need a tenant.
func (f *Fleet) cross(ctx context.Context, from *models.Tenant, others []models.Tenant) ([]database.Trial, error) {
	if from == nil {
		trials, err := f.databases.Backend.Cross(ctx, &database.Crossing{})
		return append(trials, database.Trial{
			Name: "tenant", Result: database.ResultNote, Detail: "no tenant is ready, so nothing could be tried as one",
		}), err
	}
	crossing := &database.Crossing{From: f.place(from)}
	for i := range others {
		crossing.Others = append(crossing.Others, f.place(&others[i]))
	}
	trials, shut := f.databases.Backend.Cross(ctx, crossing)
	if shut != nil {
		// If the tenant cannot enter its own database, being kept out of others proves
		// nothing.
		return []database.Trial{failed("open_own", "tenant "+from.Name()+" could not be used for trials: "+shut.Error())}, nil //nolint:nilerr // it is the result of the trial
	}
	for i := range others {
		trials = append(trials, f.tryStamp(ctx, from, &others[i]))
	}
	return trials, nil
}

func (f *Fleet) place(record *models.Tenant) database.Place {
	place := database.Place{
		Kind: "other_tenant", Label: "tenant " + record.Name(), Name: record.DatabaseName, Login: f.databases.Login(record),
	}
	if record.Status == models.TenantSpare {
		place.Kind, place.Label = "spare", "a spare"
	}
	return place
}

// tryStamp opens another database as if it were the tenant's, with the
// application's own role, which may enter both.
func (f *Fleet) tryStamp(ctx context.Context, from, other *models.Tenant) database.Trial {
	place := f.place(other)
	trial := failed("serve_"+place.Kind, "")
	db, err := f.databases.Backend.OpenDatabase(ctx, other.DatabaseName, f.databases.StampedWith(from.ID))
	switch {
	case errors.Is(err, database.ErrForeign):
		trial.Result, trial.Detail = database.ResultPass, "is not served the database of "+place.Label+", which bears another stamp"
	case err != nil:
		trial.Detail = "was not refused the database of " + place.Label + ", but failed: " + err.Error()
	default:
		trial.Detail = "is served the database of " + place.Label + " as its own"
		if err := database.Close(db); err != nil {
			trial.Detail += ": " + err.Error()
		}
	}
	return trial
}
