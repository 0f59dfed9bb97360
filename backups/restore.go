package backups

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/age"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// ErrNoBackup says that there is no such backup of a tenant.
var ErrNoBackup = errors.New("there is no such backup of it")

// Choice is a backup that is to be restored. All of it has been read.
type Choice struct {
	Record *Record
	// Owner is the core user who will own the new tenant; nil for a tenant without an
	// organization.
	Owner *models.CoreUser

	from   *reader
	copied *loading
	make   func(ctx context.Context, name string) error // that of tenants.Copied
}

// Choose reads the newest backup of the tenant with that slug, or the one that is wanted.
// A backup of an earlier tenant of that slug must be named, as must one that is not
// explained, unless its dump is used. The errors: ErrNoBackup, ErrIdentityMissing,
// database.ErrOtherEngine, database.ErrNewerSchema, archive.ErrDamaged, and one that says
// that the owner is gone.
func (b *Backups) Choose(ctx context.Context, slug models.Slug, wanted Wanted, identities []age.Identity) (*Choice, error) {
	tenant, err := models.FindTenantBySlug(ctx, b.databases.Core, slug)
	if err != nil && !models.IsKind(err, models.KindTenantNotFound) {
		return nil, err
	}
	r, err := b.find(ctx, slug, &tenant, wanted)
	if err != nil {
		return nil, err
	}
	c, err := b.examine(ctx, r, identities, wanted.ByDump)
	if err == nil {
		c.Owner, err = b.ownerOf(ctx, &tenant, c.copied.organization)
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", r.ID, err)
	}
	return c, nil
}

// examine reads all of a backup.
func (b *Backups) examine(ctx context.Context, r *Record, identities []age.Identity, byDump bool) (c *Choice, err error) {
	c = &Choice{Record: r, copied: &loading{}, from: &reader{from: b.store, record: r, identities: identities}}
	if c.copied.migrations, err = b.migrationsOf(r); err == nil {
		err = c.copied.load(ctx, c.from, nil)
	}
	if err == nil && c.copied.organization == nil {
		err = fmt.Errorf("%w: it has no %s", database.ErrUnloadable, organizationPart)
	}
	if err == nil && byDump && r.Dumped {
		err = b.useDump(c)
	}
	return c, err
}

// find returns the newest backup, or the one that is wanted. tenant is the one that has
// the slug now, if there is one.
func (b *Backups) find(ctx context.Context, slug models.Slug, tenant *models.Tenant, wanted Wanted) (*Record, error) {
	entries, err := List(ctx, b.store)
	if err != nil {
		return nil, err
	}
	var found *Record
	for i := range entries {
		r := entries[i].Record
		if r == nil || r.InstallationID != b.databases.InstallationID() || r.TenantID == CoreOwner {
			continue
		}
		isOf := r.TenantID == tenant.ID || r.Slug == string(slug) && (tenant.ID == "" || wanted.ID != "")
		if isOf && (wanted.ID == "" || wanted.ID == r.ID) && (found == nil || !r.TakenAt.Before(found.TakenAt)) {
			found = r
		}
	}
	if found == nil {
		return nil, ErrNoBackup
	}
	if wanted.ID == "" && !found.IsExplained() && (!wanted.ByDump || !found.Dumped) {
		return nil, fmt.Errorf("restored, the newest backup lacks %s: to restore it all the same, name it by --backup %s",
			found.Lacks(), found.ID)
	}
	return found, nil
}

// ownerOf returns the core user who owns the tenant now or, if tenant is not the one that
// was backed up, who owned it then. A number alone may mean another user now.
func (b *Backups) ownerOf(ctx context.Context, tenant *models.Tenant, then *organization) (*models.CoreUser, error) {
	if then.OwnerID == 0 {
		return nil, nil //nolint:nilnil // a tenant may have no organization
	}
	if then.TenantID == tenant.ID {
		owner, err := models.FindOwner(ctx, b.databases.Core, tenant.ID)
		return &owner, err
	}
	owner, err := models.FindUser[models.CoreUser](ctx, b.databases.Core, then.OwnerID)
	isGone := models.IsKind(err, models.KindUserNotFound)
	if isGone || err == nil && owner.EmailCanonical != models.CanonicalEmail(then.OwnerEmail) {
		return nil, fmt.Errorf("its owner then, %s, is no core user any more", then.OwnerEmail)
	}
	return &owner, err
}

// RestoreInPlace puts a backup in the place of the database of the tenant that was backed
// up. report is told as by Restore. The errors are those of
// tenants.Manager.RestoreInPlace, and one for a backup of another tenant.
func (b *Backups) RestoreInPlace(
	ctx context.Context, m *tenants.Manager, c *Choice, r *tenants.Restoration, report func(bytes int64),
) error {
	if c.Record.TenantID != r.Tenant.ID {
		return fmt.Errorf("backup %s is of an earlier tenant of that slug: restore it beside, with --as", c.Record.ID)
	}
	owner, err := b.databases.FindOwner(ctx, r.Tenant.ID)
	if err != nil {
		return err
	}
	c.from.report, c.Owner = report, owner
	return m.RestoreInPlace(ctx, r, c.content(ctx), c.Record.ID)
}

// content is what a tenant is made of.
func (c *Choice) content(ctx context.Context) *tenants.Copied {
	return &tenants.Copied{
		From: c.Record.TenantID, Migrations: c.copied.migrations, Owner: c.Owner,
		Feed: func(fill database.Fill) error { return c.copied.load(ctx, c.from, fill) }, Make: c.make,
	}
}

// Restore makes a new tenant of a backup, with a slug that is free, and records the
// event. It migrates an older backup to this code's schema. report is told how many bytes
// of the archive have been restored. The errors are those of tenants.Manager.Restore.
func (b *Backups) Restore(
	ctx context.Context, m *tenants.Manager, c *Choice, as models.Slug, report func(bytes int64),
) (*models.Tenant, error) {
	c.from.report = report
	return b.restore(ctx, m, c.making(ctx, as))
}

// making is what makes a tenant of the chosen backup.
func (c *Choice) making(ctx context.Context, as models.Slug) *making {
	return &making{as: as, then: c.copied.organization, content: c.content(ctx), source: c.Record.ID}
}

// making is a tenant that is made of a copy of another.
type making struct {
	as      models.Slug
	then    *organization // of the other
	content *tenants.Copied
	source  string        // for the record
	event   *models.Event // nil where the operator does it
}

// restore makes the tenant.
func (b *Backups) restore(ctx context.Context, m *tenants.Manager, n *making) (*models.Tenant, error) {
	n.content.Registration = n.then.Registration
	if !n.content.Registration.IsValid() {
		n.content.Registration = models.RegistrationClosed
	}
	event := n.event
	if event == nil {
		event = models.NewOperatorEvent(models.ActionOrganizationRestored)
	}
	event.Detail = n.source
	var org *models.Organization
	if n.content.Owner != nil {
		org = &models.Organization{
			Name: n.then.Name, Description: n.then.Description, Registration: n.content.Registration,
			IsActive: n.content.Deleted == nil || !n.content.Deleted.IsSuspended,
		}
	}
	if err := m.Restore(ctx, event, n.as, org, n.content); err != nil {
		return nil, err
	}
	made, err := models.FindTenantBySlug(ctx, b.databases.Core, n.as)
	return &made, err
}
