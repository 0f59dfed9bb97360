package tenants

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	// removeTimeout bounds TryRemove, so that one tenant does not delay the others.
	removeTimeout = 10 * time.Second
	// maxDatabaseNameBytes is the length to which PostgreSQL cuts a name.
	maxDatabaseNameBytes = 63
)

// TryRemove removes a tenant whose making or deletion was interrupted. It reports
// whether the tenant's lock was free; if not, another process is making or
// deleting the tenant, and TryRemove does nothing. It takes at most 10 seconds.
func (d *Databases) TryRemove(ctx context.Context, id string) (free bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	session, free, err := d.TryLock(ctx, id)
	if err != nil || !free {
		return free, err
	}
	defer session.Unlock()
	return true, d.removeLocked(ctx, session, id)
}

// remove waits for the tenant's lock and removes the tenant if it is unfinished.
func (d *Databases) remove(ctx context.Context, id string) error {
	session, err := d.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer session.Unlock()
	return d.removeLocked(ctx, session, id)
}

// removeLocked removes a tenant that is unfinished. The caller must hold the
// tenant's lock, which proves that no process is making or deleting the tenant.
func (d *Databases) removeLocked(ctx context.Context, session database.Session, id string) error {
	_, err := models.MoveTenant(ctx, d.Core, id, models.TenantUndoing, models.TenantMaking, models.TenantProvisioning)
	if err != nil {
		return err
	}
	record, err := models.FindTenant(ctx, d.Core, id)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && record.Status.IsFinished() {
		return nil
	}
	if err != nil {
		return err
	}
	if record.BackupDue {
		return ErrNotKept
	}
	d.drain(ctx, id)
	if err := session.Drop(ctx, d.PrivateName(id), d.roleName(id)); err != nil {
		return err
	}
	if err := d.dropOwn(ctx, session, &record); err != nil {
		return err
	}
	if err := d.dropReplaced(ctx, session, id, time.Time{}); err != nil {
		return err
	}
	d.step(StepDropped)
	err = d.Core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := d.dropRole(tx, id); err != nil {
			return err
		}
		return models.DeleteTenant(ctx, tx, id)
	})
	if err != nil {
		return err
	}
	if record.Status == models.TenantDeleting {
		d.deleted()
	}
	d.step(StepDeleted)
	return nil
}

// dropOwn drops the database of the tenant's name if it is the tenant's. It leaves
// another's database alone and logs that. A damaged database may have lost its
// stamp. If the tenant was once complete, the registry's word is enough to drop
// it, because otherwise it could never be deleted.
func (d *Databases) dropOwn(ctx context.Context, session database.Session, record *models.Tenant) error {
	shared, err := d.isShared(ctx, record)
	if err != nil {
		return err
	}
	if shared {
		d.Logger.ErrorContext(ctx, "database of a deleted tenant left alone: it holds another tenant's users too",
			"tenant", record.Slug, "database", record.DatabaseName)
		return nil
	}
	if err := session.LiftLimit(ctx, record.DatabaseName); err != nil { // its stamp has to be read
		return err
	}
	db, err := d.OpenOwn(ctx, record)
	switch damaged := database.IsDamaged(err); {
	case errors.Is(err, database.ErrNotExist):
		// An interrupted drop may have left the log beside a SQLite file.
	case errors.Is(err, database.ErrHalfDropped):
		// The interrupted drop had found it to be the tenant's.
	case errors.Is(err, database.ErrForeign), damaged && record.Status == models.TenantUndoing:
		d.Logger.ErrorContext(ctx, "database of a removed tenant left alone: it is not the tenant's",
			"tenant", record.Slug, "database", record.DatabaseName, "error", err)
		return nil
	case damaged:
		d.Logger.WarnContext(ctx, "database of a deleted tenant is damaged", "tenant", record.Slug, "error", err)
	case err != nil:
		return err
	default:
		if err := database.Close(db); err != nil {
			return err
		}
	}
	return session.Drop(ctx, record.DatabaseName, d.roleName(record.ID))
}

// isShared reports whether the database also holds users of other tenants. The
// Python original could do that, because it ignored that PostgreSQL cuts names to
// 63 bytes. Only one of those tenants got the database when it was taken over.
func (d *Databases) isShared(ctx context.Context, record *models.Tenant) (bool, error) {
	if len(record.DatabaseName) < maxDatabaseNameBytes {
		return false, nil
	}
	return models.OtherSlugBegins(ctx, d.Core, record.ID, strings.TrimPrefix(record.DatabaseName, d.Prefix))
}
