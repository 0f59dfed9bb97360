package backups

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/age"

	"multitenant/models"
	"multitenant/tenants"
)

// ErrNotDeleted says that a tenant exists, so that it cannot come back.
var ErrNotDeleted = errors.New("it is not deleted")

// Wanted says which backup of a tenant is wanted, how, and for whom.
type Wanted struct {
	ID    string // the newest if it is empty
	Owner string // of a deleted tenant: the address of a core user; the owner then if it is empty
	// ByDump makes the database of the dump, where the backup has one.
	ByDump bool
}

// ChooseDeleted is Choose for a deleted tenant that is to come back under the slug that it
// had. The errors also: ErrNotDeleted, and KindUserNotFound for the wanted owner.
func (b *Backups) ChooseDeleted(
	ctx context.Context, slug models.Slug, wanted Wanted, identities []age.Identity,
) (*Choice, error) {
	_, err := models.FindTenantBySlug(ctx, b.databases.Core, slug)
	if err == nil {
		return nil, ErrNotDeleted
	}
	if !models.IsKind(err, models.KindTenantNotFound) {
		return nil, err
	}
	r, err := b.find(ctx, slug, &models.Tenant{}, wanted)
	if err != nil {
		return nil, err
	}
	if err := b.checkDeleted(ctx, r, wanted.ID); err != nil {
		return nil, err
	}
	c, err := b.examine(ctx, r, identities, wanted.ByDump)
	if err == nil {
		c.Owner, err = b.ownerAgain(ctx, c.copied.organization, wanted.Owner)
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", r.ID, err)
	}
	return c, nil
}

// checkDeleted fails unless the tenant of a backup is gone. Where the backup is not named,
// the tenant must not have had another slug later.
func (b *Backups) checkDeleted(ctx context.Context, r *Record, named string) error {
	tenant, err := models.FindTenant(ctx, b.databases.Core, r.TenantID)
	if err == nil {
		return fmt.Errorf("%w: it is %q now, and %s", ErrNotDeleted, tenant.Name(), tenant.Status)
	}
	if !models.IsKind(err, models.KindTenantNotFound) {
		return err
	}
	if named != "" {
		return nil
	}
	last, err := b.find(ctx, "", &models.Tenant{ID: r.TenantID}, Wanted{ByDump: true})
	if err == nil && last.Slug != r.Slug {
		err = fmt.Errorf("it was %q when it was deleted: restore that", last.Slug)
	}
	return err
}

// ownerAgain returns the core user who is to own the tenant: who owned it then, or the one
// with that address.
func (b *Backups) ownerAgain(ctx context.Context, then *organization, email string) (*models.CoreUser, error) {
	switch {
	case email != "" && then.OwnerID == 0:
		return nil, errors.New("it belonged to no organization, so it has no owner at the core")
	case email != "":
		owner, err := models.FindUserByEmail[models.CoreUser](ctx, b.databases.Core, email)
		return &owner, err
	}
	owner, err := b.ownerOf(ctx, &models.Tenant{}, then)
	if err != nil {
		return nil, fmt.Errorf("%w: name another by --owner", err)
	}
	return owner, nil
}

// Undelete makes a deleted tenant again: with its id, its slug, its aliases as far as they
// are free, and its organization, and suspended if it was. It records the event. report is
// told how many bytes of the archive have been restored. The errors are those of
// tenants.Manager.Restore.
func (b *Backups) Undelete(
	ctx context.Context, m *tenants.Manager, c *Choice, report func(bytes int64),
) (*models.Tenant, error) {
	c.from.report = report
	then := c.copied.organization
	made := c.making(ctx, models.Slug(c.Record.Slug))
	made.content.Deleted = &tenants.Deleted{
		OrganizationID: then.OrganizationID, Aliases: then.Aliases,
		IsSuspended: then.Status == models.TenantSuspended, SuspendedByOwner: then.SuspendedByOwner,
	}
	return b.restore(ctx, m, made)
}
