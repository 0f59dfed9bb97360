package backups

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"multitenant/backups/archive"
	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
	"multitenant/tenants"
)

// RestoreFleet restores core, where that was not done yet, and then each tenant that the
// registry has and the place has not: its newest backup that is whole. A tenant is open
// to requests as soon as it is back. Each tenant is attempted; the Summary has their
// errors. RestoreFleet can be repeated after it was interrupted.
func (b *Backups) RestoreFleet(ctx context.Context, f *Fleet, parallel int, report func(*Summary)) (Summary, error) {
	if !f.IsBegun {
		if err := b.restoreCore(ctx, f); err != nil {
			return Summary{}, err
		}
	}
	// It also lets no other role of the server into core.
	if err := tenants.MigrateCore(ctx, b.databases.Backend, b.databases.Prefix); err != nil {
		return Summary{}, err
	}
	if err := b.databases.Identify(ctx); err != nil {
		return Summary{}, err
	}
	run := &round{Backups: b, report: report}
	err := run.bringBack(ctx, f, parallel)
	isWhole := run.summary.Count(func(r *Result) bool { return r.Err != nil }) == 0
	if err == nil && ctx.Err() == nil && isWhole {
		event := models.NewOperatorEvent(models.ActionFleetRestored)
		event.Detail = f.Core.ID
		err = models.Record(ctx, b.databases.Core, event)
	}
	return run.summary, err
}

// restoreCore makes core of its backup in one step.
func (b *Backups) restoreCore(ctx context.Context, f *Fleet) error {
	session, err := b.databases.Backend.Lock(ctx, tenants.CoreLock)
	if err != nil {
		return err
	}
	defer session.Unlock()
	if err := b.keepKey(f.copied.tokenKey); err != nil {
		return err
	}
	return b.databases.Backend.LoadCore(ctx, f.copied.migrations,
		func(fill database.Fill) error { return f.copied.load(ctx, f.reader(b.store, f.Core), fill) },
		func(db *gorm.DB) error { return b.takeOverCore(ctx, db, f) })
}

// takeOverCore makes core fit for this place, where nothing may be in the way of a tenant.
func (b *Backups) takeOverCore(ctx context.Context, db *gorm.DB, f *Fleet) error {
	if err := database.Migrate(ctx, db, migrations.Core(b.databases.Prefix)); err != nil {
		return err
	}
	installation, err := models.FindInstallation(ctx, db)
	switch {
	case err != nil:
		return err
	case installation.ID != f.Installation:
		return fmt.Errorf("%w: it is core of installation %s", archive.ErrDamaged, installation.ID)
	case installation.DatabasePrefix != b.databases.Prefix:
		return fmt.Errorf("the databases of this installation begin with %q: set TENANT_DATABASE_PREFIX", installation.DatabasePrefix)
	}
	event := models.NewOperatorEvent(models.ActionFleetRestoreBegun)
	event.Detail = f.Core.ID
	if err := models.TakeOverCore(ctx, db, event); err != nil {
		return err
	}
	found, err := b.databases.Backend.List(ctx, b.databases.Prefix)
	if err != nil {
		return err
	}
	return models.EachTenant(ctx, db, models.Selection{}, func(record *models.Tenant) error {
		if slices.Contains(found.Databases, record.DatabaseName) || slices.Contains(found.Roles, record.Role) {
			return fmt.Errorf("%w: it has the database or the role of tenant %q", ErrNotEmpty, record.Name())
		}
		return nil
	})
}

// bringBack restores the tenants.
func (b *round) bringBack(ctx context.Context, f *Fleet, parallel int) error {
	shelves, err := FindShelves(ctx, b.store, f.Installation)
	if err != nil {
		return err
	}
	selection := models.Selection{Claimed: true, Fleet: true}
	if b.summary.Total, err = models.CountTenants(ctx, b.databases.Core, selection); err != nil {
		return err
	}
	var workers errgroup.Group
	workers.SetLimit(max(parallel, 1))
	err = models.EachTenant(ctx, b.databases.Core, selection, func(record *models.Tenant) error {
		workers.Go(func() error {
			b.bringOneBack(ctx, f, record, shelves[record.ID])
			return nil
		})
		return ctx.Err()
	})
	_ = workers.Wait() // the summary has their errors
	return err
}

// bringOneBack tries the backups of a tenant, the newest first, until one is whole.
func (b *round) bringOneBack(ctx context.Context, f *Fleet, record *models.Tenant, shelf *Shelf) {
	result := Result{Name: record.Name()}
	for _, kept := range shelf.candidates() {
		made, err := b.databases.BringBack(ctx, record.ID, func(now *models.Tenant) (*tenants.Copied, error) {
			if kept == nil {
				return nil, ErrNoBackup
			}
			var err error
			if result.Record, err = readRecord(ctx, b.store, kept.record); err != nil {
				return nil, err
			}
			return b.copied(ctx, f, now, result.Record)
		})
		switch {
		case models.IsKind(err, models.KindTenantNotFound):
			result.Skipped = "it is gone"
		case err == nil && !made:
			result.Skipped = "it is there"
		default:
			result.Err = err
		}
		if !errors.Is(err, archive.ErrDamaged) {
			break
		}
	}
	b.note(ctx, &result)
}

// candidates are the backups that may be whole, the newest first; nil alone if there is
// none.
func (s *Shelf) candidates() []*Kept {
	var all []*Kept
	if s != nil {
		all = slices.DeleteFunc(slices.Clone(s.Backups), func(kept *Kept) bool { return kept.IsDamaged })
		slices.Reverse(all)
	}
	if len(all) == 0 {
		all = []*Kept{nil}
	}
	return all
}

// copied describes the content of a backup of a tenant. The tenant keeps its id. The only
// core user inside is the owner now: the others may be users that core has lost.
func (b *Backups) copied(ctx context.Context, f *Fleet, record *models.Tenant, r *Record) (*tenants.Copied, error) {
	list, err := b.migrationsOf(r)
	if err != nil {
		return nil, err
	}
	owner, err := b.databases.FindOwner(ctx, record.ID)
	if err != nil {
		return nil, err
	}
	copied := &loading{migrations: list}
	return &tenants.Copied{
		From: record.ID, Migrations: list, Owner: owner,
		Feed: func(fill database.Fill) error { return copied.load(ctx, f.reader(b.store, r), fill) },
	}, nil
}
