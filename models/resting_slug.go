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

// CheckRest is KindSlugResting for a slug that has rested since a time after from, unless
// that core user owned it. ownerID is 0 where no core user is to own it.
func CheckRest(ctx context.Context, db *gorm.DB, slug Slug, ownerID int64, from time.Time) error {
	resting, err := gorm.G[RestingSlug](db).Where("slug = ? AND since > ?", slug, from).
		Where("owner_id IS NULL OR owner_id <> ?", ownerID).Count(ctx, "slug")
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
