package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// MaxAliases is how many earlier slugs a tenant may keep. It bounds how many slugs one
// owner can take from others.
const MaxAliases = 3

// SlugAlias is an earlier slug of a tenant that was renamed. It still leads to the tenant,
// and no other tenant can have it, until the operator releases it.
type SlugAlias struct {
	Slug      Slug `gorm:"primaryKey"`
	TenantID  string
	CreatedAt time.Time
}

// RenameTenant gives a ready or suspended tenant, and its organization, another slug and
// records the event. The old slug becomes an alias. For a tenant that has the slug already
// it does nothing. The errors: KindTenantNotFound, KindSlugTaken, and KindTooManyAliases
// once the tenant has MaxAliases. A tenant may take back a slug that is its own alias.
func RenameTenant(ctx context.Context, db *gorm.DB, event *Event, id string, to Slug) error {
	return unlessUnchanged(recorded(ctx, db, event, func(tx *gorm.DB) error {
		tenant, err := gorm.G[Tenant](tx, forUpdate()).
			Where("id = ? AND status IN ?", id, []TenantStatus{TenantReady, TenantSuspended}).Take(ctx)
		if err != nil {
			return lookup(err, ErrTenantNotFound)
		}
		if tenant.Slug == to {
			return errUnchanged
		}
		event.Detail = "from " + string(tenant.Slug)
		if err := takeNewSlug(ctx, tx, id, to); err != nil {
			return err
		}
		return keepAlias(ctx, tx, &SlugAlias{Slug: tenant.Slug, TenantID: id})
	}))
}

// takeNewSlug writes the slug. It looks for an alias afterwards: another transaction that
// made the slug an alias has ended then.
func takeNewSlug(ctx context.Context, tx *gorm.DB, id string, to Slug) error {
	if _, err := gorm.G[SlugAlias](tx).Where("slug = ? AND tenant_id = ?", to, id).Delete(ctx); err != nil {
		return err
	}
	if _, err := gorm.G[Tenant](tx).Where("id = ?", id).Select("slug").Updates(ctx, Tenant{Slug: to}); err != nil {
		return insertTenant(err)
	}
	if err := checkAlias(ctx, tx, to); err != nil {
		return err
	}
	now := tx.NowFunc()
	_, err := gorm.G[Organization](tx).Where("tenant_id = ?", id).
		Select("slug", "updated_at").Updates(ctx, Organization{Slug: to, UpdatedAt: &now})
	return insertOrganization(err)
}

func keepAlias(ctx context.Context, tx *gorm.DB, alias *SlugAlias) error {
	kept, err := gorm.G[SlugAlias](tx).Where("tenant_id = ?", alias.TenantID).Count(ctx, "slug")
	if err != nil {
		return err
	}
	if kept >= MaxAliases {
		return Errorf(KindTooManyAliases, "No organization may keep more than %d earlier slugs", MaxAliases)
	}
	return gorm.G[SlugAlias](tx).Create(ctx, alias)
}

// ListAliases returns the aliases of a tenant.
func ListAliases(ctx context.Context, db *gorm.DB, tenantID string) ([]Slug, error) {
	aliases, err := gorm.G[SlugAlias](db).Where("tenant_id = ?", tenantID).Order("slug").Find(ctx)
	slugs := make([]Slug, len(aliases))
	for i := range aliases {
		slugs[i] = aliases[i].Slug
	}
	return slugs, err
}

// TakeAliases gives a deleted tenant that comes back the aliases that it had, as far as no
// tenant has them now, and none has left them to rest since a time after from.
func TakeAliases(ctx context.Context, tx *gorm.DB, tenantID string, aliases []Slug, from time.Time) error {
	tenant, err := gorm.G[Tenant](tx).Where("id = ?", tenantID).Take(ctx)
	if err != nil {
		return lookup(err, ErrTenantNotFound)
	}
	for _, slug := range aliases {
		err := tx.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return takeAlias(ctx, tx, &tenant, slug, from) })
		if err != nil && !IsKind(err, KindSlugTaken) && !IsKind(err, KindSlugResting) {
			return err
		}
	}
	return nil
}

// takeAlias gives the tenant an alias. It is KindSlugTaken or KindSlugResting for one that the
// tenant cannot have, which may also be its own slug.
func takeAlias(ctx context.Context, tx *gorm.DB, tenant *Tenant, slug Slug, from time.Time) error {
	if tenant.Slug == slug {
		return ErrSlugTaken
	}
	if err := CheckRest(ctx, tx, slug, Claimant{TenantID: tenant.ID}, from); err != nil {
		return err
	}
	if err := checkAlias(ctx, tx, slug); err != nil {
		return err
	}
	// The tenant has the alias as its slug for a moment. Another transaction that takes that
	// slug has ended then, or waits for the end of this one and finds the alias.
	for _, passing := range []Slug{slug, tenant.Slug} {
		if _, err := gorm.G[Tenant](tx).Where("id = ?", tenant.ID).Select("slug").Updates(ctx, Tenant{Slug: passing}); err != nil {
			return insertTenant(err)
		}
	}
	return gorm.G[SlugAlias](tx).Create(ctx, &SlugAlias{Slug: slug, TenantID: tenant.ID})
}

// checkAlias is KindSlugTaken for an alias of a tenant.
func checkAlias(ctx context.Context, db *gorm.DB, slug Slug) error {
	aliases, err := gorm.G[SlugAlias](db).Where("slug = ?", slug).Count(ctx, "slug")
	if err == nil && aliases > 0 {
		return ErrSlugTaken
	}
	return err
}

// named is the query for the id of the tenant that has the slug, or has it as its alias.
// SQLite would read the whole registry for an OR of the two.
func named(db *gorm.DB, slug Slug) *gorm.DB {
	return db.Raw("SELECT COALESCE((?), (?))", db.Model(&Tenant{}).Select("id").Where("slug = ?", slug), aliased(db, slug))
}

// aliased is the query for the tenant that has the slug as its alias.
func aliased(db *gorm.DB, slug Slug) *gorm.DB {
	return db.Model(&SlugAlias{}).Select("tenant_id").Where("slug = ?", slug)
}
