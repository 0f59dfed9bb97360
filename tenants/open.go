package tenants

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// prepare migrates the tenant's database if it is behind, and returns its row as it is
// then. It returns an error of KindTenantUnavailable.
func (m *Manager) prepare(ctx context.Context, record *models.Tenant) (*models.Tenant, error) {
	if m.databases.isCurrent(record) {
		return record, nil
	}
	current, err := m.migrateIfBehind(ctx, record)
	if err != nil {
		m.logger.ErrorContext(ctx, "migrate tenant", "tenant", record.Slug, "error", err)
		return nil, models.ErrTenantUnavailable.Because(err)
	}
	return current, nil
}

// open opens the database of a registered tenant and never makes one. It returns
// KindTenantUnavailable if the database is missing, has another tenant's stamp or was
// replaced, and KindBusy if no connection was free.
func (m *Manager) open(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, OpenTimeout)
	defer cancel()
	db, err := m.databases.OpenTenant(ctx, record)
	if errors.Is(err, database.ErrReplaced) {
		if err = m.reopen(ctx, record.ID); err == nil {
			db, err = m.databases.OpenTenant(ctx, record)
		}
	}
	if IsBusy(err) {
		return nil, models.ErrBusy.Because(err)
	}
	if err != nil {
		m.logger.ErrorContext(ctx, "open tenant", "tenant", record.Slug, "error", err)
		return nil, models.ErrTenantUnavailable.Because(err)
	}
	return db, nil
}

// migrateIfBehind takes the tenant's lock, migrates its database and gives it its
// role, unless another process has already done so. It returns the row as it is then.
func (m *Manager) migrateIfBehind(ctx context.Context, found *models.Tenant) (*models.Tenant, error) {
	ctx, cancel := context.WithTimeout(ctx, MigrateTimeout)
	defer cancel()
	if err := m.migrating.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer m.migrating.Release(1)
	if err := m.longLocks.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer m.longLocks.Release(1)
	session, err := m.databases.Lock(ctx, found.ID)
	if err != nil {
		return nil, err
	}
	defer session.Unlock()

	record, err := models.FindTenant(ctx, m.core, found.ID)
	if err != nil || m.databases.isCurrent(&record) {
		return &record, err
	}
	if err := m.databases.Upgrade(ctx, &record); err != nil {
		m.counts.migrationFailed.Add(1)
		return nil, err
	}
	m.counts.migrated.Add(1)
	return &record, nil
}
