package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"multitenant/backups/export"
	"multitenant/models"
	"multitenant/tenants"
)

type tenantsExportCommand struct {
	tenantArgument `embed:""`

	File string `arg:"" type:"path" placeholder:"FILE" help:"The ZIP that is made; there must be no file of that name."`
	JSON bool   `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (tenantsExportCommand) Help() string {
	return "Writes a ZIP with a file of JSON Lines for each table, as the tenant is at one moment, while it is used. The tables that " +
		"your own migrations make are in it. Passwords, tokens and sessions are not. The file has all personal data of the " +
		"tenant's users: only you can read it. It is whole or, also when the command is killed, not there."
}

// exportedView is an export as programs see it.
type exportedView struct {
	File       string         `json:"file"`
	Bytes      int64          `json:"bytes"`
	ExportedAt time.Time      `json:"exported_at"`
	Tables     []export.Table `json:"tables"`
	Lacks      []string       `json:"lacks"` // objects that no migration makes
}

// Run exports.
func (c *tenantsExportCommand) Run(ctx context.Context, inv *Invocation) error {
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		if err != nil {
			return err
		}
		databases, err := tenants.OpenDatabases(ctx, in.options())
		if err != nil {
			return err
		}
		view, err := c.export(ctx, inv, databases, &record)
		if err != nil {
			return tenantError(c.Slug, err)
		}
		if c.JSON {
			return writeJSON(inv.Stdout, view)
		}
		say(inv.Stdout, fmt.Sprintf("tenant %q is exported to %s", c.Slug, c.File))
		if len(view.Lacks) > 0 {
			say(inv.Stderr, "it lacks "+oneLine(strings.Join(view.Lacks, ", ")))
		}
		return nil
	})
}

// export makes the file. The event is on record before the file has its name.
func (c *tenantsExportCommand) export(
	ctx context.Context, inv *Invocation, d *tenants.Databases, record *models.Tenant,
) (*exportedView, error) {
	session, err := d.Lock(ctx, record.ID)
	if models.IsKind(err, models.KindBusy) {
		err = tenants.ErrAtWork
	}
	if err != nil {
		return nil, err
	}
	defer session.Unlock()
	view := &exportedView{File: c.File}
	bar := startProgress(inv, "exporting")
	defer bar.finish()
	show := inMegabytes(bar, 0)
	err = putFile(ctx, c.File, func(w io.Writer) error {
		made, err := export.Write(ctx, d, record.ID, w, func(bytes int64) {
			view.Bytes = bytes
			show(bytes)
		})
		if err != nil {
			return err
		}
		view.ExportedAt, view.Tables, view.Lacks = made.ExportedAt, made.Tables, made.Lacks
		return recordExport(ctx, d, record)
	})
	return view, err
}

func recordExport(ctx context.Context, d *tenants.Databases, record *models.Tenant) error {
	org, err := organizationOf(ctx, d.Core, record)
	if err != nil {
		return err
	}
	return models.Record(ctx, d.Core, eventAbout(models.ActionOrganizationExported, record, org))
}

type tenantsImportCommand struct {
	File  string `arg:"" type:"path" placeholder:"FILE" help:"The ZIP that tenants export has made."`
	As    string `required:"" placeholder:"SLUG" help:"The slug of the tenant that is made."`
	Owner string `placeholder:"EMAIL" help:"The core user who gets it; without one it has no organization."`
	Yes   bool   `help:"Do not ask."`
	JSON  bool   `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (tenantsImportCommand) Help() string {
	return "Makes a new tenant of an export, of either engine. All of the file is compared with its sums first. Users come without " +
		"passwords: the owner, or users reset-password, gives each a token for a new one. Sessions and invitations are not " +
		"imported, and of the users who belonged to core users only the owner belongs to one. The export may be of an older " +
		"schema, not of a newer one. The new tenant is whole or, also when the command is killed, not there."
}

// importedView is a tenant that was made of an export.
type importedView struct {
	tenantView

	From       models.Slug `json:"from"`
	ExportedAt time.Time   `json:"exported_at"`
	Owner      string      `json:"owner"` // the address; empty for a tenant without an organization
}

// Run imports.
func (c *tenantsImportCommand) Run(ctx context.Context, inv *Invocation) error {
	as, err := models.ParseSlug(c.As)
	if err != nil {
		return tenantError(c.As, err)
	}
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) (err error) {
		order := &export.Import{As: as}
		if order.Owner, err = findOwner(ctx, m, c.Owner); err != nil {
			return err
		}
		if order.File, err = export.Open(ctx, c.File); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		defer func() { err = errors.Join(err, order.File.Close()) }()
		then := &order.File.Manifest
		question := fmt.Sprintf("The export of tenant %q of %s will be imported as %q.", then.Tenant.Slug, then.ExportedAt.Format(time.RFC3339), c.As)
		if err := confirm(inv, c.Yes, question, c.As); err != nil {
			return err
		}
		made, err := c.load(ctx, in, m, order)
		if err != nil {
			return tenantError(c.As, err)
		}
		return c.show(inv, order, made)
	})
}

// load shows progress while it imports.
func (*tenantsImportCommand) load(ctx context.Context, in *installation, m *tenants.Manager, order *export.Import) (*models.Tenant, error) {
	databases, err := tenants.OpenDatabases(ctx, in.options())
	if err != nil {
		return nil, err
	}
	var total int64
	for i := range order.File.Manifest.Tables {
		total += order.File.Manifest.Tables[i].Bytes
	}
	bar := startProgress(in.invocation, "importing")
	defer bar.finish()
	order.Report = inMegabytes(bar, total)
	return order.Run(ctx, m, databases)
}

func (c *tenantsImportCommand) show(inv *Invocation, order *export.Import, made *models.Tenant) error {
	then := &order.File.Manifest
	view := importedView{tenantView: newTenantView(made), From: then.Tenant.Slug, ExportedAt: then.ExportedAt}
	if order.Owner != nil {
		view.Owner = order.Owner.Email
	}
	if c.JSON {
		return writeJSON(inv.Stdout, view)
	}
	say(inv.Stdout, fmt.Sprintf("the export of tenant %q is imported as %q", then.Tenant.Slug, c.As))
	say(inv.Stdout, fmt.Sprintf("its users have no passwords: give each a token by users reset-password --tenant %s EMAIL", c.As))
	return nil
}
