package tenants

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// Limits on work in a single tenant's database.
const (
	OpenTimeout    = 10 * time.Second // for opening it
	MigrateTimeout = 10 * time.Minute // for migrating it; no request waits that long

	recordTimeout = 2 * time.Second // for recording that a migration failed
)

// OpenOwn opens the database if it is the tenant's: if it has the tenant's stamp,
// or if it is one of the Python original's that was not taken over yet. Otherwise
// the error is database.ErrForeign. The caller must close it.
func (d *Databases) OpenOwn(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	if record.SchemaVersion != "" {
		return d.OpenStamped(ctx, record)
	}
	db, err := d.Backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return nil, err
	}
	if err := d.checkTakeOver(ctx, db, record.ID); err != nil {
		return nil, errors.Join(err, database.Close(db))
	}
	return db, nil
}

// OpenStamped opens the tenant's database with the application's own role. The
// error is database.ErrForeign if it does not have the tenant's stamp. The caller
// must close it.
func (d *Databases) OpenStamped(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	return d.Backend.OpenDatabase(ctx, record.DatabaseName, d.StampedWith(record.ID))
}

// OpenTenant opens the tenant's database with the tenant's role, as requests use
// it. The error is database.ErrForeign if it does not have the tenant's stamp.
// The caller must close it.
func (d *Databases) OpenTenant(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	return d.Backend.OpenTenant(ctx, record.DatabaseName, d.Login(record), d.StampedWith(record.ID))
}

// isCurrent reports whether the tenant has this code's schema or a newer one, and
// the role that it could have.
func (d *Databases) isCurrent(record *models.Tenant) bool {
	// The ids of migrations begin with their date.
	return record.SchemaVersion >= d.Version && !d.LacksRole(record)
}

// Upgrade migrates the tenant's database, gives it its role, and records the
// result in the registry, also if it fails. The caller must hold the tenant's
// lock.
func (d *Databases) Upgrade(ctx context.Context, record *models.Tenant) error {
	before := *record
	if err := d.migrateTenant(ctx, record); err != nil {
		recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer cancel()
		before.Error = err.Error()
		return errors.Join(err, models.RecordSchema(recording, d.Core, &before))
	}
	record.SchemaVersion, record.Error = max(record.SchemaVersion, d.Version), ""
	return models.RecordSchema(ctx, d.Core, record)
}

// UpgradeIfBehind gives a tenant this code's schema, as a request to it would do. The caller
// must hold the tenant's lock.
func (d *Databases) UpgradeIfBehind(ctx context.Context, id string) error {
	record, err := models.FindTenant(ctx, d.Core, id)
	if err != nil || !record.Status.IsFinished() || record.SchemaVersion >= d.Version {
		return err
	}
	return d.Upgrade(ctx, &record)
}

// migrateTenant migrates the tenant's database to this code's schema. A database
// without any of our migrations was left by the Python original and is taken over.
func (d *Databases) migrateTenant(ctx context.Context, record *models.Tenant) error {
	takingOver := record.SchemaVersion == ""
	db, err := d.OpenOwn(ctx, record)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close(db) }() // all that was written is committed
	if d.LacksRole(record) {
		if err := d.GiveRole(ctx, record); err != nil {
			return err
		}
	}
	if err := d.migrate(ctx, db, record.Role); err != nil || !takingOver {
		return err
	}
	return d.takeOver(ctx, db, record)
}

// migrate migrates a database to this code's schema. In the same transaction it
// lets role use the tables; an empty role is left out.
func (d *Databases) migrate(ctx context.Context, db *gorm.DB, role string) error {
	return database.Migrate(ctx, db, d.Migrations, func(tx *gorm.DB) error {
		if role == "" {
			return nil
		}
		return d.GrantTables(tx, role)
	})
}
