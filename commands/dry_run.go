package commands

import (
	"context"
	"errors"
	"fmt"

	"multitenant/database"
	"multitenant/tenants/fleet"
)

// dryRun says what migrate would do, and changes nothing.
func (c *migrateRunCommand) dryRun(ctx context.Context, inv *Invocation, all *fleet.Fleet, plan fleet.Plan) error {
	if err := all.CheckCore(ctx); err != nil && !errors.Is(err, database.ErrOlderSchema) {
		return err
	}
	status, err := all.Status(ctx)
	if err != nil {
		return err
	}
	registered, err := all.HasRegistry(ctx)
	if err != nil {
		return err
	}
	core := coreView{From: status.CoreVersion, To: status.CoreLatest}
	items := []moveView{}
	if registered {
		err = all.EachBehind(ctx, plan, func(move fleet.Move) error {
			items = append(items, newMoveView(move, nil))
			return nil
		})
	}
	if err != nil {
		return c.named(err)
	}
	if c.JSON {
		return writeJSON(inv.Stdout, map[string]any{"core": core, "items": items})
	}
	return c.showDryRun(inv, core, items, registered)
}

func (c *migrateRunCommand) showDryRun(inv *Invocation, core coreView, items []moveView, registered bool) error {
	table := newTable(inv.Stdout)
	if core.From != core.To {
		say(table, fmt.Sprintf("core\t%s\t->\t%s", orNone(core.From), core.To))
	}
	for _, item := range items {
		say(table, fmt.Sprintf("%s\t%s\t->\t%s", item.Tenant, orNone(item.From), item.To))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if !registered {
		say(inv.Stdout, "There is no registry of tenants before core is migrated.")
		return nil
	}
	say(inv.Stdout, countTenants(len(items))+" would be migrated.")
	return nil
}
