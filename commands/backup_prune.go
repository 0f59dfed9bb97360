package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"multitenant/backups"
	"multitenant/backups/export"
	"multitenant/backups/store"
	"multitenant/config"
	"multitenant/models"
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

// Run prunes.
func (c *backupPruneCommand) Run(ctx context.Context, inv *Invocation) error {
	return withDatabases(ctx, inv, func(settings *config.Backups, d *tenants.Databases, kept store.Store) error {
		if settings.Keep.IsZero() {
			return missingSetting("BACKUP_KEEP", "which backups are kept", "7d,5w,12m")
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

type backupForgetCommand struct {
	Tenants []string `arg:"" name:"tenant" placeholder:"ID|SLUG" help:"A tenant's id, or its slug, now or when it was backed up."`

	Yes bool `help:"Do not ask."`
}

// Help describes the command.
func (backupForgetCommand) Help() string {
	return "Removes all backups of a tenant from BACKUP_URL, the newest too, whether the tenant exists or not, and puts that on " +
		"record. A slug that several tenants had is refused: name the id. The tenant itself stays, and a tenant that exists " +
		"is backed up again. Backups of core still know the name of its organization, until they are pruned."
}

// forgotten is a tenant whose backups are to be removed.
type forgotten struct {
	id    string
	event *models.Event
}

// Run forgets.
func (c *backupForgetCommand) Run(ctx context.Context, inv *Invocation) error {
	return withDatabases(ctx, inv, func(_ *config.Backups, d *tenants.Databases, kept store.Store) error {
		entries, err := backups.List(ctx, kept)
		if err != nil {
			return err
		}
		all := make([]forgotten, len(c.Tenants))
		for i, text := range c.Tenants {
			if all[i], err = findForgotten(ctx, d, entries, text); err != nil {
				return tenantError(text, err)
			}
		}
		question := "All backups of " + strings.Join(c.Tenants, ", ") + " will be removed, for good."
		if err := confirm(inv, c.Yes, question, strings.Join(c.Tenants, " ")); err != nil {
			return err
		}
		for i, text := range c.Tenants {
			count, err := backups.Forget(ctx, d, kept, all[i].id, all[i].event)
			if err = errors.Join(err, export.New(d, kept).Forget(ctx, all[i].id)); err != nil {
				return tenantError(text, err)
			}
			say(inv.Stdout, fmt.Sprintf("tenant %q: %d backups are removed", text, count))
		}
		return nil
	})
}

// findForgotten finds the one tenant that has that id or slug, or had it when it was
// backed up.
func findForgotten(ctx context.Context, d *tenants.Databases, entries []backups.Entry, text string) (forgotten, error) {
	var ids []string
	slug := models.Slug("")
	for i := range entries {
		r := entries[i].Record
		if r == nil || r.InstallationID != d.InstallationID() || r.TenantID == backups.CoreOwner {
			continue
		}
		if r.TenantID == text || r.Slug == text {
			ids, slug = append(ids, r.TenantID), models.Slug(r.Slug)
		}
	}
	record, err := models.FindTenantBySlug(ctx, d.Core, models.Slug(text))
	if err == nil {
		ids = append(ids, record.ID)
	} else if !models.IsKind(err, models.KindTenantNotFound) {
		return forgotten{}, err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if _, err := uuid.Parse(text); err == nil && len(ids) == 0 {
		ids = []string{text} // its backups may be gone, and not yet on record
	}
	switch len(ids) {
	case 0:
		return forgotten{}, models.ErrTenantNotFound
	case 1:
		return newForgotten(ctx, d, ids[0], slug)
	}
	return forgotten{}, fmt.Errorf("several tenants had this slug: name one of %s", strings.Join(ids, ", "))
}

func newForgotten(ctx context.Context, d *tenants.Databases, id string, slug models.Slug) (forgotten, error) {
	record, err := models.FindTenant(ctx, d.Core, id)
	if models.IsKind(err, models.KindTenantNotFound) {
		event := models.NewOperatorEvent(models.ActionOrganizationForgotten)
		return forgotten{id: id, event: event.AboutTenant(slug)}, nil
	}
	if err != nil {
		return forgotten{}, err
	}
	org, err := organizationOf(ctx, d.Core, &record)
	if err != nil {
		return forgotten{}, err
	}
	return forgotten{id: id, event: eventAbout(models.ActionOrganizationForgotten, &record, org)}, nil
}
