package commands

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"multitenant/backups"
	"multitenant/models"
	"multitenant/tenants"
)

// tenantsCommand has the commands about single tenants.
type tenantsCommand struct {
	group

	List    tenantsListCommand    `cmd:"" help:"List tenants."`
	Show    tenantsShowCommand    `cmd:"" help:"Show one tenant."`
	Create  tenantsCreateCommand  `cmd:"" help:"Make a tenant."`
	Suspend tenantsSuspendCommand `cmd:"" help:"Refuse all requests to a tenant until it is resumed."`
	Resume  tenantsResumeCommand  `cmd:"" help:"Accept requests again."`
	Delete  tenantsDeleteCommand  `cmd:"" help:"Delete a tenant with all its data, for good."`
	Rename  tenantsRenameCommand  `cmd:"" help:"Give a tenant another slug."`
	Restore tenantsRestoreCommand `cmd:"" help:"Restore a tenant, in place or as a new one, or make a deleted one again."`
	Clone   tenantsCloneCommand   `cmd:"" help:"Make a new tenant of another."`
	Export  tenantsExportCommand  `cmd:"" help:"Write all that a tenant has into a file for its customer."`
	Import  tenantsImportCommand  `cmd:"" help:"Make a new tenant of an export."`
	Release tenantsReleaseCommand `cmd:"" help:"Free the slug of a deleted tenant, or an alias."`

	Exec tenantsExecCommand `cmd:"" help:"Run SQL in a tenant's database, or in all."`
	SQL  tenantsSQLCommand  `cmd:"" name:"sql" help:"Open psql or sqlite3 as a tenant."`

	Doctor    tenantsDoctorCommand    `cmd:"" help:"Find what is wrong with tenants, and mend it."`
	Isolation tenantsIsolationCommand `cmd:"" help:"Try to cross from tenant to tenant."`
}

// tenantArgument is the tenant a command is about.
type tenantArgument struct {
	Slug string `arg:"" placeholder:"SLUG" help:"The tenant's slug."`
}

// find reads the tenant's row of the registry.
func (a *tenantArgument) find(ctx context.Context, m *tenants.Manager) (models.Tenant, error) {
	slug, err := models.ParseSlug(a.Slug)
	if err != nil {
		return models.Tenant{}, tenantError(a.Slug, err)
	}
	record, err := models.FindTenantBySlug(ctx, m.Core(), slug)
	if err != nil {
		return record, tenantError(a.Slug, err)
	}
	return record, nil
}

type tenantsShowCommand struct {
	tenantArgument `embed:""`

	JSON bool `name:"json" help:"Write it as JSON."`
}

type organizationView struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	OwnerID    int64  `json:"owner_id"`
	OwnerEmail string `json:"owner_email"`
}

type tenantShowView struct {
	tenantView

	Server       string            `json:"server"`       // hosts and ports; a folder on SQLite
	SizeBytes    *int64            `json:"size_bytes"`   // of its database; null where it cannot be read
	Organization *organizationView `json:"organization"` // null for a tenant that a registration made
	Backups      *backupsView      `json:"backups"`      // null without BACKUP_URL, and where it cannot be read
}

// Run shows one tenant.
func (c *tenantsShowCommand) Run(ctx context.Context, inv *Invocation) error {
	return withInstallation(ctx, inv, func(in *installation, m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		if err != nil {
			return err
		}
		view := tenantShowView{tenantView: newTenantView(&record), Server: filepath.Dir(in.backend.Place())} // without the name of core
		if view.Organization, err = findOrganization(ctx, m, record.ID); err != nil {
			return tenantError(c.Slug, err)
		}
		if view.SizeBytes, err = findSize(ctx, in, record.DatabaseName); err != nil {
			say(inv.Stderr, "its size cannot be read: "+oneLine(err.Error()))
		}
		if view.Backups, err = findBackups(ctx, in, m, record.ID); err != nil {
			say(inv.Stderr, "its backups cannot be read: "+oneLine(err.Error()))
		}
		if c.JSON {
			return writeJSON(inv.Stdout, view)
		}
		return view.show(inv)
	})
}

func findSize(ctx context.Context, in *installation, name string) (*int64, error) {
	bytes, err := in.backend.Size(ctx, name)
	if err != nil {
		return nil, err
	}
	return &bytes, nil
}

// findOrganization returns nil for a tenant that has none.
func findOrganization(ctx context.Context, m *tenants.Manager, tenantID string) (*organizationView, error) {
	org, err := models.FindOrganizationOf(ctx, m.Core(), tenantID)
	if models.IsKind(err, models.KindOrganizationNotFound) {
		return nil, nil //nolint:nilnil // not an error, and there is no organization
	}
	if err != nil {
		return nil, err
	}
	owner, err := models.FindOwner(ctx, m.Core(), tenantID)
	if err != nil {
		return nil, err
	}
	return &organizationView{ID: org.ID, Name: org.Name, OwnerID: org.OwnerID, OwnerEmail: owner.Email}, nil
}

func (v *tenantShowView) show(inv *Invocation) error {
	table := newTable(inv.Stdout)
	say(table, "tenant\t"+v.name())
	say(table, "id\t"+v.ID)
	say(table, "status\t"+inv.colour(inv.Stdout, colourOf(string(v.Status)), v.state()))
	say(table, "server\t"+v.Server)
	say(table, "database\t"+v.DatabaseName)
	if v.SizeBytes != nil {
		say(table, "size\t"+inMB(*v.SizeBytes))
	}
	say(table, "schema\t"+orNone(v.SchemaVersion))
	if v.Error != "" {
		say(table, "error\t"+oneLine(v.Error))
	}
	if v.Organization != nil {
		say(table, fmt.Sprintf("organization\t%q, owned by %s", v.Organization.Name, v.Organization.OwnerEmail))
	}
	if v.Backups != nil {
		say(table, "last backup\t"+orNever(v.Backups.LastGood))
		say(table, "last proven\t"+orNever(v.Backups.LastProven))
	}
	say(table, "created\t"+v.CreatedAt.Format(time.RFC3339))
	say(table, "updated\t"+v.UpdatedAt.Format(time.RFC3339))
	return wrapOutput(table.Flush())
}

// backupsView says when the newest backups of a tenant were taken.
type backupsView struct {
	LastGood   *time.Time `json:"last_good"` // null if there is none, as below
	LastProven *time.Time `json:"last_proven"`
}

// findBackups returns nil where no store is set.
func findBackups(ctx context.Context, in *installation, m *tenants.Manager, id string) (view *backupsView, err error) {
	settings := &in.config.Backups
	if settings.Place.IsNone() {
		return nil, nil //nolint:nilnil // not an error, and there is no store
	}
	kept, err := openStore(settings, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	shelf, err := backups.FindShelf(ctx, kept, m.InstallationID(), id)
	if err != nil {
		return nil, err
	}
	good, proven := shelf.Newest(time.Now())
	view = &backupsView{}
	if !good.IsZero() {
		view.LastGood = &good
	}
	if !proven.IsZero() {
		view.LastProven = &proven
	}
	return view, nil
}

func orNever(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.Format(time.RFC3339)
}
