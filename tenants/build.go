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
// database, and closes it again. Its first content is that of copied, if it is not nil.
// The caller must hold the lock on the record's id; session is that lock.
func (d *Databases) build(ctx context.Context, session database.Session, record *models.Tenant, copied *Copied) error {
	if err := session.Create(ctx, record.DatabaseName); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	d.step(StepCreated)
	if copied != nil {
		if err := d.fill(ctx, record.DatabaseName, copied); err != nil {
			return fmt.Errorf("fill new database: %w", err)
		}
	}
	if err := d.finish(ctx, record, copied); err != nil {
		return err
	}
	if err := session.EndOwn(ctx, record.DatabaseName); err != nil {
		return err
	}
	d.step(StepBuilt)
	return nil
}

// finish migrates and stamps the database of a record, and lets the record's role use its
// tables.
func (d *Databases) finish(ctx context.Context, record *models.Tenant, copied *Copied) error {
	db, err := d.Backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return fmt.Errorf("open new database: %w", err)
	}
	err = d.migrate(ctx, db, record.Role)
	if err == nil {
		err = copied.stamp(ctx, db, record.ID)
	}
	if err := errors.Join(err, database.Close(db)); err != nil {
		return fmt.Errorf("migrate new database: %w", err)
	}
	return nil
}
