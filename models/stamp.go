package models

import (
	"context"

	"gorm.io/gorm"
)

// Stamp is the one row by which a tenant's database says whose it is, so that
// one that was swapped, renamed or restored in the wrong place is recognised.
type Stamp struct {
	TenantID string
}

// TableName names the table; GORM asks for it.
func (Stamp) TableName() string { return "tenant_stamp" }

// CreateStamp marks the database as the tenant's. It does so once: a stamp that
// is there stays.
func CreateStamp(ctx context.Context, db *gorm.DB, tenantID string) error {
	stamps, err := gorm.G[Stamp](db).Find(ctx)
	if err != nil || len(stamps) > 0 {
		return err
	}
	return gorm.G[Stamp](db).Create(ctx, &Stamp{TenantID: tenantID})
}

// ReadStamp returns the ID of the tenant that the database belongs to; empty where it has none yet.
func ReadStamp(ctx context.Context, db *gorm.DB) (tenantID string, err error) {
	stamps, err := gorm.G[Stamp](db).Find(ctx)
	if err != nil || len(stamps) == 0 {
		return "", err
	}
	return stamps[0].TenantID, nil
}

// LinkOwner makes the tenant's user who is a copy of the owner, e-mail and hash
// alike, point at the core user and an owner; the hash goes. Another user who registered
// with that address has another hash, and is left alone.
func LinkOwner(ctx context.Context, db *gorm.DB, owner *CoreUser) error {
	if owner.ID == 0 {
		return nil
	}
	return db.WithContext(ctx).Model(&TenantUser{}).
		Where("email = ? AND hashed_password = ? AND core_user_id IS NULL", owner.Email, owner.HashedPassword).
		UpdateColumns(map[string]any{"core_user_id": owner.ID, passwordColumn: "", "role": RoleOwner}).Error
}
