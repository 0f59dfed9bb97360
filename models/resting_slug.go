package models

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// RestingSlug is the slug of a tenant that was deleted. For some time only the core
// user who owned it may use it again, so that nobody takes the place of a tenant that
// others still trust.
type RestingSlug struct {
	Slug    Slug `gorm:"primaryKey"`
	OwnerID *int64
	Since   time.Time
	// TenantID is the tenant that was deleted; nil where an earlier release deleted it.
	TenantID *string
}

// TableName names the table; GORM asks for it.
func (RestingSlug) TableName() string { return "resting_slugs" }

// Claimant is for whom a slug is to be used.
type Claimant struct {
	OwnerID  int64  // the core user who is to own it; 0 for none
	TenantID string // the tenant that comes back or is renamed; empty for a new one
}

// CheckRest is KindSlugResting for a slug that has rested since a time after from, unless
// the claimant's owner owned it, or it was the slug of the claimant's tenant.
func CheckRest(ctx context.Context, db *gorm.DB, slug Slug, by Claimant, from time.Time) error {
	query := gorm.G[RestingSlug](db).Where("slug = ? AND since > ?", slug, from).
		Where("owner_id IS NULL OR owner_id <> ?", by.OwnerID)
	if by.TenantID != "" {
		query = query.Where("tenant_id IS NULL OR tenant_id <> ?", by.TenantID)
	}
	resting, err := query.Count(ctx, "slug")
	if err == nil && resting > 0 {
		return Errorf(KindSlugResting, "Organization slug already exists")
	}
	return err
}

// FindRestingSlug returns the resting slug of a deleted tenant, or KindTenantNotFound.
func FindRestingSlug(ctx context.Context, db *gorm.DB, slug Slug) (RestingSlug, error) {
	resting, err := gorm.G[RestingSlug](db).Where("slug = ?", slug).Take(ctx)
	return resting, lookup(err, ErrTenantNotFound)
}

// ReleaseSlug ends the rest of a slug, or removes an alias, and records the event;
// KindTenantNotFound where the slug is neither.
func ReleaseSlug(ctx context.Context, db *gorm.DB, event *Event, slug Slug) error {
	return recorded(ctx, db, event.AboutTenant(slug), func(tx *gorm.DB) error {
		rested, err := gorm.G[RestingSlug](tx).Where("slug = ?", slug).Delete(ctx)
		if err != nil {
			return err
		}
		aliased, err := gorm.G[SlugAlias](tx).Where("slug = ?", slug).Delete(ctx)
		if err == nil && rested+aliased == 0 {
			return ErrTenantNotFound
		}
		return err
	})
}

// EndRest frees the slugs of a deleted tenant that has come back.
func EndRest(ctx context.Context, db *gorm.DB, tenantID string) error {
	_, err := gorm.G[RestingSlug](db).Where("tenant_id = ?", tenantID).Delete(ctx)
	return err
}

// ForgetSlugs removes the slugs that have rested since before a time.
func ForgetSlugs(ctx context.Context, db *gorm.DB, before time.Time) error {
	_, err := gorm.G[RestingSlug](db).Where("since <= ?", before).Delete(ctx)
	return err
}

// rest lets the slug and the aliases of a tenant that is being deleted rest from now on.
// A spare has none.
func rest(ctx context.Context, tx *gorm.DB, tenantID string) error {
	tenants, err := gorm.G[Tenant](tx).Where("id = ? AND status = ? AND slug IS NOT NULL", tenantID, TenantDeleting).Find(ctx)
	if err != nil || len(tenants) == 0 {
		return err
	}
	aliases, err := gorm.G[SlugAlias](tx).Where("tenant_id = ?", tenantID).Find(ctx)
	if err != nil {
		return err
	}
	var ownerID *int64
	org, err := FindOrganizationOf(ctx, tx, tenantID)
	switch {
	case err == nil:
		ownerID = &org.OwnerID
	case !IsKind(err, KindOrganizationNotFound):
		return err
	}
	resting := []RestingSlug{{Slug: tenants[0].Slug, OwnerID: ownerID, Since: tx.NowFunc(), TenantID: &tenantID}}
	for _, alias := range aliases {
		resting = append(resting, RestingSlug{Slug: alias.Slug, OwnerID: ownerID, Since: resting[0].Since, TenantID: &tenantID})
	}
	return gorm.G[RestingSlug](tx, clause.OnConflict{UpdateAll: true}).CreateInBatches(ctx, &resting, len(resting))
}
