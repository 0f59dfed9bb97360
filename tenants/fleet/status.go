package fleet

import (
	"context"
	"slices"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
	"multitenant/tenants"
)

// Status says how far the core database and the tenants are migrated.
type Status struct {
	CoreVersion string // the core's last migration; empty if it has none
	CoreLatest  string // this code's last migration of the core
	Latest      string // this code's last migration of tenants
	Total       int    // tenants, without unfinished ones
	Versions    []models.VersionCount
	Pending     int // tenants that are behind this code
	Newer       int // tenants that a newer version has migrated
	Failed      int // tenants whose last migration failed
}

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
	registered, err := f.HasRegistry(ctx)
	if err != nil || !registered {
		return status, err
	}
	if status.Versions, err = models.CountVersions(ctx, f.databases.Core); err != nil {
		return status, err
	}
	f.tally(&status)
	status.Failed, err = models.CountTenants(ctx, f.databases.Core, models.Selection{Fleet: true, Failed: true})
	return status, err
}

// HasRegistry reports whether the core database has a registry of tenants yet.
func (f *Fleet) HasRegistry(ctx context.Context) (bool, error) {
	return tenants.HasTable(ctx, f.databases.Core, "tenants")
}

func (f *Fleet) tally(status *Status) {
	older := f.behind(Plan{}).Versions
	for _, count := range status.Versions {
		status.Total += count.Tenants
		switch {
		case slices.Contains(older, count.SchemaVersion):
			status.Pending += count.Tenants
		case count.SchemaVersion != f.databases.Version:
			status.Newer += count.Tenants
		}
	}
}

// EachFailed calls do with each tenant whose last migration failed. It returns the
// errors of do and of the core database.
func (f *Fleet) EachFailed(ctx context.Context, do func(*models.Tenant) error) error {
	return models.EachTenant(ctx, f.databases.Core, models.Selection{Fleet: true, Failed: true, Brief: true}, do)
}
