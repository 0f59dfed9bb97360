package tenants

import (
	"context"

	"gorm.io/gorm"

	"multitenant/models"
)

// plan is how one way to make a tenant differs from the others.
type plan interface {
	// ownerID is the core user who will own the tenant, or 0.
	ownerID() int64
	// copied is what the tenant's database is filled with; nil for a new tenant.
	copied() *Copied
	// admit is called when the slug is free and before anything is made. Its error
	// ends the provisioning.
	admit() error
	// reserve writes rows of core in the transaction that takes the slug. It may be
	// called again for another database; its rows are gone then.
	reserve(ctx context.Context, tx *gorm.DB, tenantID string) error
	// seed writes the tenant's first rows. If it fails, the database is removed. It may be
	// called again for another database.
	seed(ctx context.Context, tenant *Tenant) error
	// record writes the event in the transaction on core that makes the tenant ready.
	// If it fails, the database is removed.
	record(ctx context.Context, tx *gorm.DB) error
}

// CreateOrganization makes an organization and its tenant, whose first user is the
// owner. It fills in org as its row in core and records the event. The errors: those of
// models.CreateOrganization and of MayMake, KindInvalidSlug, KindReservedSlug,
// KindSlugTaken, KindSlugResting and KindBusy.
func (m *Manager) CreateOrganization(
	ctx context.Context, event *models.Event, org *models.Organization, owner *models.CoreUser, allowed Allowance,
) error {
	return m.provision(ctx, org.Slug, &organizationPlan{event: event, org: org, owner: owner, allowed: allowed})
}

// Allowance is what the owner of a new organization may do. The zero value allows all.
type Allowance struct {
	Most    int          // organizations of the owner; 0 means any number
	MayMake func() error // is called before a tenant is made; its error prevents that
}

type organizationPlan struct {
	event   *models.Event
	org     *models.Organization
	owner   *models.CoreUser
	allowed Allowance
}

func (p *organizationPlan) ownerID() int64 { return p.owner.ID }

func (*organizationPlan) copied() *Copied { return nil }

func (p *organizationPlan) admit() error { return ask(p.allowed.MayMake) }

// ask calls mayMake, if there is one.
func ask(mayMake func() error) error {
	if mayMake == nil {
		return nil
	}
	return mayMake()
}

func (p *organizationPlan) reserve(ctx context.Context, tx *gorm.DB, tenantID string) error {
	p.org.ID, p.org.OwnerID, p.org.TenantID = 0, p.owner.ID, tenantID
	return models.CreateOrganization(ctx, tx, p.org, p.allowed.Most)
}

func (p *organizationPlan) seed(ctx context.Context, tenant *Tenant) error {
	user := models.OwnerOf(p.owner)
	return models.CreateUser(ctx, tenant.DB, &user)
}

func (p *organizationPlan) record(ctx context.Context, tx *gorm.DB) error {
	return models.Record(ctx, tx, p.event.AboutOrganization(p.org))
}

// CreateTenant makes a tenant without an organization and without users, and records
// the event. The errors: KindInvalidSlug, KindReservedSlug, KindSlugTaken,
// KindSlugResting and KindBusy.
func (m *Manager) CreateTenant(ctx context.Context, event *models.Event, slug models.Slug) error {
	return m.provision(ctx, slug, &emptyPlan{event: event.AboutTenant(slug)})
}

type emptyPlan struct{ event *models.Event }

func (*emptyPlan) ownerID() int64                                  { return 0 }
func (*emptyPlan) copied() *Copied                                 { return nil }
func (*emptyPlan) admit() error                                    { return nil }
func (*emptyPlan) reserve(context.Context, *gorm.DB, string) error { return nil }
func (*emptyPlan) seed(context.Context, *Tenant) error             { return nil }
func (p *emptyPlan) record(ctx context.Context, tx *gorm.DB) error {
	return models.Record(ctx, tx, p.event)
}

// registrationPlan makes a tenant with its first user, who is its owner. The tenant's
// own database has the event.
type registrationPlan struct {
	mayMake func() error
	do      Registration
}

func (*registrationPlan) ownerID() int64 { return 0 }

func (*registrationPlan) copied() *Copied { return nil }

func (p *registrationPlan) admit() error { return ask(p.mayMake) }

func (*registrationPlan) reserve(context.Context, *gorm.DB, string) error { return nil }

func (p *registrationPlan) seed(ctx context.Context, tenant *Tenant) error {
	return p.do(ctx, tenant, models.RoleOwner)
}

func (*registrationPlan) record(context.Context, *gorm.DB) error { return nil }
