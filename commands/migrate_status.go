package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
	"multitenant/tenants/fleet"
)

type migrateStatusCommand struct {
	Check bool `help:"Exit with 1 if anything is behind, or has failed."`
	JSON  bool `name:"json" help:"Write it as JSON."`
}

// Help describes the command.
func (migrateStatusCommand) Help() string {
	return "Reads the registry in core alone, and opens no tenant's database. It works on a core database of any schema. " +
		"Tenants that are being made or removed do not count; spare databases are counted apart. With --check the exit code " +
		"is 1 while core, a tenant or a spare is behind, or the last migration of a tenant has failed."
}

type migrateListCommand struct {
	JSON bool `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (migrateListCommand) Help() string {
	return "They are in the order in which they are run. It needs neither settings nor a database: migrate status says how far " +
		"the databases are."
}

// migrationView is a migration as programs see it.
type migrationView struct {
	ID         string `json:"id"`
	Database   string `json:"database"` // core, or tenant for that of each tenant
	Does       string `json:"does"`
	Reversible bool   `json:"reversible"` // migrate rollback can take it back
}

func (v migrationView) row() string {
	back := "no"
	if v.Reversible {
		back = "yes"
	}
	return v.Database + "\t" + v.ID + "\t" + v.Does + "\t" + back
}

// Run lists.
func (c *migrateListCommand) Run(inv *Invocation) error {
	list := newListing(inv, c.JSON, "DATABASE\tMIGRATION\tDOES\tCAN GO BACK")
	ofTenants := inv.Migrations
	if ofTenants == nil {
		ofTenants = migrations.Tenant()
	}
	for _, each := range []struct {
		database     string
		migrations   []*gormigrate.Migration
		isReversible bool
	}{{"core", migrations.Core(""), false}, {"tenant", ofTenants, true}} {
		for _, migration := range each.migrations {
			_, name, _ := strings.Cut(migration.ID, "_") // after the time
			view := migrationView{
				ID: migration.ID, Database: each.database, Does: strings.ReplaceAll(name, "_", " "), Reversible: each.isReversible && migration.Rollback != nil,
			}
			if err := list.add(view); err != nil {
				return err
			}
		}
	}
	return list.end()
}

type statusView struct {
	Core struct {
		Version string `json:"version"`
		Latest  string `json:"latest"`
	} `json:"core"`
	Tenants struct {
		Latest   string        `json:"latest"`
		Total    int           `json:"total"`
		Pending  int           `json:"pending"`
		Failed   int           `json:"failed"`
		Newer    int           `json:"newer"`
		Versions []versionView `json:"versions"`
	} `json:"tenants"`
	Spares struct {
		Total   int `json:"total"`
		Pending int `json:"pending"`
	} `json:"spares"`
	Failures []tenantView `json:"failures"`
}

type versionView struct {
	SchemaVersion string `json:"schema_version"`
	Tenants       int    `json:"tenants"`
}

// Run shows the status.
func (c *migrateStatusCommand) Run(ctx context.Context, inv *Invocation) error {
	return withFleet(ctx, inv, true, func(all *fleet.Fleet) error {
		status, err := all.Status(ctx)
		if err != nil {
			return err
		}
		view := newStatusView(&status)
		if status.Failed > 0 {
			err = all.EachFailed(ctx, func(record *models.Tenant) error {
				view.Failures = append(view.Failures, newTenantView(record))
				return nil
			})
		}
		if err != nil {
			return err
		}
		show := func() error { return view.show(inv) }
		if c.JSON {
			show = func() error { return writeJSON(inv.Stdout, view) }
		}
		return errors.Join(show(), c.judge(&status))
	})
}

func (c *migrateStatusCommand) judge(status *fleet.Status) error {
	if c.Check && (status.IsPending() || status.Failed > 0) {
		return withHint(errors.New("work is pending"), "`multitenant migrate` does it")
	}
	return nil
}

func newStatusView(status *fleet.Status) *statusView {
	view := &statusView{Failures: []tenantView{}}
	view.Core.Version, view.Core.Latest = status.CoreVersion, status.CoreLatest
	view.Tenants.Latest, view.Tenants.Total = status.Latest, status.Total
	view.Tenants.Pending, view.Tenants.Failed, view.Tenants.Newer = status.Pending, status.Failed, status.Newer
	view.Spares.Total, view.Spares.Pending = status.Spares, status.SparesPending
	view.Tenants.Versions = make([]versionView, 0, len(status.Versions))
	for _, count := range status.Versions {
		if count.Tenants > 0 {
			view.Tenants.Versions = append(view.Tenants.Versions, versionView{count.SchemaVersion, count.Tenants})
		}
	}
	return view
}

func (v *statusView) show(inv *Invocation) error {
	table := newTable(inv.Stdout)
	say(table, fmt.Sprintf("core\thas %s\tthis program's is %s", orNone(v.Core.Version), v.Core.Latest))
	for _, version := range v.Tenants.Versions {
		say(table, fmt.Sprintf("%s\thave %s\tthis program's is %s",
			countTenants(version.Tenants), orNone(version.SchemaVersion), v.Tenants.Latest))
	}
	if err := wrapOutput(table.Flush()); err != nil {
		return err
	}
	say(inv.Stdout, fmt.Sprintf("tenants: %d, of which %d pending, %d failed, %d of a newer version",
		v.Tenants.Total, v.Tenants.Pending, v.Tenants.Failed, v.Tenants.Newer))
	if v.Spares.Total > 0 {
		say(inv.Stdout, fmt.Sprintf("spares: %d, of which %d pending", v.Spares.Total, v.Spares.Pending))
	}
	for _, failure := range v.Failures {
		say(inv.Stdout, failure.name()+": "+oneLine(failure.Error))
	}
	return nil
}

type migrateRollbackCommand struct {
	fleetFlags `embed:""`

	To  string `required:"" placeholder:"ID" help:"The last migration that stays."`
	Yes bool   `help:"Do not ask."`
}

// Help describes the command.
func (migrateRollbackCommand) Help() string {
	return `What was migrated after --to is undone in every tenant's database, the newest first, under the tenant's lock and in ` +
		`one transaction each; the registry keeps the version. It refuses before anything is touched when --to is unknown, or ` +
		`when a migration in between has no way back. It goes on and ends as migrate does. The way back of the ` +
		`first migrations is refused in a database that belongs to a tenant or holds audit events. Core is not rolled back: ` +
		`a program that is older than core's schema does not start.` + "\n\n" +
		`To take a release back, first deploy the older program everywhere: it serves tenants that a newer one has migrated, ` +
		`since released migrations only add. Then run this with the newer program, which knows the way back. In that order ` +
		`no server uses what is removed. A server of the newer program that still runs would fail on it, and would migrate a ` +
		`tenant again when it next opens its database.`
}

// Run rolls back.
func (c *migrateRollbackCommand) Run(ctx context.Context, inv *Invocation) error {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	return withFleet(ctx, inv, false, func(all *fleet.Fleet) error {
		ahead, err := all.CountAhead(ctx, plan, c.To)
		if err != nil {
			return c.nameTenant(err)
		}
		if ahead == 0 {
			say(inv.Stdout, "No tenant has a later migration.")
			return nil
		}
		question := fmt.Sprintf("%s will be rolled back to %s; what later migrations added is lost.", countTenants(ahead), c.To)
		if err := confirm(inv, c.Yes, question, "yes"); err != nil {
			return err
		}
		bar := startProgress(inv, "rolling back")
		summary, err := all.Rollback(ctx, plan, c.To, bar.update)
		bar.finish()
		say(inv.Stdout, fmt.Sprintf("tenants: %d rolled back, %d failed, %d left",
			summary.Done, len(summary.Failures), summary.Left()))
		sayFailures(inv, &summary)
		return runError(ctx, &summary, c.nameTenant(err))
	})
}

// nameTenant adds the tenant to the error if the tenant is not found. Other errors
// concern the migration.
func (c *migrateRollbackCommand) nameTenant(err error) error {
	switch {
	case models.IsKind(err, models.KindTenantNotFound):
		return c.named(err)
	case errors.Is(err, database.ErrNoMigration):
		return withHint(err, "`multitenant migrate list` lists the migrations")
	}
	return err
}
