package tenants

import (
	"context"
	"slices"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

// FleetStatus says how far core and the fleet are migrated.
type FleetStatus struct {
	CoreVersion string // the last migration core has; empty where it has none
	CoreLatest  string // the last that this code has for core
	Latest      string // the last that this code has for tenants
	Total       int    // tenants, but those being made or removed
	Versions    []models.VersionCount
	Pending     int // tenants that are behind this code
	Newer       int // tenants that a newer version has migrated
	Failed      int // tenants that something went wrong with
}

// Status looks at the registry alone. It works on a core database of any
// schema: one without a registry has no tenants.
func (m *Manager) Status(ctx context.Context) (FleetStatus, error) {
	status := FleetStatus{CoreLatest: database.LatestID(migrations.Core(m.prefix)), Latest: m.version}
	applied, err := database.Applied(ctx, m.core)
	if err != nil {
		return status, err
	}
	if len(applied) > 0 {
		status.CoreVersion = applied[len(applied)-1]
	}
	registered, err := m.HasRegistry(ctx)
	if err != nil || !registered {
		return status, err
	}
	if status.Versions, err = models.CountVersions(ctx, m.core); err != nil {
		return status, err
	}
	m.tally(&status)
	status.Failed, err = models.CountTenants(ctx, m.core, models.Selection{Fleet: true, Failed: true})
	return status, err
}

// HasRegistry reports whether core has been migrated so far that it can have
// tenants.
func (m *Manager) HasRegistry(ctx context.Context) (bool, error) {
	return hasTable(ctx, m.core, "tenants")
}

func (m *Manager) tally(status *FleetStatus) {
	older := m.behind(FleetPlan{}).Versions
	for _, count := range status.Versions {
		status.Total += count.Tenants
		switch {
		case slices.Contains(older, count.SchemaVersion):
			status.Pending += count.Tenants
		case count.SchemaVersion != m.version:
			status.Newer += count.Tenants
		}
	}
}

// EachFailed calls do with each tenant of the fleet that something went wrong
// with.
func (m *Manager) EachFailed(ctx context.Context, do func(*models.Tenant) error) error {
	return models.EachTenant(ctx, m.core, models.Selection{Fleet: true, Failed: true, Brief: true}, do)
}
