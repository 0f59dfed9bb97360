package tenants

import (
	"context"
	"errors"

	"multitenant/database"
	"multitenant/models"
)

// RollbackFleet undoes, in the tenants' databases, what was migrated after the
// migration with the id to, which stays: each under the tenant's lock and in a
// transaction of its own. It goes as MigrateFleet does. Before anything is
// touched it fails where to is unknown, and with database.ErrNoWayBack where a
// migration in between cannot be undone. Core stays as it is.
//
// A tenant whose rolling back fails keeps its schema and is served on, so the
// registry says nothing of it: the next run finds it by its version.
func (m *Manager) RollbackFleet(ctx context.Context, plan FleetPlan, to string, report func(*Summary)) (Summary, error) {
	ahead, err := m.ahead(ctx, to)
	if err != nil {
		return Summary{}, err
	}
	return m.runFleet(ctx, plan, ahead, &fleetRun{
		report: report,
		to:     to,
		do: func(ctx context.Context, record *models.Tenant) error {
			return m.rollBack(ctx, record, to)
		},
	})
}

// CountAhead counts the tenants that RollbackFleet would roll back, and fails
// where it would.
func (m *Manager) CountAhead(ctx context.Context, plan FleetPlan, to string) (int, error) {
	ahead, err := m.ahead(ctx, to)
	if err == nil {
		ahead, err = m.choose(ctx, plan, ahead)
	}
	if err != nil {
		return 0, err
	}
	return models.CountTenants(ctx, m.core, ahead)
}

// ahead selects the tenants with a schema newer than that: by a migration of
// this code, or by one that it does not know, on which a run fails.
func (m *Manager) ahead(ctx context.Context, to string) (models.Selection, error) {
	later, err := database.Undoable(m.migrations, to)
	if err != nil {
		return models.Selection{}, err
	}
	older := map[string]bool{"": true}
	for _, migration := range m.migrations[:len(m.migrations)-len(later)] {
		older[migration.ID] = true
	}
	counts, err := models.CountVersions(ctx, m.core)
	if err != nil {
		return models.Selection{}, err
	}
	newer := make([]string, 0, len(counts))
	for _, count := range counts {
		if !older[count.SchemaVersion] {
			newer = append(newer, count.SchemaVersion)
		}
	}
	return models.Selection{Fleet: true, Versions: newer}, nil
}

func (m *Manager) rollBack(ctx context.Context, record *models.Tenant, to string) error {
	db, err := m.backend.OpenDatabase(ctx, record.DatabaseName, stampedWith(record.ID))
	if err != nil {
		return err
	}
	err = errors.Join(database.RollbackTo(ctx, db, m.migrations, to), database.Close(db))
	if err != nil {
		return err
	}
	record.SchemaVersion, record.Error = to, ""
	return models.RecordSchema(ctx, m.core, record)
}
