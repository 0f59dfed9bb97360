package models

import (
	"context"

	"gorm.io/gorm"
)

// SpareForm is what a spare must have to be claimed. Any other spare is old.
type SpareForm struct {
	SchemaVersion string // or a newer one
	HasRole       bool
}

// CountSpares counts the spare databases that have that form, with those that are being
// made.
func CountSpares(ctx context.Context, db *gorm.DB, form SpareForm) (int64, error) {
	return form.spares(db, TenantMaking, TenantSpare).Count(ctx, "id")
}

// ReserveSpare registers a database that is to become a spare of that form, unless there
// are most. It reports whether it did. Of several processes at once, one counts after the
// other.
func ReserveSpare(ctx context.Context, tx *gorm.DB, spare *Tenant, form SpareForm, most int) (bool, error) {
	if _, err := gorm.G[Installation](tx, forUpdate()).Take(ctx); err != nil {
		return false, err
	}
	count, err := CountSpares(ctx, tx, form)
	if err != nil || count >= int64(most) {
		return false, err
	}
	return true, CreateTenant(ctx, tx, spare)
}

// ListSpares lists the spares of that form, at most limit, the oldest first.
func ListSpares(ctx context.Context, db *gorm.DB, form SpareForm, limit int) ([]Tenant, error) {
	return form.spares(db, TenantSpare).Order("created_at").Limit(limit).Find(ctx)
}

// spares compares texts in SQL, which is safe here alone: the ids begin with
// twelve digits of a date, and every collation has digits in their order.
func (f SpareForm) spares(db *gorm.DB, statuses ...TenantStatus) gorm.ChainInterface[Tenant] {
	spares := gorm.G[Tenant](db).Where(unsettled).Where("status IN ? AND schema_version >= ?", statuses, f.SchemaVersion)
	if f.HasRole {
		spares = spares.Where("role <> ''")
	}
	return spares
}

// ListOldSpares lists the spares without that form.
func ListOldSpares(ctx context.Context, db *gorm.DB, form SpareForm) ([]Tenant, error) {
	condition := "schema_version < ?"
	if form.HasRole {
		condition = "(schema_version < ? OR role = '')"
	}
	return gorm.G[Tenant](db).Where(unsettled).Where("status = ?", TenantSpare).Where(condition, form.SchemaVersion).Find(ctx)
}

// ClaimTenant makes a tenant of a database that has no slug yet, and reports whether it
// still had none; KindSlugTaken when the slug is taken. The tenant is as old as its claim.
func ClaimTenant(ctx context.Context, db *gorm.DB, tenant *Tenant) (bool, error) {
	tenant.CreatedAt = db.NowFunc()
	claimed, err := gorm.G[Tenant](db).
		Where("id = ? AND status IN ?", tenant.ID, []TenantStatus{TenantMaking, TenantSpare}).
		Select("slug", "database_name", "status", "created_at").Updates(ctx, *tenant)
	if err != nil || claimed == 0 {
		return false, insertTenant(err)
	}
	// Only now, when a transaction that makes the slug an alias has ended.
	return true, checkAlias(ctx, db, tenant.Slug)
}

// Unclaim takes ClaimTenant back, also the organization: the slug is free, and the
// database, which has that name, is to be removed.
func Unclaim(ctx context.Context, db *gorm.DB, id, databaseName string) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		undone, err := gorm.G[Tenant](tx).Where("id = ? AND status = ?", id, TenantProvisioning).
			Select("slug", "database_name", "status").Updates(ctx, Tenant{DatabaseName: databaseName, Status: TenantUndoing})
		if err == nil && undone > 0 {
			_, err = gorm.G[Organization](tx).Where("tenant_id = ?", id).Delete(ctx)
		}
		return err
	})
}
