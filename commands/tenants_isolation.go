package commands

import (
	"context"
	"fmt"

	"multitenant/database"
	"multitenant/tenants/fleet"
)

type tenantsIsolationCommand struct {
	parallelFlag `embed:""`

	Tenant string `placeholder:"SLUG" help:"Try as this tenant; any that is ready if it is not given."`
	JSON   bool   `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (tenantsIsolationCommand) Help() string {
	return "Tries, as a tenant and with its own role, to reach other tenants, core and the server in every way there is, on " +
		"the live system; and opens each tenant's database to look whether every tenant is closed to all others. Each trial is undone, and leaves nothing " +
		"behind where it succeeds. A way that only the server's administrator can close is a note. The exit code is 1 when a " +
		"trial failed: when something was not refused."
}

type trialView struct {
	Trial  string          `json:"trial"`
	Result database.Result `json:"result"`
	Detail string          `json:"detail"`
}

// Run tries.
func (c *tenantsIsolationCommand) Run(ctx context.Context, inv *Invocation) error {
	return withFleet(ctx, inv, false, func(all *fleet.Fleet) error {
		trials, err := c.try(ctx, inv, all)
		if err != nil {
			return err
		}
		views := make([]trialView, len(trials))
		failures, notes := 0, 0
		for i, trial := range trials {
			views[i] = trialView{Trial: trial.Name, Result: trial.Result, Detail: oneLine(trial.Detail)}
			switch trial.Result {
			case database.ResultFail:
				failures++
			case database.ResultNote:
				notes++
			case database.ResultPass:
			}
		}
		if err := c.show(inv, views); err != nil {
			return err
		}
		if !c.JSON {
			say(inv.Stdout, fmt.Sprintf("%d trials: %d passed, %d noted, %d failed", len(views), len(views)-notes-failures, notes, failures))
		}
		if failures > 0 {
			return withHint(fmt.Errorf("%d of %d trials failed: tenants are not kept apart", failures, len(views)),
				"`multitenant tenants doctor --repair` gives roles and rights again")
		}
		return nil
	})
}

func (c *tenantsIsolationCommand) try(ctx context.Context, inv *Invocation, all *fleet.Fleet) ([]database.Trial, error) {
	flags := fleetFlags{parallelFlag: c.parallelFlag, Tenant: c.Tenant}
	plan, err := flags.plan()
	if err != nil {
		return nil, err
	}
	bar := startProgress(inv, "trying")
	trials, err := all.TryIsolation(ctx, plan, bar.update)
	bar.finish()
	return trials, flags.named(err)
}

func (c *tenantsIsolationCommand) show(inv *Invocation, views []trialView) error {
	if c.JSON {
		return writeJSON(inv.Stdout, views)
	}
	table := newTable(inv.Stdout).withStatus(inv, 0)
	for _, view := range views {
		say(table, fmt.Sprintf("%s\t%s\t%s", view.Result, view.Trial, view.Detail))
	}
	return wrapOutput(table.Flush())
}
