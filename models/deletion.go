package models

import (
	"context"
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
// event. With backupDue its database must not go before it was backed up. For a tenant
// that is marked already it does nothing.
func MarkDeleted(ctx context.Context, db *gorm.DB, event *Event, id string, backupDue bool) error {
	return unlessUnchanged(recorded(ctx, db, event, func(tx *gorm.DB) error {
		marked, err := gorm.G[Tenant](tx).Where("id = ? AND status IN ?", id, []TenantStatus{TenantReady, TenantSuspended}).
			Select("status", "suspended_by_owner", "backup_due").Updates(ctx, Tenant{Status: TenantDeleting, BackupDue: backupDue})
		if err == nil && marked == 0 {
			err = errUnchanged
		}
		return err
	}))
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
// belonged to, in one transaction. The slug of a tenant that was whole rests.
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
		_, err := gorm.G[Tenant](tx).Where("id = ?", id).Delete(ctx)
		return err
	})
}
