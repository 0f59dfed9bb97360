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

// drainWait bounds how long a deletion waits for the requests that are inside
// the tenant; after that their connections are cut.
const drainWait = 2 * time.Second

// maxDatabaseNameBytes is where PostgreSQL cuts a name.
const maxDatabaseNameBytes = 63

// SetSuspended suspends a tenant or resumes it, together with what also does
// in core, in one transaction. From then on everybody is refused here, and
// within maxAge in other processes. KindTenantNotFound when the tenant is
// neither ready nor suspended.
func (m *Manager) SetSuspended(
	ctx context.Context, id string, suspended bool, also func(ctx context.Context, tx *gorm.DB) error,
) error {
	status := models.TenantReady
	if suspended {
		status = models.TenantSuspended
	}
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		moved, err := models.MoveTenant(ctx, tx, id, status, models.TenantReady, models.TenantSuspended)
		if err != nil {
			return err
		}
		if !moved {
			return models.ErrTenantNotFound
		}
		return also(ctx, tx)
	})
	if err != nil {
		return err
	}
	m.handles.changed(id, status)
	return nil
}

// Delete removes a tenant for good: its database, its row of the registry, and
// the organization it belonged to. It is refused to everybody at once, in the
// transaction in which also writes core's rows: once, however often and by however
// many it is deleted. Where the deletion is interrupted, calling again or the
// reconciler finishes it.
func (m *Manager) Delete(ctx context.Context, id string, also func(ctx context.Context, tx *gorm.DB) error) error {
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		moved, err := models.MoveTenant(ctx, tx, id, models.TenantDeleting, models.TenantReady, models.TenantSuspended)
		if err != nil || !moved {
			return err
		}
		return also(ctx, tx)
	})
	if err != nil {
		return err
	}
	m.handles.changed(id, models.TenantDeleting)
	m.step(StepMarked)
	if err := m.remove(ctx, id); err != nil {
		m.reconcileSoon()
		return err
	}
	return nil
}

// remove waits for its turn and removes what is marked.
func (m *Manager) remove(ctx context.Context, id string) error {
	if err := takeTurn(ctx, m.making); err != nil {
		return err
	}
	defer m.making.Release(1)
	if err := m.settle(ctx, id); err != nil {
		return models.ErrTenantUnavailable.Because(err)
	}
	return nil
}

// settle takes the tenant's lock and removes it if it is unsettled.
func (m *Manager) settle(ctx context.Context, id string) error {
	session, err := m.lock(ctx, id)
	if err != nil {
		return err
	}
	defer session.Unlock()
	return m.settleLocked(ctx, session, id)
}

// settleLocked removes a tenant that its maker or deleter has left unsettled.
// The tenant's lock is held, so they are gone; the row is read again under it.
func (m *Manager) settleLocked(ctx context.Context, session database.Session, id string) error {
	_, err := models.MoveTenant(ctx, m.core, id, models.TenantUndoing, models.TenantMaking, models.TenantProvisioning)
	if err != nil {
		return err
	}
	record, err := models.FindTenant(ctx, m.core, id)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && record.Status.IsSettled() {
		return nil
	}
	if err != nil {
		return err
	}
	m.drain(ctx, id)
	if err := session.Drop(ctx, m.privateName(id), m.roleName(id)); err != nil {
		return err
	}
	if err := m.dropOwn(ctx, session, &record); err != nil {
		return err
	}
	m.step(StepDropped)
	err = m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := m.dropRole(tx, id); err != nil {
			return err
		}
		return models.DeleteTenant(ctx, tx, id)
	})
	if err != nil {
		return err
	}
	if record.Status == models.TenantDeleting {
		m.counts.deleted.Add(1)
	}
	m.step(StepDeleted)
	return nil
}

// drain lends the tenant's database no more and gives those who use it a
// moment to finish.
func (m *Manager) drain(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	select {
	case <-m.handles.retire(id):
	case <-ctx.Done():
	}
}

// dropOwn drops the database that bears the tenant's name if it is the
// tenant's; another's is left alone, and reported. A damaged one can bear no
// stamp: of a tenant that was whole the registry's word must do, or nobody could
// ever be rid of it.
func (m *Manager) dropOwn(ctx context.Context, session database.Session, record *models.Tenant) error {
	shared, err := m.isShared(ctx, record)
	if err != nil {
		return err
	}
	if shared {
		m.logger.ErrorContext(ctx, "database of a deleted tenant left alone: it holds another's people too",
			"tenant", record.Slug, "database", record.DatabaseName)
		return nil
	}
	db, err := m.openOwn(ctx, record)
	switch damaged := database.IsDamaged(err); {
	case errors.Is(err, database.ErrNotExist):
		// An interrupted drop may have left the log that lay beside a file.
	case errors.Is(err, database.ErrHalfDropped):
		// It was found to be the tenant's when that was begun.
	case errors.Is(err, database.ErrForeign), damaged && record.Status == models.TenantUndoing:
		m.logger.ErrorContext(ctx, "database of a removed tenant left alone: it is not the tenant's",
			"tenant", record.Slug, "database", record.DatabaseName, "error", err)
		return nil
	case damaged:
		m.logger.WarnContext(ctx, "database of a deleted tenant is damaged", "tenant", record.Slug, "error", err)
	case err != nil:
		return err
	default:
		if err := database.Close(db); err != nil {
			return err
		}
	}
	return session.Drop(ctx, record.DatabaseName, m.roleName(record.ID))
}

// isShared reports whether the Python original kept the people of other tenants
// in this one's database too: it took no notice of PostgreSQL cutting names to
// 63 bytes. Only one of them got the database when it was taken over.
func (m *Manager) isShared(ctx context.Context, record *models.Tenant) (bool, error) {
	if len(record.DatabaseName) < maxDatabaseNameBytes {
		return false, nil
	}
	return models.OtherSlugBegins(ctx, m.core, record.ID, strings.TrimPrefix(record.DatabaseName, m.prefix))
}
