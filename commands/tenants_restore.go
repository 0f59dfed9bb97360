package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"filippo.io/age"

	"multitenant/backups"
	"multitenant/models"
	"multitenant/tenants"
)

type tenantsRestoreCommand struct {
	tenantArgument `embed:""`

	outsideFlags `embed:""`

	As     string `placeholder:"NEW" help:"The slug of the tenant that is made; if it is not given, the deleted tenant SLUG comes back."`
	Owner  string `placeholder:"EMAIL" help:"The core user who gets the tenant that comes back, instead of its owner."`
	Backup string `placeholder:"ID" xor:"source" help:"Restore this backup; the newest if it is not given."`
	Yes    bool   `help:"Do not ask."`
	JSON   bool   `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (tenantsRestoreCommand) Help() string {
	return "Without --as it makes the deleted tenant SLUG again, with its id, its organization and its aliases. With --as it " +
		"makes a new tenant of a backup in BACKUP_URL and leaves the tenant SLUG as it is. The owner of the new tenant is the " +
		"core user who owns SLUG now or, if SLUG is deleted, who owned it then. Users keep their passwords; sessions, password " +
		"resets and invitations are not restored. The backup may be of an older schema, not of a newer one or another engine. " +
		"An encrypted backup needs BACKUP_IDENTITY_FILE. The new tenant is whole or, also when the command is killed, not there. " +
		"With --from or --file the tenant is read as another program has restored it to some moment, and nothing is changed " +
		"there; SLUG may be of a tenant that was deleted while its slug rests. Give the password of the URL by PGPASSWORD or " +
		"PGPASSFILE."
}

// restoredView is a tenant that was made of a backup.
type restoredView struct {
	tenantView

	Backup  string    `json:"backup"`
	TakenAt time.Time `json:"taken_at"`
	Owner   string    `json:"owner"` // the address; empty for a tenant without an organization
}

// Run restores.
func (c *tenantsRestoreCommand) Run(ctx context.Context, inv *Invocation) error {
	source, err := models.ParseSlug(c.Slug)
	if err != nil {
		return tenantError(c.Slug, err)
	}
	if c.As == "" {
		return c.undelete(ctx, inv, source)
	}
	as, err := models.ParseSlug(c.As)
	if err != nil {
		return tenantError(c.As, err)
	}
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		if !c.outside().IsNone() {
			return c.restoreOutside(ctx, in, m, source, as)
		}
		return in.withBackups(ctx, func(all *backups.Backups, identities []age.Identity) error {
			choice, err := all.Choose(ctx, source, c.Backup, identities)
			if err != nil {
				return tenantError(c.Slug, err)
			}
			if err := confirm(inv, c.Yes, c.question(choice), c.As); err != nil {
				return err
			}
			made, err := c.restore(inv, choice.Record.Bytes, func(report func(int64)) (*models.Tenant, error) {
				return all.Restore(ctx, m, choice, as, report)
			})
			if err != nil {
				return tenantError(c.As, err)
			}
			return c.show(inv, choice, made, "is restored as "+strconv.Quote(c.As))
		})
	})
}

func (c *tenantsRestoreCommand) question(choice *backups.Choice) string {
	return fmt.Sprintf("Tenant %q as of %s will be restored as %q.", c.Slug, choice.Record.TakenAt.Format(time.RFC3339), c.As)
}

// restore shows progress while do restores. total is a number of bytes; 0 if it is not known.
func (*tenantsRestoreCommand) restore(
	inv *Invocation, total int64, do func(report func(int64)) (*models.Tenant, error),
) (*models.Tenant, error) {
	const megabyte = 1 << 20
	bar, shown := startProgress(inv, "restoring"), int64(-1)
	defer bar.finish()
	return do(func(bytes int64) {
		if done := bytes / megabyte; done != shown {
			shown = done
			bar.show(int(done), int(max(total, bytes)/megabyte), 0, "megabytes")
		}
	})
}

func (c *tenantsRestoreCommand) show(inv *Invocation, choice *backups.Choice, made *models.Tenant, done string) error {
	view := restoredView{tenantView: newTenantView(made), Backup: choice.Record.ID, TakenAt: choice.Record.TakenAt}
	if choice.Owner != nil {
		view.Owner = choice.Owner.Email
	}
	if c.JSON {
		return writeJSON(inv.Stdout, view)
	}
	say(inv.Stdout, fmt.Sprintf("tenant %q as of %s %s", c.Slug, view.TakenAt.Format(time.RFC3339), done))
	if !choice.Record.IsComplete() {
		say(inv.Stderr, lacks(choice.Record.Unexplained))
	}
	return nil
}
