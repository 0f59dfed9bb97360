package commands

import (
	"context"
	"fmt"
	"strings"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

type tenantsCloneCommand struct {
	tenantArgument `embed:""`

	New   string `arg:"" placeholder:"NEW" help:"The slug of the tenant that is made."`
	Owner string `placeholder:"EMAIL" help:"The core user who gets it; the owner of SLUG if it is not given."`
	Mask  bool   `help:"Replace the addresses, names and passwords of all users but the owner."`
	Yes   bool   `help:"Do not ask."`
	JSON  bool   `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (tenantsCloneCommand) Help() string {
	return "Makes a new tenant of what SLUG has at one moment, while it is used. It needs no backup. Sessions, password resets and " +
		"invitations are not cloned, and of the users who belong to core users only the owner stays one. Users keep their " +
		"passwords, unless --mask is given. The new tenant is whole or, also when the command is killed, not there."
}

// clonedView is a tenant that was made of another.
type clonedView struct {
	tenantView

	From   string   `json:"from"`
	Owner  string   `json:"owner"`  // the address; empty for a tenant without an organization
	Lacks  []string `json:"lacks"`  // what no migration makes, and a clone does not have
	Masked []string `json:"masked"` // the columns that were replaced
}

// Run clones.
func (c *tenantsCloneCommand) Run(ctx context.Context, inv *Invocation) error {
	as, err := models.ParseSlug(c.New)
	if err != nil {
		return tenantError(c.New, err)
	}
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		cloning := &tenants.Cloning{As: as, Mask: c.Mask}
		var err error
		if cloning.From, err = c.find(ctx, m); err != nil {
			return err
		}
		if cloning.Owner, err = findOwner(ctx, m, c.Owner); err != nil {
			return err
		}
		if err := confirm(inv, c.Yes, fmt.Sprintf("Tenant %q will be cloned as %q.", c.Slug, c.New), c.New); err != nil {
			return err
		}
		lacks, err := clone(ctx, inv, m, cloning)
		if err != nil {
			return tenantError(c.New, err)
		}
		made, err := models.FindTenantBySlug(ctx, m.Core(), as)
		if err != nil {
			return tenantError(c.New, err)
		}
		view := clonedView{tenantView: newTenantView(&made), From: string(cloning.From.Slug), Lacks: append([]string{}, lacks...), Masked: []string{}}
		if cloning.Owner != nil {
			view.Owner = cloning.Owner.Email
		}
		if c.Mask {
			view.Masked = models.MaskedColumns()
		}
		return c.show(inv, &view)
	})
}

// findOwner returns the core user with that address, or nil if the command line names
// none.
func findOwner(ctx context.Context, m *tenants.Manager, email string) (*models.CoreUser, error) {
	if email == "" {
		return nil, nil //nolint:nilnil // not an error, and there is no owner
	}
	owner, err := models.FindUserByEmail[models.CoreUser](ctx, m.Core(), email)
	if err != nil {
		return nil, ownerError(err)
	}
	return &owner, nil
}

func ownerError(err error) error {
	err = fmt.Errorf("owner: %w", err)
	if models.IsKind(err, models.KindUserNotFound) {
		return withHint(err, "an owner is a core user: `multitenant users list` lists them, `multitenant users create` makes one")
	}
	return err
}

// clone shows progress while it clones, and returns what the clone lacks.
func clone(ctx context.Context, inv *Invocation, m *tenants.Manager, cloning *tenants.Cloning) (lacks []string, err error) {
	const megabyte = 1 << 20
	bar, shown := startProgress(inv, "cloning"), int64(-1)
	defer bar.finish()
	cloning.Report = func(p *database.Passage) {
		lacks = p.Unexplained
		if megabytes := p.Bytes / megabyte; megabytes != shown || p.Done == p.Tables {
			shown = megabytes
			bar.show(p.Done, p.Tables, 0, fmt.Sprintf("tables (%d megabytes)", megabytes))
		}
	}
	err = m.Clone(ctx, cloning)
	return lacks, err
}

func (c *tenantsCloneCommand) show(inv *Invocation, view *clonedView) error {
	if c.JSON {
		return writeJSON(inv.Stdout, view)
	}
	say(inv.Stdout, fmt.Sprintf("tenant %q is cloned as %q", c.Slug, c.New))
	if len(view.Masked) > 0 {
		say(inv.Stdout, "replaced of all users but the owner: "+strings.Join(view.Masked, ", "))
	}
	if len(view.Lacks) > 0 {
		say(inv.Stderr, "it lacks "+oneLine(strings.Join(view.Lacks, ", ")))
	}
	return nil
}
