package models

import (
	"context"

	"gorm.io/gorm"
)

// CountSpares counts the spare databases that have that schema or a newer one, with those
// that are being made.
func CountSpares(ctx context.Context, db *gorm.DB, version string) (int64, error) {
	return sparesFrom(db, version, TenantMaking, TenantSpare).Count(ctx, "id")
}

// ReserveSpare registers a database that is to become a spare, unless there are most. It
// reports whether it did. Of several processes at once, one counts after the other.
func ReserveSpare(ctx context.Context, tx *gorm.DB, spare *Tenant, most int) (bool, error) {
	if _, err := gorm.G[Installation](tx, forUpdate()).Take(ctx); err != nil {
		return false, err
	}
	count, err := CountSpares(ctx, tx, spare.SchemaVersion)
	if err != nil || count >= int64(most) {
		return false, err
	}
	return true, CreateTenant(ctx, tx, spare)
}

// ListSpares lists the spares that have that schema or a newer one, at most limit, the
// oldest first.
func ListSpares(ctx context.Context, db *gorm.DB, version string, limit int) ([]Tenant, error) {
	return sparesFrom(db, version, TenantSpare).Order("created_at").Limit(limit).Find(ctx)
}

// sparesFrom compares texts in SQL, which is safe here alone: the ids begin with
// twelve digits of a date, and every collation has digits in their order.
func sparesFrom(db *gorm.DB, version string, statuses ...TenantStatus) gorm.ChainInterface[Tenant] {
	return gorm.G[Tenant](db).Where("status IN ? AND schema_version >= ?", statuses, version)
}

// ListOldSpares lists the spares that have an older schema.
func ListOldSpares(ctx context.Context, db *gorm.DB, version string) ([]Tenant, error) {
	return gorm.G[Tenant](db).Where("status = ? AND schema_version < ?", TenantSpare, version).Find(ctx)
}

// ClaimTenant makes a tenant of a spare database, and reports
// whether it still was one; KindSlugTaken when the slug is taken.
func ClaimTenant(ctx context.Context, db *gorm.DB, tenant *Tenant) (bool, error) {
	claimed, err := gorm.G[Tenant](db).
		Where("id = ? AND status IN ?", tenant.ID, []TenantStatus{TenantMaking, TenantSpare}).
		Select("slug", "database_name", "status").Updates(ctx, *tenant)
	return claimed > 0, insertTenant(err)
}
