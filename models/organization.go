package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Organization is a customer. Its users and their data live in the database
// of its tenant.
type Organization struct {
	ID          int64 `gorm:"primaryKey"`
	Name        string
	Slug        Slug
	Description *string
	OwnerID     int64
	IsActive    bool
	CreatedAt   time.Time
	UpdatedAt   *time.Time `gorm:"autoUpdateTime:false"` // nil until the first change
	TenantID    string
	// Registration says who may register in its tenant.
	Registration Registration
}

// organizationsRetry is how long a user is asked to wait who owns as many as a user
// may. It is long: only deleting one frees a place.
const organizationsRetry = time.Hour

// CreateOrganization inserts the organization; KindSlugTaken when there is one
// of that slug, KindTooManyOrganizations when its owner has as many as most
// already, where that is not 0. It is to be called in a transaction, in which
// the owner's others wait for this one: each counts those before it.
func CreateOrganization(ctx context.Context, db *gorm.DB, org *Organization, most int) error {
	if most > 0 {
		owner := gorm.G[CoreUser](db, forUpdate())
		if _, err := owner.Select("id").Where("id = ?", org.OwnerID).Take(ctx); err != nil {
			return lookup(err, ErrUserNotFound)
		}
	}
	if err := CheckOrganizations(ctx, db, org.OwnerID, most); err != nil {
		return err
	}
	return insertOrganization(gorm.G[Organization](db).Create(ctx, org))
}

// TakeOrganizationID gives an organization that was just created the id that it had before
// it was deleted. It keeps the new one where another organization has that id, or where
// the ids have not come so far, as in a core that was restored: that id would be given
// again.
func TakeOrganizationID(ctx context.Context, tx *gorm.DB, org *Organization, id int64) error {
	if id == 0 || id >= org.ID {
		return nil
	}
	taken, err := gorm.G[Organization](tx).Where("id = ?", id).Count(ctx, "id")
	if err != nil || taken > 0 {
		return err
	}
	if _, err := gorm.G[Organization](tx).Where("id = ?", org.ID).Update(ctx, "id", id); err != nil {
		return err
	}
	org.ID = id
	return nil
}

// insertOrganization translates the error of a statement that takes a slug.
func insertOrganization(err error) error {
	return insert(err, ErrSlugTaken, "ix_organizations_slug", "organizations_slug_key")
}

// CheckOrganizations is KindTooManyOrganizations when the user owns as many as
// most, where that is not 0. Those that are suspended or being deleted count.
func CheckOrganizations(ctx context.Context, db *gorm.DB, ownerID int64, most int) error {
	if most == 0 {
		return nil
	}
	owned, err := gorm.G[Organization](db).Where("owner_id = ?", ownerID).Count(ctx, "id")
	if err == nil && owned >= int64(most) {
		tooMany := Errorf(KindTooManyOrganizations, "Nobody may own more than %d organizations", most)
		tooMany.RetryAfter = organizationsRetry
		return tooMany
	}
	return err
}

// FindOrganization returns the owner's organization of that slug or alias. One that is
// another user's, is still being made or is being deleted is
// KindOrganizationNotFound.
func FindOrganization(ctx context.Context, db *gorm.DB, ownerID int64, slug string) (Organization, error) {
	return findOwned(ctx, db, ownerID, slug, TenantReady, TenantSuspended)
}

// FindOrganizationOf returns the organization of that tenant, or
// KindOrganizationNotFound for a tenant that has none.
func FindOrganizationOf(ctx context.Context, db *gorm.DB, tenantID string) (Organization, error) {
	org, err := gorm.G[Organization](db).Where("tenant_id = ?", tenantID).Take(ctx)
	return org, lookup(err, ErrOrganizationNotFound)
}

// Contradiction is an organization that the registry does not agree with.
type Contradiction struct {
	Slug       Slug // the organization's
	TenantSlug Slug // its tenant's; empty where it has none, or one without an organization
}

// ListContradictions lists the organizations whose tenant is missing, or has
// another slug than they.
func ListContradictions(ctx context.Context, db *gorm.DB) ([]Contradiction, error) {
	var found []Contradiction
	err := db.WithContext(ctx).Model(&Organization{}).Select("organizations.slug, tenants.slug AS tenant_slug").
		Joins("LEFT JOIN tenants ON tenants.id = organizations.tenant_id").
		Where("tenants.slug IS NULL OR tenants.slug <> organizations.slug").
		Order("organizations.slug").Scan(&found).Error
	return found, err
}

// FindOrganizationToDelete is FindOrganization for one whose deletion may have
// been interrupted.
func FindOrganizationToDelete(ctx context.Context, db *gorm.DB, ownerID int64, slug string) (Organization, error) {
	return findOwned(ctx, db, ownerID, slug, TenantReady, TenantSuspended, TenantDeleting)
}

// ListOrganizations returns at most limit of the owner's organizations whose id
// is greater than after, in the order of their ids.
func ListOrganizations(ctx context.Context, db *gorm.DB, ownerID, after int64, limit int) ([]Organization, error) {
	return ownedBy(db, ownerID, TenantReady, TenantSuspended).Where("organizations.id > ?", after).
		Order("organizations.id").Limit(limit).Find(ctx)
}

// UpdateOrganization writes the named columns of the organization, and no others.
// KindOrganizationNotFound when it was deleted meanwhile.
func UpdateOrganization(ctx context.Context, db *gorm.DB, event *Event, org *Organization, columns ...string) error {
	now := db.NowFunc()
	org.UpdatedAt = &now
	return recorded(ctx, db, event.AboutOrganization(org), func(tx *gorm.DB) error {
		updated := tx.Model(org).Select(append(columns, "updated_at")).Updates(org)
		if updated.Error == nil && updated.RowsAffected == 0 {
			return ErrOrganizationNotFound
		}
		return updated.Error
	})
}

func findOwned(
	ctx context.Context, db *gorm.DB, ownerID int64, slug string, statuses ...TenantStatus,
) (Organization, error) {
	if !storable(slug) { // PostgreSQL would refuse to look for it
		return Organization{}, ErrOrganizationNotFound
	}
	org, err := ownedBy(db, ownerID, statuses...).
		Where("(organizations.slug = ? OR organizations.tenant_id = (?))", slug, aliased(db, Slug(slug))).Take(ctx)
	return org, lookup(err, ErrOrganizationNotFound)
}

func ownedBy(db *gorm.DB, ownerID int64, statuses ...TenantStatus) gorm.ChainInterface[Organization] {
	return gorm.G[Organization](db).
		Where("organizations.owner_id = ?", ownerID).
		Where("EXISTS (SELECT 1 FROM tenants WHERE tenants.id = organizations.tenant_id AND tenants.status IN ?)", statuses)
}
