package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

// Copied is the content of a tenant that is made of a copy of another.
type Copied struct {
	From         string // the id of the tenant that was copied
	Migrations   []*gormigrate.Migration
	Registration models.Registration
	// Owner is the core user who is the owner inside; nil for a tenant without an
	// organization. NeedsOwner and Mask are those of models.Takeover.
	Owner            *models.CoreUser
	NeedsOwner, Mask bool
	// Feed fills a database that has been migrated by Migrations.
	Feed func(database.Fill) error
	// Make, unless it is nil, makes the content of an empty database, in place of Migrations
	// and Feed.
	Make func(ctx context.Context, name string) error
	// Allowed bounds the owner's organizations.
	Allowed Allowance
	// Also, unless it is nil, is called in the transaction that makes the tenant ready. Its
	// error undoes all.
	Also func(ctx context.Context, tx *gorm.DB) error
	// Deleted is what core had of the tenant that was copied, where it is deleted and comes
	// back; nil for a new tenant.
	Deleted *Deleted
}

// Deleted is what core had of a tenant that is deleted.
type Deleted struct {
	OrganizationID int64 // 0 for a tenant without an organization
	Aliases        []models.Slug
	// IsSuspended says that it was suspended, and SuspendedByOwner is that of models.Tenant.
	IsSuspended, SuspendedByOwner bool
}

// comesBack returns the id of the deleted tenant that comes back, or "".
func (c *Copied) comesBack() string {
	if c == nil || c.Deleted == nil {
		return ""
	}
	return c.From
}

// stamp makes the database that of the tenant with that id. A copy is first freed of
// all that belongs to the tenant that was copied.
func (c *Copied) stamp(ctx context.Context, db *gorm.DB, id string) error {
	if c == nil {
		return models.CreateStamp(ctx, db, id)
	}
	takeover := &models.Takeover{From: c.From, To: id, Owner: c.Owner, NeedsOwner: c.NeedsOwner, Mask: c.Mask}
	if !c.Mask {
		return models.TakeOverCopy(ctx, db, takeover)
	}
	return migrations.RewriteEvents(ctx, db, database.Qualified(db, auditTable), func(tx *gorm.DB) error {
		return models.TakeOverCopy(ctx, tx, takeover)
	})
}

// Load migrates an empty database by list and fills it with a copy that has the same
// migrations.
func (d *Databases) Load(
	ctx context.Context, name string, list []*gormigrate.Migration, feed func(database.Fill) error,
) error {
	db, err := d.Backend.OpenDatabase(ctx, name, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(database.Migrate(ctx, db, list), database.Close(db)); err != nil {
		return err
	}
	return d.Backend.Load(ctx, name, feed)
}

// fill fills an empty database.
func (d *Databases) fill(ctx context.Context, name string, content *Copied) error {
	if content.Make != nil {
		return content.Make(ctx, name)
	}
	return d.Load(ctx, name, content.Migrations, content.Feed)
}

// Restore makes a tenant of a copy of another, or makes a deleted tenant again, and its
// organization if org is not nil. It fills in org as its row in core and records the
// event. The tenant has no session, password reset or invitation, and the only core user
// inside is the owner. The errors: KindInvalidSlug, KindReservedSlug, KindSlugTaken,
// KindSlugResting, KindTooManyOrganizations, KindBusy, and those of Databases.Load,
// content.Make and content.Also.
func (m *Manager) Restore(
	ctx context.Context, event *models.Event, slug models.Slug, org *models.Organization, content *Copied,
) error {
	made := &restorePlan{plan: &emptyPlan{event: event.AboutTenant(slug)}, content: content, org: org, restFrom: m.restFrom()}
	if org != nil {
		org.Slug = slug
		made.plan = &organizationPlan{event: event, org: org, owner: content.Owner, allowed: content.Allowed}
	}
	return m.provision(ctx, slug, made)
}

// FindDeleted describes the deleted tenant that last had the slug, as far as its resting
// slug says: its id, and the role that it had. ownerID is 0 if it had no organization.
// KindTenantNotFound where the slug does not rest or names no tenant.
func (d *Databases) FindDeleted(ctx context.Context, slug models.Slug) (record *models.Tenant, ownerID int64, err error) {
	resting, err := models.FindRestingSlug(ctx, d.Core, slug)
	if err == nil && resting.TenantID == nil {
		err = models.ErrTenantNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	if resting.OwnerID != nil {
		ownerID = *resting.OwnerID
	}
	return &models.Tenant{ID: *resting.TenantID, Slug: slug, Role: d.roleName(*resting.TenantID)}, ownerID, nil
}

// FindOwner returns the core user who owns the tenant's organization, or nil if it has none.
func (d *Databases) FindOwner(ctx context.Context, tenantID string) (*models.CoreUser, error) {
	owner, err := models.FindOwner(ctx, d.Core, tenantID)
	if models.IsKind(err, models.KindUserNotFound) {
		return nil, nil //nolint:nilnil // a tenant may have no organization
	}
	return &owner, err
}

// restorePlan is another plan for a tenant whose users are in a copy.
type restorePlan struct {
	plan

	content  *Copied
	org      *models.Organization // may be nil
	restFrom time.Time            // slugs that were left before are free
}

func (p *restorePlan) copied() *Copied { return p.content }

func (*restorePlan) seed(context.Context, *Tenant) error { return nil }

// reserve also gives a deleted tenant back what it had in core.
func (p *restorePlan) reserve(ctx context.Context, tx *gorm.DB, tenantID string) error {
	err := p.plan.reserve(ctx, tx, tenantID)
	then := p.content.Deleted
	if err != nil || then == nil {
		return err
	}
	if p.org != nil {
		if err := models.TakeOrganizationID(ctx, tx, p.org, then.OrganizationID); err != nil {
			return err
		}
	}
	return models.TakeAliases(ctx, tx, tenantID, then.Aliases, p.restFrom)
}

// record also ends the rest of a deleted tenant's slugs, and suspends the tenant if it was
// suspended, only now: until the tenant is ready it can be undone.
func (p *restorePlan) record(ctx context.Context, tx *gorm.DB) error {
	if p.content.Also != nil {
		if err := p.content.Also(ctx, tx); err != nil {
			return err
		}
	}
	id := p.content.comesBack()
	if id == "" {
		return p.plan.record(ctx, tx)
	}
	if err := models.EndRest(ctx, tx, id); err != nil {
		return err
	}
	if then := p.content.Deleted; then.IsSuspended {
		if err := models.SuspendAgain(ctx, tx, id, then.SuspendedByOwner); err != nil {
			return err
		}
	}
	return p.plan.record(ctx, tx)
}

// Scratch lends use the name of an empty database that is no tenant's, and drops the
// database afterwards. What a dead process has left of it is removed as an unfinished
// tenant is.
func (d *Databases) Scratch(ctx context.Context, use func(name string) error) (err error) {
	record := d.newRecord()
	record.Role, record.SchemaVersion = "", "" // it does not count as a spare that is being made
	session, err := d.Lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	err = d.register(ctx, record, func(ctx context.Context, tx *gorm.DB) error {
		return models.CreateTenant(ctx, tx, record)
	})
	if err != nil {
		return err
	}
	defer func() {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		session.Unlock() // it is unusable if ctx ended during a statement
		err = errors.Join(err, d.remove(removing, record.ID))
	}()
	if err := session.Create(ctx, record.DatabaseName); err != nil {
		return fmt.Errorf("create scratch database: %w", err)
	}
	return use(record.DatabaseName)
}
