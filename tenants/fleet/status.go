package fleet

import (
	"context"
	"errors"
	"slices"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

// Status says how far the core database and the tenants are migrated.
type Status struct {
	CoreVersion string // the core's last migration; empty if it has none
	CoreLatest  string // this code's last migration of the core
	CoreBehind  bool   // core lacks migrations of this code
	Latest      string // this code's last migration of tenants
	Total       int    // tenants, without unfinished ones and without spares
	Versions    []models.VersionCount
	Pending     int // tenants that are behind this code, or lack a role that they could have
	Newer       int // tenants that a newer version has migrated
	Failed      int // tenants whose last migration failed

	Spares        int // databases created in advance
	SparesPending int // those that are behind this code
}

// IsPending reports whether Migrate and the migration of core have work to do.
func (s *Status) IsPending() bool { return s.CoreBehind || s.Pending > 0 || s.SparesPending > 0 }

// Status reads only the registry. It works on a core database of any schema; one
// without a registry has no tenants.
func (f *Fleet) Status(ctx context.Context) (Status, error) {
	status := Status{CoreLatest: database.LatestID(migrations.Core(f.databases.Prefix)), Latest: f.databases.Version}
	applied, err := database.Applied(ctx, f.databases.Core)
	if err != nil {
		return status, err
	}
	if len(applied) > 0 {
		status.CoreVersion = applied[len(applied)-1]
	}
	status.CoreBehind = errors.Is(database.CheckSchema(applied, migrations.Core(f.databases.Prefix)), database.ErrOlderSchema)
	registered, err := f.HasRegistry(ctx)
	if err != nil || !registered {
		return status, err
	}
	if status.Versions, err = models.CountVersions(ctx, f.databases.Core); err != nil {
		return status, err
	}
	f.tally(&status)
	pending := models.Selection{Fleet: true, Claimed: true, Versions: f.behind(Plan{}).Versions}
	pending.Roleless = !status.CoreBehind && f.databases.CanCreateRoles() // an older core may know no roles
	if status.Pending, err = models.CountTenants(ctx, f.databases.Core, pending); err != nil {
		return status, err
	}
	status.Failed, err = models.CountTenants(ctx, f.databases.Core, models.Selection{Fleet: true, Claimed: true, Failed: true})
	return status, err
}

// HasRegistry reports whether the core database has a registry of tenants yet.
func (f *Fleet) HasRegistry(ctx context.Context) (bool, error) {
	return database.HasTable(ctx, f.databases.Core, "tenants")
}

func (f *Fleet) tally(status *Status) {
	older := f.behind(Plan{}).Versions
	for _, count := range status.Versions {
		status.Total += count.Tenants
		status.Spares += count.Spares
		switch {
		case slices.Contains(older, count.SchemaVersion):
			status.SparesPending += count.Spares
		case count.SchemaVersion != f.databases.Version:
			status.Newer += count.Tenants
		}
	}
}

// EachFailed calls do with each tenant whose last migration failed. It returns the
// errors of do and of the core database.
func (f *Fleet) EachFailed(ctx context.Context, do func(*models.Tenant) error) error {
	return models.EachTenant(ctx, f.databases.Core, models.Selection{Fleet: true, Claimed: true, Failed: true, Brief: true}, do)
}
