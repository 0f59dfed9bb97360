package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"multitenant/database"
	"multitenant/models"
)

// LastBackups makes the last backups of tenants that are deleted.
type LastBackups interface {
	// Try fails if no backup can be kept now.
	Try(ctx context.Context, d *Databases) error
	// Keep backs up a tenant that is being deleted and has this code's schema. The caller
	// must hold the tenant's lock. It returns the errors of database.Copier.
	Keep(ctx context.Context, d *Databases, record *models.Tenant) error
}

const (
	// tryWait bounds how long a deletion waits for the store of backups before it begins.
	tryWait = 5 * time.Second
	// dueEvery is how often it is looked for tenants whose last backup is due.
	dueEvery = 30 * time.Second
	// minPause and maxPause bound the pause after a last backup that failed. It doubles
	// each time.
	minPause = time.Second
	maxPause = 10 * time.Minute
)

// withoutBackup is the detail of the event where a tenant is deleted without a backup. The
// reason follows it where the operator did not ask for that.
const withoutBackup = "without_backup"

// ErrNotKept says that a tenant stays, and is refused, until its last backup is made.
var ErrNotKept = errors.New("its last backup is not made")

var errNoStore = errors.New("this process has no place for backups: set BACKUP_URL")

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

// keepLast makes the last backup of a tenant, if it is due. It returns ErrNotKept with the
// cause.
func (m *Manager) keepLast(ctx context.Context, id string) error {
	record, err := models.FindTenant(ctx, m.core, id)
	switch {
	case models.IsKind(err, models.KindTenantNotFound), err == nil && !record.BackupDue:
		return nil
	case err == nil && m.lastBackups == nil:
		err = errNoStore
	case err == nil:
		err = m.keepInTurn(ctx, &record)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	m.databases.step(StepKept)
	return nil
}

// keepInTurn waits until all servers refuse the tenant, for its turn, and for the tenant's
// lock. So the backup has all that a server has acknowledged.
func (m *Manager) keepInTurn(ctx context.Context, record *models.Tenant) error {
	select {
	case <-time.After(min(time.Until(record.UpdatedAt.Add(maxAge)), maxAge)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := m.keeping.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.keeping.Release(1)
	release, err := m.HoldLong(ctx)
	if err != nil {
		return err
	}
	defer release()
	session, err := m.databases.Lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	current, err := models.FindTenant(ctx, m.core, record.ID)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && !current.BackupDue {
		return nil // another process has been faster
	}
	if err != nil {
		return err
	}
	return m.keepLocked(ctx, session, &current)
}

// keepLocked makes the last backup and lets the database go. A database that is missing or
// damaged has none: it may go as it is.
func (m *Manager) keepLocked(ctx context.Context, session database.Session, record *models.Tenant) error {
	m.drain(ctx, record.ID)
	err := session.LiftLimit(ctx, record.DatabaseName) // it has to be read
	if err == nil && !m.databases.isCurrent(record) {
		err = m.databases.Upgrade(ctx, record)
	}
	if err == nil {
		err = m.lastBackups.Keep(ctx, m.databases, record)
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

// keepLastBackups makes the last backups that are due and removes their tenants, at once,
// at each tick, and whenever it is asked to, until ctx ends.
func (m *Manager) keepLastBackups(ctx context.Context) {
	waiting := map[string]pause{}
	for ctx.Err() == nil {
		next := m.finishDue(ctx, waiting)
		select {
		case <-ctx.Done():
		case <-m.due:
		case <-time.After(next):
		}
	}
}

// pause is the time in which a tenant whose last backup failed is left alone.
type pause struct {
	length time.Duration
	end    time.Time
}

// finishDue finishes the deletions whose last backup is due, and returns when it is to be
// called again.
func (m *Manager) finishDue(ctx context.Context, waiting map[string]pause) (next time.Duration) {
	unfinished, err := m.listUnfinished(ctx)
	if err != nil {
		return tryAgainAfter // the reconciler logs it
	}
	next = dueEvery
	for i := range unfinished {
		record := &unfinished[i]
		if !record.BackupDue {
			continue
		}
		if time.Now().After(waiting[record.ID].end) {
			m.finishOne(ctx, record, waiting)
		}
		if last, ok := waiting[record.ID]; ok {
			next = min(next, max(time.Until(last.end), 0))
		}
	}
	return next
}

// finishOne finishes a deletion. If that fails, it lengthens the pause.
func (m *Manager) finishOne(ctx context.Context, record *models.Tenant, waiting map[string]pause) {
	err := m.keepLast(ctx, record.ID)
	if err == nil {
		delete(waiting, record.ID)
		_ = m.reconcileOne(ctx, record) // it is logged, and the reconciler tries again
		return
	}
	last, isKnown := waiting[record.ID]
	if !isKnown && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "a deleted tenant stays until its last backup is made", "tenant", record.Slug, "error", err)
	}
	length := min(max(2*last.length, minPause), maxPause)
	waiting[record.ID] = pause{length: length, end: time.Now().Add(length)}
}
