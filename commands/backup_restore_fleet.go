package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"multitenant/backups"
	"multitenant/config"
	"multitenant/tenants"
)

type backupRestoreFleetCommand struct {
	parallelFlag `embed:""`

	Installation string `placeholder:"ID" help:"Restore this installation, where the store has several."`
	Core         string `placeholder:"ID" help:"Restore core from this backup; from the newest good one if it is not given."`
	Yes          bool   `help:"Do not ask."`
	JSON         bool   `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (backupRestoreFleetCommand) Help() string {
	return "Restores core with its secret, and on SQLite with the token key, from BACKUP_URL, and then every tenant that core has, " +
		"each from its newest backup that is whole. The place must be empty: on PostgreSQL the core database exists without " +
		"tables and the tenants' databases and roles do not exist; on SQLite there are no files. A tenant is open to requests as " +
		"soon as it is back; until then they are answered 503. The databases are not of one moment, so the moment of each is " +
		"printed. Sessions and password resets are not restored, nor are invitations. A tenant without a backup is named, and " +
		"the exit code is 1. Repeat the command after an interruption: it goes on. Encrypted backups need BACKUP_IDENTITY_FILE."
}

// fleetRestoreView is an installation that was brought back.
type fleetRestoreView struct {
	Installation string              `json:"installation"`
	Core         string              `json:"core"` // the id of its backup
	Restored     int                 `json:"restored"`
	Skipped      int                 `json:"skipped"`
	Failed       int                 `json:"failed"`
	Left         int                 `json:"left"`
	Items        []tenantRestoreView `json:"items"`
}

// tenantRestoreView is what became of one tenant.
type tenantRestoreView struct {
	Name    string     `json:"name"`
	Outcome string     `json:"outcome"`
	Backup  string     `json:"backup"`   // empty if it was not restored
	TakenAt *time.Time `json:"taken_at"` // null likewise
	Reason  string     `json:"reason"`   // why it was not restored, or what it lacks
}

// outcomeRestored is one more of the outcomes of a backup.
const outcomeRestored = "restored"

// Run restores.
func (c *backupRestoreFleetCommand) Run(ctx context.Context, inv *Invocation) (err error) {
	in, err := openInstallation(ctx, inv, config.LoadKeyless, false)
	if err != nil {
		return err
	}
	defer in.close()
	settings := &in.config.Backups
	identities, err := readIdentities(settings)
	if err != nil {
		return err
	}
	kept, err := openStore(settings, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	options := in.options()
	options.AnySchema = true // there may be none
	databases, err := tenants.OpenDatabases(ctx, options)
	if err != nil {
		return err
	}
	all, err := backups.New(&backups.Options{Databases: databases, Store: kept, TokenKeyFile: settings.TokenKeyFile})
	if err != nil {
		return err
	}
	fleet, err := all.FindFleet(ctx, c.Installation, c.Core, identities)
	if err != nil {
		return err
	}
	if err := confirm(inv, c.Yes, c.question(fleet), fleet.Installation); err != nil {
		return err
	}
	return c.restore(ctx, inv, all, fleet)
}

func (*backupRestoreFleetCommand) question(fleet *backups.Fleet) string {
	if fleet.IsBegun {
		return fmt.Sprintf("The restoration of installation %s goes on.", fleet.Installation)
	}
	return fmt.Sprintf("Installation %s will be restored, core as of %s.", fleet.Installation, fleet.Core.TakenAt.Format(time.RFC3339))
}

func (c *backupRestoreFleetCommand) restore(ctx context.Context, inv *Invocation, all *backups.Backups, fleet *backups.Fleet) error {
	bar := startProgress(inv, "restoring")
	summary, err := all.RestoreFleet(ctx, fleet, c.Parallel, func(s *backups.Summary) {
		failed := s.Count(func(r *backups.Result) bool { return r.Err != nil })
		bar.show(len(s.Results), s.Total, failed, "tenants")
	})
	bar.finish()
	view := newFleetRestoreView(fleet, &summary)
	ended := c.ended(ctx, &view, err)
	if c.JSON {
		return errors.Join(ended, writeJSON(inv.Stdout, view))
	}
	return errors.Join(ended, view.show(inv))
}

// ended says how the restoration ended; nil when all tenants are back and complete.
func (*backupRestoreFleetCommand) ended(ctx context.Context, view *fleetRestoreView, err error) error {
	lacking := 0
	for i := range view.Items {
		if view.Items[i].Reason != "" && view.Items[i].Outcome != outcomeSkipped {
			lacking++
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %d tenants are not restored: run the command again", view.Left)
	case err != nil:
		return err
	case lacking > 0:
		return fmt.Errorf("%d of %d tenants are not restored or not complete", lacking, len(view.Items))
	}
	return nil
}

func newFleetRestoreView(fleet *backups.Fleet, summary *backups.Summary) fleetRestoreView {
	view := fleetRestoreView{
		Installation: fleet.Installation, Core: fleet.Core.ID, Left: summary.Left(), Items: make([]tenantRestoreView, 0, len(summary.Results)),
	}
	for i := range summary.Results {
		result := &summary.Results[i]
		item := tenantRestoreView{Name: result.Name}
		switch {
		case result.Err != nil:
			item.Outcome, item.Reason = outcomeFailed, oneLine(result.Err.Error())
			view.Failed++
		case result.Record == nil:
			item.Outcome, item.Reason = outcomeSkipped, result.Skipped
			view.Skipped++
		default:
			item.Outcome, item.Backup, item.TakenAt = outcomeRestored, result.Record.ID, &result.Record.TakenAt
			if !result.Record.IsExplained() {
				item.Reason = "it lacks " + oneLine(result.Record.Lacks())
			}
			view.Restored++
		}
		view.Items = append(view.Items, item)
	}
	return view
}

func (v *fleetRestoreView) show(inv *Invocation) error {
	table := newTable(inv.Stdout).withStatus(inv, 1)
	say(table, "TENANT\tOUTCOME\tAS OF\tBACKUP\tREASON")
	for i := range v.Items {
		item := &v.Items[i]
		say(table, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", item.Name, item.Outcome, orNever(item.TakenAt), item.Backup, item.Reason))
	}
	if err := wrapOutput(table.Flush()); err != nil {
		return err
	}
	say(inv.Stdout, fmt.Sprintf("core of %s; tenants: %d restored, %d skipped, %d failed, %d left: each as of its own moment",
		v.Core, v.Restored, v.Skipped, v.Failed, v.Left))
	return nil
}
