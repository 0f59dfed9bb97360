package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"multitenant/backups"
	"multitenant/models"
	"multitenant/tenants"
)

// Validate is called by kong.
func (c *tenantsRestoreCommand) Validate() error {
	if c.Owner != "" && c.As != "" {
		return errors.New("--owner is for a tenant that comes back, without --as")
	}
	return nil
}

// undelete makes a deleted tenant again.
func (c *tenantsRestoreCommand) undelete(ctx context.Context, inv *Invocation, slug models.Slug) error {
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		return in.withBackups(ctx, func(all *backups.Backups, identities []age.Identity) error {
			choice, err := all.ChooseDeleted(ctx, slug, backups.Wanted{ID: c.Backup, Owner: c.Owner}, identities)
			if errors.Is(err, backups.ErrNotDeleted) {
				return &usageError{fmt.Sprintf("tenant %q: %s: a backup is restored beside it with --as", c.Slug, err)}
			}
			if err != nil {
				return tenantError(c.Slug, err)
			}
			question := fmt.Sprintf("The deleted tenant %q will be made again as of %s.", c.Slug, choice.Record.TakenAt.Format(time.RFC3339))
			if err := confirm(inv, c.Yes, question, c.Slug); err != nil {
				return err
			}
			made, err := c.restore(inv, choice.Record.Bytes, func(report func(int64)) (*models.Tenant, error) {
				return all.Undelete(ctx, m, choice, report)
			})
			if err != nil {
				return tenantError(c.Slug, err)
			}
			return c.show(inv, choice, made, "is back")
		})
	})
}
