package commands

import (
	"context"
	"errors"
	"fmt"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants/fleet"
)

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
