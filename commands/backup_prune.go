package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"multitenant/backups"
	"multitenant/backups/store"
	"multitenant/config"
	"multitenant/tenants"
)

type backupPruneCommand struct {
	DryRun bool `help:"List the backups that would be removed, and remove nothing."`
	JSON   bool `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (backupPruneCommand) Help() string {
	return "Keeps the newest backup of each day, week and month of BACKUP_KEEP, and removes the others of this installation. " +
		"Periods without a backup do not count, so nothing is removed where none is made. Of each database the newest whole " +
		"backup stays, the newest complete one, and the newest that backup verify has proven. All backups of a deleted tenant go " +
		"once the newest is older than BACKUP_KEEP_DELETED. Objects that belong to no backup go after 24 hours. Only one process " +
		"at a time prunes."
}

// prunedView is something that was, or would be, removed.
type prunedView struct {
	TenantID string `json:"tenant_id"` // core for core
	Backup   string `json:"backup"`    // its id; empty for an object of no backup
	Object   string `json:"object"`    // empty for a backup
}

// errNoKeep is a mistake in the settings, for the command that needs a policy.
var errNoKeep = &settingsError{errors.New("settings:\nBACKUP_KEEP: must be set")}

// Run prunes.
func (c *backupPruneCommand) Run(ctx context.Context, inv *Invocation) error {
	return withDatabases(ctx, inv, func(settings *config.Backups, d *tenants.Databases, kept store.Store) error {
		if settings.Keep.IsZero() {
			return errNoKeep
		}
		pruning := &backups.Pruning{
			Databases: d, Store: kept, Policy: settings.Keep, KeepDeleted: settings.KeepDeleted, DryRun: c.DryRun, Now: time.Now(),
		}
		pruned, err := pruning.Run(ctx)
		return errors.Join(err, c.show(inv, pruned))
	})
}

func (c *backupPruneCommand) show(inv *Invocation, pruned []backups.Pruned) error {
	views, count := []prunedView{}, 0
	for i := range pruned {
		one := &pruned[i]
		count += len(one.IDs)
		for _, id := range one.IDs {
			views = append(views, prunedView{TenantID: one.Owner, Backup: id})
		}
		for _, name := range one.Loose {
			views = append(views, prunedView{TenantID: one.Owner, Object: name})
		}
	}
	if c.JSON {
		return writeJSON(inv.Stdout, views)
	}
	done := "removed"
	if c.DryRun {
		done = "would be removed"
		for _, view := range views {
			say(inv.Stdout, view.TenantID+" "+view.Backup+view.Object)
		}
	}
	say(inv.Stdout, fmt.Sprintf("%s: %d backups, %d objects of no backup", done, count, len(views)-count))
	return nil
}

// withDatabases opens the installation and the store for a command, calls do and closes
// both.
func withDatabases(
	ctx context.Context, inv *Invocation, do func(*config.Backups, *tenants.Databases, store.Store) error,
) (err error) {
	in, err := openInstallation(ctx, inv, config.LoadKeyless, true)
	if err != nil {
		return err
	}
	defer in.close()
	settings := &in.config.Backups
	kept, err := openStore(settings, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	databases, err := tenants.OpenDatabases(ctx, in.options())
	if err != nil {
		return err
	}
	return do(settings, databases, kept)
}
