package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// newRecord describes a database that is to be made and that no tenant has
// claimed.
func (d *Databases) newRecord() *models.Tenant { return d.recordOf(uuid.NewString()) }

// recordOf is newRecord with that id.
func (d *Databases) recordOf(id string) *models.Tenant {
	record := &models.Tenant{
		ID: id, Status: models.TenantMaking, SchemaVersion: d.Version, Registration: models.RegistrationOpen,
	}
	record.DatabaseName = d.PrivateName(record.ID)
	if d.CanCreateRoles() {
		record.Role = d.roleName(record.ID)
	}
	return record
}

// registerTimeout bounds the registration of a new database, which may wait for others.
const registerTimeout = 5 * time.Second

// register writes the record of a new database by create, and creates its role. The
// caller must hold the lock on the record's id.
func (d *Databases) register(
	ctx context.Context, record *models.Tenant, create func(ctx context.Context, tx *gorm.DB) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	err := d.Core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := create(ctx, tx); err != nil || record.Role == "" {
			return err
		}
		return d.Roles.Create(tx, d.Login(record))
	})
	if err != nil {
		return fmt.Errorf("register new database: %w", err)
	}
	d.step(StepReserved)
	return nil
}

// build makes the database of a registered record: it creates, migrates and stamps the
// database, and returns it open. Its first content is that of copied, if it is not nil.
// The caller must hold the lock on the record's id; session is that lock.
func (d *Databases) build(
	ctx context.Context, session database.Session, record *models.Tenant, copied *Copied,
) (*gorm.DB, error) {
	if err := session.Create(ctx, record.DatabaseName); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	d.step(StepCreated)
	if copied != nil {
		if err := d.fill(ctx, record.DatabaseName, copied); err != nil {
			return nil, fmt.Errorf("fill new database: %w", err)
		}
	}
	db, err := d.finish(ctx, record, copied)
	if err == nil {
		d.step(StepBuilt)
	}
	return db, err
}

// finish migrates and stamps the database of a record, lets the record's role use its
// tables, and returns it open.
func (d *Databases) finish(ctx context.Context, record *models.Tenant, copied *Copied) (*gorm.DB, error) {
	db, err := d.Backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return nil, fmt.Errorf("open new database: %w", err)
	}
	err = d.migrate(ctx, db, record.Role)
	if err == nil {
		err = copied.stamp(ctx, db, record.ID)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrate new database: %w", err), database.Close(db))
	}
	return db, nil
}

// closeOpened closes a database that was opened without an error.
func closeOpened(db *gorm.DB, err error) error {
	if err != nil {
		return err
	}
	return database.Close(db)
}

// BringBack makes the database of a tenant that the registry has and the server has not,
// of the copy that find returns, and its role. It reports whether it did: a tenant with a
// database is left alone, and so is one that is being deleted. From then on requests are
// admitted, unless the tenant is suspended. The database is made under its private name,
// so that one of the tenant's name is whole. What went wrong is recorded as the tenant's
// error. The errors: database.ErrForeign, those of find and of Load.
func (d *Databases) BringBack(
	ctx context.Context, id string, find func(record *models.Tenant) (*Copied, error),
) (made bool, err error) {
	session, err := d.Backend.Lock(ctx, LockKey(id))
	if err != nil {
		return false, err
	}
	defer session.Unlock()
	record, err := models.FindTenant(ctx, d.Core, id)
	if err != nil || !record.Status.IsFinished() {
		return false, err
	}
	db, err := d.OpenOwn(ctx, &record)
	if err == nil {
		return false, database.Close(db)
	}
	if errors.Is(err, database.ErrNotExist) {
		err = d.bringBack(ctx, session, record, find)
	}
	if err != nil && ctx.Err() == nil {
		record.Error = err.Error()
		err = errors.Join(err, d.clear(ctx, session, id), models.RecordSchema(ctx, d.Core, &record))
	}
	return err == nil, err
}

func (d *Databases) bringBack(
	ctx context.Context, session database.Session, record models.Tenant, find func(record *models.Tenant) (*Copied, error),
) error {
	content, err := find(&record)
	if err != nil {
		return err
	}
	public := record.DatabaseName
	record.DatabaseName, record.Role = d.PrivateName(record.ID), ""
	if d.CanCreateRoles() {
		record.Role = d.roleName(record.ID)
	}
	if err := d.clear(ctx, session, record.ID); err != nil { // an attempt may have been killed
		return err
	}
	if record.Role != "" {
		err := d.Core.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return d.Roles.Create(tx, d.Login(&record)) })
		if err != nil {
			return fmt.Errorf("create role: %w", err)
		}
	}
	private := record.DatabaseName
	db, err := d.build(ctx, session, &record, content)
	if err == nil {
		err = session.Leave(ctx, private, db)
	}
	if err != nil {
		return err
	}
	record.SchemaVersion, record.Error = d.Version, ""
	return session.Claim(ctx, private, public, record.Role, func(tx *gorm.DB) error {
		return models.RecordSchema(ctx, tx, &record)
	})
}

// clear drops what a failed attempt has left.
func (d *Databases) clear(ctx context.Context, session database.Session, id string) error {
	return session.Drop(ctx, d.PrivateName(id), d.roleName(id))
}
