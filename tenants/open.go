package tenants

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	openTimeout    = 10 * time.Second
	migrateTimeout = 10 * time.Minute // no request waits that long: migrating is detached from it
)

// prepare brings the schema of the tenant's database up to this code's; its
// error is KindTenantUnavailable.
func (m *Manager) prepare(ctx context.Context, record *models.Tenant) error {
	// The ids of migrations begin with their date.
	if record.SchemaVersion >= m.version && !m.lacksRole(record) {
		return nil
	}
	if err := m.migrateIfBehind(ctx, record); err != nil {
		m.logger.ErrorContext(ctx, "migrate tenant", "tenant", record.Slug, "error", err)
		return models.ErrTenantUnavailable.Because(err)
	}
	return nil
}

// open opens the database of a registered tenant. One that has gone missing, or
// bears the stamp of another, is KindTenantUnavailable; it is never made anew.
// KindBusy says that no connection was free.
func (m *Manager) open(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	db, err := m.backend.OpenTenant(ctx, record.DatabaseName, m.login(record), stampedWith(record.ID))
	if IsBusy(err) {
		return nil, models.ErrBusy.Because(err)
	}
	if err != nil {
		m.logger.ErrorContext(ctx, "open tenant", "tenant", record.Slug, "error", err)
		return nil, models.ErrTenantUnavailable.Because(err)
	}
	return db, nil
}

// migrateIfBehind migrates the tenant's database under the tenant's lock, and gives it
// its role, unless another process has done so meanwhile.
func (m *Manager) migrateIfBehind(ctx context.Context, found *models.Tenant) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if err := m.migrating.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.migrating.Release(1)
	session, err := m.backend.Lock(ctx, lockKey(found.ID))
	if err != nil {
		return err
	}
	defer session.Unlock()

	record, err := models.FindTenant(ctx, m.core, found.ID)
	if err != nil || record.SchemaVersion >= m.version && !m.lacksRole(&record) {
		return err
	}
	return m.upgrade(ctx, &record)
}

// upgrade migrates the tenant's database, gives it its role, and keeps in the
// registry how that ended. The tenant's lock is held.
func (m *Manager) upgrade(ctx context.Context, record *models.Tenant) error {
	before := *record
	if err := m.migrateTenant(ctx, record); err != nil {
		m.counts.migrationFailed.Add(1)
		noted, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		before.Error = err.Error()
		return errors.Join(err, models.RecordSchema(noted, m.core, &before))
	}
	m.counts.migrated.Add(1)
	record.SchemaVersion, record.Error = max(record.SchemaVersion, m.version), ""
	return models.RecordSchema(ctx, m.core, record)
}

// migrateTenant brings the database to this code's schema. One that has none
// of ours yet was left by the Python original, and is taken over.
func (m *Manager) migrateTenant(ctx context.Context, record *models.Tenant) error {
	takingOver := record.SchemaVersion == ""
	db, err := m.openOwn(ctx, record)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close(db) }() // all that was written is committed
	if m.lacksRole(record) {
		if err := m.giveRole(ctx, record); err != nil {
			return err
		}
	}
	if err := m.migrate(ctx, db, record.Role); err != nil || !takingOver {
		return err
	}
	return m.takeOver(ctx, db, record)
}

// openOwn opens the database if it is the tenant's: if it bears its stamp, or
// is one of the Python original's that was not taken over yet.
func (m *Manager) openOwn(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	if record.SchemaVersion != "" {
		return m.backend.OpenDatabase(ctx, record.DatabaseName, stampedWith(record.ID))
	}
	db, err := m.backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return nil, err
	}
	if err := m.checkTakeOver(ctx, db, record.ID); err != nil {
		return nil, errors.Join(err, database.Close(db))
	}
	return db, nil
}
