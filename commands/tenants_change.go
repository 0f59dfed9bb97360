package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/tenants"
)

type tenantsCreateCommand struct {
	tenantArgument `embed:""`

	Owner string `placeholder:"EMAIL" help:"The core user who gets it, as an organization."`
	Name  string `help:"The organization's name; the slug if it is not given."`
}

// Help describes the command.
func (tenantsCreateCommand) Help() string {
	return "With --owner it makes an organization and its tenant, as the API does. Without, it makes a tenant that belongs to " +
		"no organization and has no users: any user who knows its slug may register there, as a member. `users create` makes an owner."
}

// Validate is called by kong.
func (c *tenantsCreateCommand) Validate() error {
	if c.Name != "" && c.Owner == "" {
		return errors.New("--name needs --owner: without an owner there is no organization to name")
	}
	return nil
}

// Run makes the tenant.
func (c *tenantsCreateCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		if err := c.create(ctx, m); err != nil {
			return tenantError(c.Slug, err)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is created", c.Slug))
		return nil
	})
}

func (c *tenantsCreateCommand) create(ctx context.Context, m *tenants.Manager) error {
	slug, err := models.ParseSlug(c.Slug)
	if err != nil {
		return err
	}
	event := models.NewOperatorEvent(models.ActionOrganizationCreated)
	if c.Owner == "" {
		return m.CreateTenant(ctx, event, slug)
	}
	owner, err := models.FindUserByEmail[models.CoreUser](ctx, m.Core(), c.Owner)
	if err != nil {
		return ownerError(err)
	}
	name := cmp.Or(c.Name, c.Slug)
	var checks models.Checks
	checks.RequiredText("name", &name, models.MaxNameLength)
	if wrong, ok := errors.AsType[*models.Error](checks.Err()); ok {
		return errors.New("--name " + wrong.Fields[0].Message)
	}
	org := models.Organization{Name: name, Slug: slug, IsActive: true, Registration: models.RegistrationOpen}
	return m.CreateOrganization(ctx, event, &org, &owner, tenants.Allowance{})
}

type tenantsSuspendCommand struct {
	tenantArgument `embed:""`
}

// Run suspends the tenant.
func (c *tenantsSuspendCommand) Run(ctx context.Context, inv *Invocation) error {
	return setSuspended(ctx, inv, &c.tenantArgument, true)
}

type tenantsResumeCommand struct {
	tenantArgument `embed:""`
}

// Run resumes the tenant.
func (c *tenantsResumeCommand) Run(ctx context.Context, inv *Invocation) error {
	return setSuspended(ctx, inv, &c.tenantArgument, false)
}

// setSuspended does what the owner does by is_active; servers notice within 2 s.
func setSuspended(ctx context.Context, inv *Invocation, argument *tenantArgument, suspended bool) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		record, err := argument.find(ctx, m)
		if err != nil {
			return err
		}
		if !record.Status.IsFinished() {
			return tenantError(argument.Slug, fmt.Errorf("it is %s", record.Status))
		}
		state, action := models.TenantReady, models.ActionOrganizationResumed
		if suspended {
			state, action = models.TenantSuspended, models.ActionOrganizationSuspended
		}
		err = m.SetSuspended(ctx, record.ID, suspended, func(ctx context.Context, tx *gorm.DB) error {
			return setActive(ctx, tx, action, &record, !suspended)
		})
		if err != nil {
			return tenantError(argument.Slug, err)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is %s", argument.Slug, state))
		return nil
	})
}

type tenantsDeleteCommand struct {
	tenantArgument `embed:""`

	WithoutBackup bool `help:"Make no last backup, also if one was due."`
	Yes           bool `help:"Do not ask."`
}

// Help describes the command.
func (tenantsDeleteCommand) Help() string {
	return "All requests to the tenant are refused, by servers within 2 seconds; then its database, its organization and " +
		"its row of the registry go. With BACKUP_URL a last backup is made before, of which `tenants restore` makes the tenant " +
		"again. Where the deletion is interrupted, a server finishes it, or this command when it is run again."
}

// Run deletes the tenant.
func (c *tenantsDeleteCommand) Run(ctx context.Context, inv *Invocation) error {
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		if err != nil {
			return err
		}
		if !record.Status.IsFinished() && record.Status != models.TenantDeleting {
			return tenantError(c.Slug, fmt.Errorf("it is %s: a server removes what was left unfinished", record.Status))
		}
		question := fmt.Sprintf("Tenant %q will be deleted with all its data, for good.", c.Slug)
		if m.KeepsLastBackups() && !c.WithoutBackup {
			question = fmt.Sprintf("Tenant %q will be deleted with all its data. A last backup will be kept.", c.Slug)
		}
		if err := confirm(inv, c.Yes, question, c.Slug); err != nil {
			return err
		}
		if err := c.delete(ctx, in, m, &record); err != nil {
			return tenantError(c.Slug, err)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is deleted", c.Slug))
		return nil
	})
}

func (c *tenantsDeleteCommand) delete(ctx context.Context, in *installation, m *tenants.Manager, record *models.Tenant) error {
	org, err := organizationOf(ctx, m.Core(), record)
	if err != nil {
		return err
	}
	event := eventAbout(models.ActionOrganizationDeleted, record, org)
	if c.WithoutBackup {
		if err := m.MarkDeletedWithoutBackup(ctx, record.ID, event); err != nil {
			return err
		}
		return m.FinishDeletion(ctx, record.ID)
	}
	operation, err := m.MarkDeleted(ctx, record.ID, event)
	if err != nil {
		return err
	}
	if operation != "" && m.KeepsLastBackups() {
		return in.finishDeletion(ctx, m, operation)
	}
	err = m.FinishDeletion(ctx, record.ID)
	if errors.Is(err, tenants.ErrNotKept) {
		err = fmt.Errorf("%w: this process has no place for backups: set BACKUP_URL", err)
	}
	return err
}

type tenantsRenameCommand struct {
	tenantArgument `embed:""`

	New string `arg:"" placeholder:"NEW" help:"The new slug."`
}

// Help describes the command.
func (tenantsRenameCommand) Help() string {
	return "The old slug stays an alias of the tenant: it still leads there, and no other tenant can have it, until " +
		"`tenants release` frees it. The database keeps its name. Servers see the new slug within 2 seconds, and no request fails."
}

// Run renames the tenant and its organization, if it has one.
func (c *tenantsRenameCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		if err != nil {
			return err
		}
		slug, err := models.ParseSlug(c.New)
		if err != nil {
			return tenantError(c.New, err)
		}
		if record.Slug == slug {
			return tenantError(c.Slug, errors.New("that is its slug already"))
		}
		if err := c.rename(ctx, m, &record, slug); err != nil {
			return tenantError(c.New, err)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is %q now", record.Slug, slug))
		return nil
	})
}

func (c *tenantsRenameCommand) rename(ctx context.Context, m *tenants.Manager, record *models.Tenant, slug models.Slug) error {
	org, err := organizationOf(ctx, m.Core(), record)
	if err != nil {
		return err
	}
	renamed, by := *record, models.Claimant{TenantID: record.ID}
	renamed.Slug = slug
	if org != nil {
		org.Slug, by.OwnerID = slug, org.OwnerID
	}
	if err := m.CheckNewSlug(ctx, slug, by.OwnerID); err != nil {
		return err
	}
	event := eventAbout(models.ActionOrganizationRenamed, &renamed, org)
	return m.Change(ctx, record.ID, func(ctx context.Context, tx *gorm.DB) error {
		return m.Rename(ctx, tx, event, by, slug)
	})
}

type tenantsReleaseCommand struct {
	tenantArgument `embed:""`
}

// Help describes the command.
func (tenantsReleaseCommand) Help() string {
	return "Anybody may use the slug then. Without the command, the slug of a deleted tenant is kept for the core user who owned " +
		"it, for TENANT_SLUG_REST_DAYS days, and an alias is kept for the tenant that was renamed, for good."
}

// Run frees the slug.
func (c *tenantsReleaseCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		slug, err := models.ParseSlug(c.Slug)
		if err != nil {
			return tenantError(c.Slug, err)
		}
		err = models.ReleaseSlug(ctx, m.Core(), models.NewOperatorEvent(models.ActionSlugReleased), slug)
		if models.IsKind(err, models.KindTenantNotFound) {
			return fmt.Errorf("slug %q is not kept for anybody", slug)
		}
		if err != nil {
			return err
		}
		say(inv.Stdout, fmt.Sprintf("slug %q is released", slug))
		return nil
	})
}
