package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// errUnchanged undoes a transaction that has changed nothing, so that nothing is recorded.
var errUnchanged = errors.New("nothing has changed")

func unlessUnchanged(err error) error {
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// MarkDeleted marks a tenant that is ready or suspended as deleting, and records the
// event. With backupDue its database must not go before it was backed up, and an operation
// that does both is queued. For a tenant that is marked already it does nothing. It fails
// if a constraint that is not ours keeps the tenant's rows in core.
func MarkDeleted(ctx context.Context, db *gorm.DB, event *Event, id string, backupDue bool) error {
	return unlessUnchanged(recorded(ctx, db, event, func(tx *gorm.DB) error {
		before, err := gorm.G[Tenant](tx, forUpdate()).
			Where("id = ? AND status IN ?", id, []TenantStatus{TenantReady, TenantSuspended}).Take(ctx)
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return errUnchanged
		}
		if err != nil {
			return err
		}
		_, err = gorm.G[Tenant](tx).Where("id = ?", id).
			Select("status", "suspended_by_owner", "backup_due").Updates(ctx, Tenant{Status: TenantDeleting, BackupDue: backupDue})
		if err == nil {
			err = tryDelete(ctx, tx, id)
		}
		if err != nil || !backupDue {
			return err
		}
		return queueDeletion(ctx, tx, event, &before)
	}))
}

// tryDelete removes the rows of a tenant that is being deleted, and puts them back. So a
// foreign key of an administrator that refers to them is found before the database goes.
func tryDelete(ctx context.Context, tx *gorm.DB, id string) error {
	const trial = "try_delete"
	if err := tx.SavePoint(trial).Error; err != nil {
		return err
	}
	var err error
	if tx.Name() == "postgres" {
		err = tx.Exec("SET CONSTRAINTS ALL IMMEDIATE").Error // the savepoint undoes it
	}
	if err == nil {
		err = DeleteTenant(ctx, tx, id)
	}
	return errors.Join(err, tx.RollbackTo(trial).Error)
}

// DeletionArguments describe a tenant before it is marked as deleting.
type DeletionArguments struct {
	Slug             Slug         `json:"slug"`
	Status           TenantStatus `json:"status"` // ready or suspended
	SuspendedByOwner bool         `json:"suspended_by_owner"`
}

// queueDeletion queues the operation that backs a tenant up and removes it. It can only go
// forward: the tenant is refused already. before is the tenant before it was marked.
func queueDeletion(ctx context.Context, tx *gorm.DB, event *Event, before *Tenant) error {
	arguments, err := json.Marshal(DeletionArguments{
		Slug: before.Slug, Status: before.Status, SuspendedByOwner: before.SuspendedByOwner,
	})
	if err != nil {
		return err
	}
	op := Operation{Kind: OperationDelete, TenantID: before.ID, IsCommitted: true, Arguments: string(arguments)}
	return insertOperation(ctx, tx, event, &op)
}

// FindDeletion returns the operation that deletes a tenant, or KindOperationNotFound.
func FindDeletion(ctx context.Context, db *gorm.DB, tenantID string) (Operation, error) {
	op, err := gorm.G[Operation](db).
		Where("tenant_id = ? AND kind = ? AND ended_at IS NULL", tenantID, OperationDelete).Take(ctx)
	return op, lookup(err, ErrOperationNotFound)
}

// QueueDeletion queues the operation that deletes a tenant whose last backup is due, unless
// there is one: an earlier release queued none. Its owner may see it.
func QueueDeletion(ctx context.Context, db *gorm.DB, tenant *Tenant) error {
	_, err := FindDeletion(ctx, db, tenant.ID)
	if !IsKind(err, KindOperationNotFound) {
		return err
	}
	event := NewOperatorEvent(ActionOrganizationDeleted).AboutTenant(tenant.Slug)
	before := *tenant
	before.Status = TenantReady
	org, err := FindOrganizationOf(ctx, db, tenant.ID)
	switch {
	case err == nil:
		event.AboutOrganization(&org)
		if !org.IsActive {
			before.Status = TenantSuspended
		}
	case !IsKind(err, KindOrganizationNotFound):
		return err
	}
	err = queueDeletion(ctx, db, event, &before)
	if IsKind(err, KindOperationRunning) {
		return nil // another process has been faster
	}
	return err
}

// EndBackupDue lets the database of a tenant that is being deleted go. The event, which is
// nil where there is a backup, says why there is none. For a tenant whose database may go
// already it does nothing.
func EndBackupDue(ctx context.Context, db *gorm.DB, event *Event, id string) error {
	end := func(tx *gorm.DB) error {
		ended, err := gorm.G[Tenant](tx).Where("id = ? AND backup_due = ?", id, true).
			Select("backup_due", "error").Updates(ctx, Tenant{})
		if err == nil && ended == 0 {
			err = errUnchanged
		}
		return err
	}
	if event == nil {
		return unlessUnchanged(end(db))
	}
	return unlessUnchanged(recorded(ctx, db, event, end))
}

// DeleteTenant removes the tenant from the registry, with the organization it
// belonged to, and ends the operation that deletes it, in one transaction. The slug of a
// tenant that was whole rests.
func DeleteTenant(ctx context.Context, db *gorm.DB, id string) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := rest(ctx, tx, id); err != nil {
			return fmt.Errorf("let the slug rest: %w", err)
		}
		if _, err := gorm.G[SlugAlias](tx).Where("tenant_id = ?", id).Delete(ctx); err != nil {
			return fmt.Errorf("delete aliases: %w", err)
		}
		if _, err := gorm.G[ReplacedDatabase](tx).Where("tenant_id = ?", id).Delete(ctx); err != nil {
			return fmt.Errorf("forget replaced databases: %w", err)
		}
		if _, err := gorm.G[Organization](tx).Where("tenant_id = ?", id).Delete(ctx); err != nil {
			return fmt.Errorf("delete organization: %w", err)
		}
		if err := endDeletion(ctx, tx, id); err != nil {
			return fmt.Errorf("end the operation: %w", err)
		}
		_, err := gorm.G[Tenant](tx).Where("id = ?", id).Delete(ctx)
		return err
	})
}

func endDeletion(ctx context.Context, tx *gorm.DB, tenantID string) error {
	now := tx.NowFunc()
	_, err := gorm.G[Operation](tx).Where("tenant_id = ? AND kind = ? AND ended_at IS NULL", tenantID, OperationDelete).
		Select("status", "error", "error_code", "ended_at", "updated_at").
		Updates(ctx, Operation{Status: OperationDone, EndedAt: &now})
	return err
}
