package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"multitenant/database"
	"multitenant/models"
)

// changedTries is how often trials are made with others, where those they were
// made with are claimed or deleted meanwhile.
const changedTries = 5

// TryIsolation tries to cross from a tenant to others, to core and to the spares
// in every way there is, and looks whether the whole fleet is closed. The tenant
// is the one with that slug or, where it is empty, any that is ready. Nothing is
// changed. The error says why there were no trials: KindTenantNotFound for an
// unknown slug.
func (m *Manager) TryIsolation(ctx context.Context, slug models.Slug) ([]database.Trial, error) {
	for range changedTries {
		from, others, err := m.choosePair(ctx, slug)
		if err != nil {
			return nil, err
		}
		trials, err := m.tryIsolation(ctx, from, others)
		if err != nil || !slices.ContainsFunc(trials, Failed) {
			return trials, err
		}
		if changed, err := m.haveChanged(ctx, from, others); err != nil || !changed {
			return trials, err
		}
	}
	return nil, errors.New("the tenants that were tried with were renamed or deleted meanwhile: try again")
}

func (m *Manager) tryIsolation(ctx context.Context, from *models.Tenant, others []models.Tenant) ([]database.Trial, error) {
	hasRoles := m.roles != nil
	switch {
	case hasRoles && !m.canCreateRoles() && (from == nil || from.Role == ""):
		return []database.Trial{failed("tenant_role", "all tenants are reached by one role, so nothing on the server keeps "+
			"them apart: its administrator can ALTER ROLE … CREATEROLE, then run migrate")}, nil
	case hasRoles && from != nil && from.Role == "":
		return []database.Trial{failed("tenant_role", "tenant "+from.Name()+" has no role of its own yet: run migrate")}, nil
	}
	trials, err := m.cross(ctx, from, others)
	if err != nil || !hasRoles {
		return trials, err
	}
	fleet, err := m.tryFleet(ctx)
	return append(trials, fleet...), err
}

// haveChanged reports whether any of these is no longer what it was.
func (m *Manager) haveChanged(ctx context.Context, from *models.Tenant, others []models.Tenant) (bool, error) {
	all := others
	if from != nil {
		all = append(slices.Clone(others), *from)
	}
	for i := range all {
		now, err := models.FindTenant(ctx, m.core, all[i].ID)
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

// choosePair returns the tenant to try as, or nil where none is ready, and those
// to try to reach: another that is ready, and a spare.
func (m *Manager) choosePair(ctx context.Context, slug models.Slug) (from *models.Tenant, others []models.Tenant, err error) {
	if slug != "" {
		record, err := models.FindTenantBySlug(ctx, m.core, slug)
		if err != nil {
			return nil, nil, err
		}
		if record.Status != models.TenantReady {
			return nil, nil, fmt.Errorf("it is %s: trials need one that is ready", record.Status)
		}
		from = &record
	}
	ready, err := models.ListByStatus(ctx, m.core, models.TenantReady, 2)
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
	spares, err := models.ListByStatus(ctx, m.core, models.TenantSpare, 1)
	return from, append(others, spares...), err
}

// cross makes the trials that are made as a tenant.
func (m *Manager) cross(ctx context.Context, from *models.Tenant, others []models.Tenant) ([]database.Trial, error) {
	if from == nil {
		trials, err := m.backend.Cross(ctx, &database.Crossing{})
		return append(trials, database.Trial{
			Name: "tenant", Result: database.ResultNote, Detail: "no tenant is ready, so nothing could be tried as one",
		}), err
	}
	crossing := &database.Crossing{From: m.place(from)}
	for i := range others {
		crossing.Others = append(crossing.Others, m.place(&others[i]))
	}
	trials, shut := m.backend.Cross(ctx, crossing)
	if shut != nil {
		// Where the tenant cannot get into its own, to be kept out elsewhere says nothing.
		return []database.Trial{failed("open_own", "tenant "+from.Name()+" could not be used for trials: "+shut.Error())}, nil //nolint:nilerr // it is what the trial found
	}
	for i := range others {
		trials = append(trials, m.tryStamp(ctx, from, &others[i]))
	}
	return trials, nil
}

func (m *Manager) place(record *models.Tenant) database.Place {
	place := database.Place{
		Kind: "other_tenant", Label: "tenant " + record.Name(), Name: record.DatabaseName, Login: m.login(record),
	}
	if record.Status == models.TenantSpare {
		place.Kind, place.Label = "spare", "a spare"
	}
	return place
}

// tryStamp opens another's database as if it were the tenant's, by the
// application's own role, which may.
func (m *Manager) tryStamp(ctx context.Context, from, other *models.Tenant) database.Trial {
	place := m.place(other)
	trial := failed("serve_"+place.Kind, "")
	db, err := m.backend.OpenDatabase(ctx, other.DatabaseName, stampedWith(from.ID))
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
