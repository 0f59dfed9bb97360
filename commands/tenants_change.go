package commands

import (
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
		"no organization and has no users: whoever knows its slug may register there, and the command line alone manages it."
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
		plan, err := c.plan(ctx, m)
		if err == nil {
			err = m.Provision(ctx, plan)
		}
		if err != nil {
			return tenantError(c.Slug, err)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is created", c.Slug))
		return nil
	})
}

func (c *tenantsCreateCommand) plan(ctx context.Context, m *tenants.Manager) (tenants.Plan, error) {
	slug, err := models.ParseSlug(c.Slug)
	plan := tenants.Plan{
		Slug: slug,
		Seed: func(context.Context, *tenants.Tenant) error { return nil },
		Done: func(ctx context.Context, tx *gorm.DB, tenantID string) error {
			return recordTenant(ctx, tx, models.ActionOrganizationCreated, slug, tenantID)
		},
	}
	if err != nil || c.Owner == "" {
		return plan, err
	}
	owner, err := models.FindUserByEmail[models.CoreUser](ctx, m.Core(), c.Owner)
	if err != nil {
		return plan, fmt.Errorf("owner: %w", err)
	}
	name := c.Name
	if name == "" {
		name = c.Slug
	}
	var checks models.Checks
	checks.RequiredText("name", &name, models.MaxNameLength)
	if wrong, ok := errors.AsType[*models.Error](checks.Err()); ok {
		return plan, errors.New("--name " + wrong.Fields[0].Message)
	}
	org := models.Organization{Name: name, Slug: slug, IsActive: true, Registration: models.RegistrationOpen}
	event := models.NewOperatorEvent(models.ActionOrganizationCreated)
	return tenants.PlanOrganization(event, &org, &owner, 0), nil
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
		if !record.Status.IsSettled() {
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

	Yes bool `help:"Do not ask."`
}

// Help describes the command.
func (tenantsDeleteCommand) Help() string {
	return "The tenant is refused to everybody at once, by servers within 2 seconds; then its database, its organization and " +
		"its row of the registry go. Where it is interrupted, a server finishes it, or this command when it is run again."
}

// Run deletes the tenant.
func (c *tenantsDeleteCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		if err != nil {
			return err
		}
		if !record.Status.IsSettled() && record.Status != models.TenantDeleting {
			return tenantError(c.Slug, fmt.Errorf("it is %s: a server removes what was left unfinished", record.Status))
		}
		question := fmt.Sprintf("Tenant %q will be deleted with all its data, for good.", c.Slug)
		if err := confirm(inv, c.Yes, question, c.Slug); err != nil {
			return err
		}
		err = m.Delete(ctx, record.ID, func(ctx context.Context, tx *gorm.DB) error {
			return recordTenant(ctx, tx, models.ActionOrganizationDeleted, record.Slug, record.ID)
		})
		if err != nil {
			return tenantError(c.Slug, err)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is deleted", c.Slug))
		return nil
	})
}
