package tenants

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

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
	if err := d.build(ctx, session, &record, content); err != nil {
		return err
	}
	private := record.DatabaseName
	record.SchemaVersion, record.Error = d.Version, ""
	return session.Claim(ctx, private, public, record.Role, func(tx *gorm.DB) error {
		return models.RecordSchema(ctx, tx, &record)
	})
}

// clear drops what a failed attempt has left.
func (d *Databases) clear(ctx context.Context, session database.Session, id string) error {
	return session.Drop(ctx, d.PrivateName(id), d.roleName(id))
}
