package commands

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"multitenant/backups"
	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// outsideFlags say where another program has restored a tenant.
type outsideFlags struct {
	From       string `placeholder:"URL" xor:"source" help:"Restore from this database of another PostgreSQL server, postgres://user@host/database."`
	File       string `type:"path" xor:"source" help:"Restore from this file of SQLite, which no program has open."`
	Incomplete bool   `help:"Go on where the database of --from has things that no migration makes. They are named, and left out."`
}

func (f *outsideFlags) outside() database.Outside { return database.Outside{URL: f.From, File: f.File} }

// Validate is called by kong. All users of a machine can read the arguments of a process.
func (f *outsideFlags) Validate() error {
	before, _, after := database.CutHosts(f.From)
	parsed, err := url.Parse(before + "host" + after)
	if err != nil {
		return errors.New("--from is no URL") // err quotes it
	}
	_, hasPassword := parsed.User.Password()
	if query := parsed.Query(); hasPassword || query.Has("password") || query.Has("sslpassword") {
		return errors.New("--from has a password, which others can read: give it by PGPASSWORD or PGPASSFILE")
	}
	return nil
}

// momentView is a tenant that was made of one outside.
type momentView struct {
	tenantView

	From        string   `json:"from"`
	Owner       string   `json:"owner"`       // the address; empty for a tenant without an organization
	Unexplained []string `json:"unexplained"` // what it lacks
}

// restoreOutside restores from --from or --file.
func (c *tenantsRestoreCommand) restoreOutside(
	ctx context.Context, in *installation, m *tenants.Manager, source, as models.Slug,
) error {
	databases, err := tenants.OpenDatabases(ctx, in.options())
	if err != nil {
		return err
	}
	all, err := backups.New(&backups.Options{Databases: databases})
	if err != nil {
		return err
	}
	moment, err := all.Look(ctx, source, c.outside())
	if err != nil {
		return tenantError(c.Slug, err)
	}
	if len(moment.Unexplained) > 0 && !c.Incomplete {
		return tenantError(c.Slug, fmt.Errorf("the new tenant would lack %s: to restore it all the same, add --incomplete",
			strings.Join(moment.Unexplained, ", ")))
	}
	question := fmt.Sprintf("Tenant %q as it is in %s will be restored as %q.", c.Slug, c.outside(), c.As)
	if err := confirm(in.invocation, c.Yes, question, c.As); err != nil {
		return err
	}
	made, err := c.restore(in.invocation, 0, func(report func(int64)) (*models.Tenant, error) {
		return all.RestoreMoment(ctx, m, moment, as, report)
	})
	if err != nil {
		return tenantError(c.As, err)
	}
	return c.showMoment(in.invocation, moment, made)
}

func (c *tenantsRestoreCommand) showMoment(inv *Invocation, moment *backups.Moment, made *models.Tenant) error {
	view := momentView{tenantView: newTenantView(made), From: c.outside().String(), Unexplained: moment.Unexplained}
	if moment.Owner != nil {
		view.Owner = moment.Owner.Email
	}
	if c.JSON {
		return writeJSON(inv.Stdout, view)
	}
	say(inv.Stdout, fmt.Sprintf("tenant %q as it is in %s is restored as %q", c.Slug, view.From, c.As))
	if len(moment.Unexplained) > 0 {
		say(inv.Stderr, lacks(moment.Unexplained))
	}
	return nil
}
