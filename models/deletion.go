package models

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// MarkDeleted marks a tenant that is ready or suspended as deleting, and records the
// event. With backupDue its database must not go before it was backed up. For a tenant
// that is marked already it does nothing.
func MarkDeleted(ctx context.Context, db *gorm.DB, event *Event, id string, backupDue bool) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		marked, err := gorm.G[Tenant](tx).Where("id = ? AND status IN ?", id, []TenantStatus{TenantReady, TenantSuspended}).
			Select("status", "suspended_by_owner", "backup_due").Updates(ctx, Tenant{Status: TenantDeleting, BackupDue: backupDue})
		if err != nil || marked == 0 {
			return err
		}
		return Record(ctx, tx, event)
	})
}

// EndBackupDue lets the database of a tenant that is being deleted go. The event, which is
// nil where there is a backup, says why there is none. For a tenant whose database may go
// already it does nothing.
func EndBackupDue(ctx context.Context, db *gorm.DB, event *Event, id string) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		ended, err := gorm.G[Tenant](tx).Where("id = ? AND backup_due = ?", id, true).
			Select("backup_due", "error").Updates(ctx, Tenant{})
		if err != nil || ended == 0 || event == nil {
			return err
		}
		return Record(ctx, tx, event)
	})
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
