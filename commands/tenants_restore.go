package commands

import (
	"context"
	"errors"
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

	As      string `placeholder:"NEW" help:"Make a new tenant with this slug, and leave SLUG as it is."`
	InPlace bool   `help:"Replace the database of SLUG. Without --as this is done if SLUG exists; if it is deleted, it comes back."`
	Undo    bool   `help:"Put back the database that a restore has replaced."`
	Owner   string `placeholder:"EMAIL" help:"The core user who gets the tenant that comes back, instead of its owner."`
	Backup  string `placeholder:"ID" xor:"source" help:"Restore this backup; the newest if it is not given."`
	Yes     bool   `help:"Do not ask."`
	JSON    bool   `name:"json" help:"Write the result as JSON."`

	WithPgDump bool `help:"Make the database of the dump in the backup, by pg_restore, where it has one."`
}

// Help describes the command.
func (tenantsRestoreCommand) Help() string {
	return "Puts a backup in BACKUP_URL in the place of the tenant's database. If SLUG is deleted, it makes the tenant again, with " +
		"its id, organization and aliases. With --as it makes a new tenant of the backup instead. The owner is the core user who " +
		"owns SLUG now or, if SLUG is deleted, who owned it then. Users have the passwords of the backup; sessions, password " +
		"resets and invitations are not restored. The backup may be of an older schema, not of a newer one or another engine. " +
		"An encrypted backup needs BACKUP_IDENTITY_FILE. In place, the command says first which users return, leave, or change " +
		"their role or password. It keeps the replaced database for KEEP_REPLACED days, in which --undo puts it back. Audit " +
		"events are kept. With --with-pg-dump the things that no migration makes come back, too, if the backup has a dump of them. They " +
		"then belong to the application's role. The restored tenant is whole or, also when the command is killed, as it was. With --from or --file " +
		"the tenant is read from a database that another program has restored to some moment, and nothing is changed there; SLUG may be of a " +
		"tenant that was deleted while its slug rests. Give the password of the URL by PGPASSWORD or PGPASSFILE."
}

// Validate is called by kong.
func (c *tenantsRestoreCommand) Validate() error {
	if err := c.outsideFlags.Validate(); err != nil {
		return err
	}
	switch {
	case c.As != "" && (c.InPlace || c.Undo):
		return errors.New("--as makes another tenant: it cannot be used with --in-place or --undo")
	case c.As == "" && !c.outside().IsNone():
		return errors.New("--from and --file make another tenant: they need --as")
	case c.Undo && (c.InPlace || c.Backup != "" || c.WithPgDump):
		return errors.New("--undo needs no backup: it cannot be used with --in-place, --backup or --with-pg-dump")
	case c.WithPgDump && !c.outside().IsNone():
		return errors.New("--with-pg-dump is for backups: it cannot be used with --from or --file")
	case c.Owner != "" && (c.As != "" || c.InPlace || c.Undo):
		return errors.New("--owner is for a tenant that comes back, without --as, --in-place and --undo")
	}
	return nil
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
	switch {
	case c.Undo:
		return c.undo(ctx, inv)
	case c.As == "":
		return c.runWithSlug(ctx, inv)
	}
	return c.runBeside(ctx, inv)
}

// runWithSlug restores the tenant SLUG itself: in place or, if it is deleted, again.
func (c *tenantsRestoreCommand) runWithSlug(ctx context.Context, inv *Invocation) error {
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		switch {
		case models.IsKind(err, models.KindTenantNotFound) && !c.InPlace:
			return c.undelete(ctx, in, m)
		case err != nil:
			return err
		case c.Owner != "":
			return &usageError{fmt.Sprintf("tenant %q: --owner is for a deleted tenant, and it is not deleted", c.Slug)}
		}
		return c.runInPlace(ctx, in, m, &record)
	})
}

// runBeside makes a new tenant.
func (c *tenantsRestoreCommand) runBeside(ctx context.Context, inv *Invocation) error {
	source, err := models.ParseSlug(c.Slug)
	if err != nil {
		return tenantError(c.Slug, err)
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
			choice, err := all.Choose(ctx, source, c.wanted(), identities)
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

func (c *tenantsRestoreCommand) wanted() backups.Wanted {
	return backups.Wanted{ID: c.Backup, Owner: c.Owner, ByDump: c.WithPgDump}
}

func (c *tenantsRestoreCommand) question(choice *backups.Choice) string {
	return fmt.Sprintf("Tenant %q as of %s will be restored as %q.", c.Slug, choice.Record.TakenAt.Format(time.RFC3339), c.As)
}

// restore shows progress while do restores. total is a number of bytes; 0 if it is not known.
func (*tenantsRestoreCommand) restore(
	inv *Invocation, total int64, do func(report func(int64)) (*models.Tenant, error),
) (*models.Tenant, error) {
	bar := startProgress(inv, "restoring")
	defer bar.finish()
	return do(inMegabytes(bar, total))
}

// inMegabytes returns a function that shows how many bytes were restored, of total.
func inMegabytes(bar *progress, total int64) func(bytes int64) {
	const megabyte = 1 << 20
	shown := int64(-1)
	return func(bytes int64) {
		if done := bytes / megabyte; done != shown {
			shown = done
			bar.show(int(done), int(max(total, bytes)/megabyte), 0, "megabytes")
		}
	}
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
	sayLacks(inv, choice)
	return nil
}

// sayLacks names the things that a restored tenant lacks.
func sayLacks(inv *Invocation, choice *backups.Choice) {
	if lacks := choice.Lacks(); lacks != "" {
		say(inv.Stderr, "it lacks "+oneLine(lacks))
	}
}

// undelete makes a deleted tenant again.
func (c *tenantsRestoreCommand) undelete(ctx context.Context, in *installation, m *tenants.Manager) error {
	slug, err := models.ParseSlug(c.Slug)
	if err != nil {
		return tenantError(c.Slug, err)
	}
	inv := in.invocation
	return in.withBackups(ctx, func(all *backups.Backups, identities []age.Identity) error {
		choice, err := all.ChooseDeleted(ctx, slug, c.wanted(), identities)
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
}
