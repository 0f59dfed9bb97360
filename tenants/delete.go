package tenants

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"multitenant/models"
)

// drainWait bounds how long a deletion waits for requests that use the tenant;
// then their connections are cut.
const drainWait = 2 * time.Second

const (
	// finishWait is how long a request waits for the end of a deletion.
	finishWait = 8 * time.Second
	// awaitEvery is how often it looks whether the operation has ended that deletes it.
	awaitEvery = 100 * time.Millisecond
)

// Change calls change in one transaction on core, for a change that requests to the tenant
// must notice. This process obeys at once, other processes within maxAge.
func (m *Manager) Change(ctx context.Context, id string, change func(ctx context.Context, tx *gorm.DB) error) error {
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return change(ctx, tx) })
	if err == nil {
		m.handles.changed(id)
	}
	return err
}

// SetSuspended suspends or resumes a tenant and calls also, by Change. It returns
// KindTenantNotFound if the tenant is neither ready nor suspended, and the errors
// of also.
func (m *Manager) SetSuspended(
	ctx context.Context, id string, suspended bool, also func(ctx context.Context, tx *gorm.DB) error,
) error {
	status := models.TenantReady
	if suspended {
		status = models.TenantSuspended
	}
	return m.Change(ctx, id, func(ctx context.Context, tx *gorm.DB) error {
		moved, err := models.MoveTenant(ctx, tx, id, status, models.TenantReady, models.TenantSuspended)
		if err != nil {
			return err
		}
		if !moved {
			return models.ErrTenantNotFound
		}
		return also(ctx, tx)
	})
}

// ChangeByOwner changes a tenant's row on behalf of an owner inside, and records the
// event. Marking the tenant as deleting refuses all requests; FinishInTime must follow
// once its database is returned. This process obeys at once, other processes within
// maxAge. It returns the errors of models.ChangeTenant.
func (m *Manager) ChangeByOwner(
	ctx context.Context, event *models.Event, id string, change func(tenant *models.Tenant),
) (models.Tenant, error) {
	tenant, err := models.ChangeTenant(ctx, m.core, event, id, change)
	if err == nil {
		m.handles.changed(id)
	}
	return tenant, err
}

// MarkDeleted marks a tenant as deleting, which refuses all requests at once, and records
// the event. Where tenants get a last backup, an operation makes it and removes the tenant;
// its id is returned. Otherwise the id is empty, and FinishDeletion or FinishInTime must
// follow. A repeated deletion records nothing; it finishes one that was interrupted, as
// the background does. It returns the errors of TryLastBackup, and changes nothing then.
func (m *Manager) MarkDeleted(ctx context.Context, id string, event *models.Event) (operation string, err error) {
	due, err := m.TryLastBackup(ctx)
	if err != nil {
		return "", err
	}
	if err := m.markDeleted(ctx, id, event, due); err != nil {
		return "", err
	}
	return m.FindDeletion(ctx, id)
}

// MarkDeletedWithoutBackup is MarkDeleted for a tenant that gets no last backup, also if
// one was due. The event says so.
func (m *Manager) MarkDeletedWithoutBackup(ctx context.Context, id string, event *models.Event) error {
	event.Detail = withoutBackup
	if err := m.markDeleted(ctx, id, event, false); err != nil {
		return err
	}
	return models.EndBackupDue(ctx, m.core, event, id)
}

func (m *Manager) markDeleted(ctx context.Context, id string, event *models.Event, due bool) error {
	err := models.MarkDeleted(ctx, m.core, event, id, due)
	if err == nil {
		m.handles.changed(id)
	}
	return err
}

// FindDeletion returns the id of the operation that deletes the tenant, or "" if there is
// none, as where tenants get no last backup.
func (m *Manager) FindDeletion(ctx context.Context, id string) (operation string, err error) {
	op, err := models.FindDeletion(ctx, m.core, id)
	if models.IsKind(err, models.KindOperationNotFound) {
		return "", nil
	}
	return op.ID, err
}

// FinishDeletion removes a tenant that is marked for deletion for good: its database, its
// row of the registry and its organization. It returns ErrNotKept where the last backup is
// due, which an operation makes, KindBusy and KindTenantUnavailable; the background then
// goes on.
func (m *Manager) FinishDeletion(ctx context.Context, id string) error {
	m.databases.step(StepMarked)
	err := m.remove(ctx, id)
	if err != nil && !errors.Is(err, ErrNotKept) {
		m.reconcileSoon()
	}
	return err
}

// FinishInTime finishes a deletion for a request, or waits for the operation that does, if
// there is one. It reports whether the tenant is gone; if not, its deletion goes on in the
// background. It returns KindBusy and KindTenantUnavailable.
func (m *Manager) FinishInTime(ctx context.Context, id, operation string) (gone bool, err error) {
	if operation != "" {
		return m.awaitDeletion(ctx, operation)
	}
	finishing, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the request may be cut off
	ended := make(chan error, 1)
	m.background.Go(func() {
		defer cancel()
		ended <- m.FinishDeletion(finishing, id)
	})
	m.background.Go(func() {
		select {
		case <-m.closing:
			cancel()
		case <-finishing.Done():
		}
	})
	select {
	case err := <-ended:
		if errors.Is(err, ErrNotKept) {
			return false, nil
		}
		return err == nil, err
	case <-time.After(finishWait):
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// awaitDeletion waits until an operation has ended, and reports whether it has.
func (m *Manager) awaitDeletion(ctx context.Context, id string) (ended bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, finishWait)
	defer cancel()
	ticker := time.NewTicker(awaitEvery)
	defer ticker.Stop()
	for {
		op, err := models.FindOperation(waiting, m.core, id)
		if err == nil && op.EndedAt != nil {
			return true, nil
		}
		if waiting.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			return false, m.ClassifyCore(err)
		}
		select {
		case <-ticker.C:
		case <-waiting.Done():
		}
	}
}

// remove waits for its turn and removes a tenant that is marked for deletion.
func (m *Manager) remove(ctx context.Context, id string) error {
	if err := takeTurn(ctx, m.longLocks); err != nil {
		return err
	}
	defer m.longLocks.Release(1)
	if err := takeTurn(ctx, m.making); err != nil {
		return err
	}
	defer m.making.Release(1)
	err := m.databases.remove(ctx, id)
	if err != nil && !errors.Is(err, ErrNotKept) {
		err = models.ErrTenantUnavailable.Because(err)
	}
	return err
}

// drain stops lending the tenant's database and waits for at most drainWait until
// the requests that use it have ended.
func (m *Manager) drain(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	select {
	case <-m.handles.retire(id):
	case <-ctx.Done():
	}
}
