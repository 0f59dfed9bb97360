package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"multitenant/database"
	"multitenant/models"
)

// LastBackups says that tenants get a last backup when they are deleted. An operation makes
// it, by KeepLast.
type LastBackups interface {
	// Try fails if no backup can be kept now.
	Try(ctx context.Context, d *Databases) error
}

// tryWait bounds how long a deletion waits for the store of backups before it begins.
const tryWait = 5 * time.Second

// withoutBackup is the detail of the event where a tenant is deleted without a backup. The
// reason follows it where the operator did not ask for that.
const withoutBackup = "without_backup"

// ErrNotKept says that a tenant stays, and is refused, until its last backup is made.
var ErrNotKept = errors.New("its last backup is not made")

// KeepsLastBackups reports whether tenants that are deleted get a last backup.
func (m *Manager) KeepsLastBackups() bool { return m.lastBackups != nil }

// TryLastBackup reports whether tenants that are deleted get a last backup. It returns
// KindBackupsUnavailable if none could be kept now.
func (m *Manager) TryLastBackup(ctx context.Context) (due bool, err error) {
	if m.lastBackups == nil {
		return false, nil
	}
	trying, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	err = m.lastBackups.Try(trying, m.databases)
	if err != nil && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "a tenant is not deleted, because no backup of it could be kept", "error", err)
		err = models.ErrBackupsUnavailable.Because(err)
	}
	return err == nil, err
}

// KeepLast has keep make the last backup of a tenant that is being deleted, if it is due.
// keep is given a tenant that has this code's schema. It returns the errors of
// database.Copier. The caller must hold the tenant's lock by the session.
func (m *Manager) KeepLast(
	ctx context.Context, session database.Session, id string, keep func(context.Context, *Databases, *models.Tenant) error,
) error {
	record, err := models.FindTenant(ctx, m.core, id)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && !record.BackupDue {
		return nil
	}
	if err != nil {
		return err
	}
	m.databases.step(StepMarked)
	select { // all servers refuse the tenant then, so the backup has all that one has acknowledged
	case <-time.After(min(time.Until(record.UpdatedAt.Add(maxAge)), maxAge)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := m.keepLocked(ctx, session, &record, keep); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	m.databases.step(StepKept)
	return nil
}

// RemoveDeleted removes a tenant that is being deleted and needs no last backup any more.
// It leaves any other tenant alone. The caller must hold the tenant's lock by the session.
func (m *Manager) RemoveDeleted(ctx context.Context, session database.Session, id string) error {
	record, err := models.FindTenant(ctx, m.core, id)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && record.Status != models.TenantDeleting {
		return nil
	}
	if err == nil {
		err = m.making.Acquire(ctx, 1)
	}
	if err != nil {
		return err
	}
	defer m.making.Release(1)
	return m.databases.removeLocked(ctx, session, id)
}

// keepLocked makes the last backup and lets the database go. A database that is missing or
// damaged has none: it may go as it is.
func (m *Manager) keepLocked(
	ctx context.Context, session database.Session, record *models.Tenant, keep func(context.Context, *Databases, *models.Tenant) error,
) error {
	m.drain(ctx, record.ID)
	err := session.LiftLimit(ctx, record.DatabaseName) // it has to be read
	if err == nil && !m.databases.isCurrent(record) {
		err = m.databases.Upgrade(ctx, record)
	}
	if err == nil {
		err = keep(ctx, m.databases, record)
	}
	if err == nil {
		return models.EndBackupDue(ctx, m.core, nil, record.ID)
	}
	if reason := lossOf(err); reason != "" {
		m.logger.WarnContext(ctx, "no last backup of a deleted tenant", "tenant", record.Slug, "error", err)
		event := models.NewOperatorEvent(models.ActionOrganizationDeleted).AboutTenant(record.Slug)
		event.Detail = withoutBackup + " " + reason
		return models.EndBackupDue(ctx, m.core, event, record.ID)
	}
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	record.Error = "last backup: " + err.Error()
	return errors.Join(err, models.RecordSchema(recording, m.core, record))
}

// lossOf says why a database can never be backed up, or returns "".
func lossOf(err error) string {
	switch {
	case errors.Is(err, database.ErrNotExist):
		return "database_missing"
	case errors.Is(err, database.ErrForeign):
		return "database_foreign"
	case database.IsDamaged(err):
		return "database_damaged"
	}
	return ""
}

// queueDue queues the operations of tenants whose last backup is due. It logs a warning
// about each that waits for its backup, once.
func (m *Manager) queueDue(ctx context.Context, unfinished []models.Tenant) {
	for i := range unfinished {
		record := &unfinished[i]
		if !record.BackupDue {
			continue
		}
		if err := models.QueueDeletion(ctx, m.core, record); err != nil && ctx.Err() == nil {
			m.logger.WarnContext(ctx, "queue the deletion of a tenant", "tenant", record.Slug, "error", err)
		}
		if record.Error != "" && !m.waiting[record.ID] {
			m.waiting[record.ID] = true
			m.logger.WarnContext(ctx, "a deleted tenant stays until its last backup is made", "tenant", record.Slug, "error", record.Error)
		}
	}
}
