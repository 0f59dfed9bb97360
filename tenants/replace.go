package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
)

// ErrAtWork says that an operation on a tenant must wait, and did so in vain.
var ErrAtWork = errors.New("another operation is at work on it: try again when that has ended")

// Restoration is a tenant that gets another database. The tenant keeps its id, its role
// and its rows of core.
type Restoration struct {
	Tenant *models.Tenant
	Event  *models.Event
	// Confirm is told the fate of the users, before anything is changed. Its error
	// ends the restoration.
	Confirm func(*models.UserChanges) error
}

// RestoreInPlace puts a copy, which is that of an earlier state of the tenant, in the place
// of its database. The replaced one is kept. Sessions, password resets and invitations of
// the copy are gone, and events that the copy lacks are carried over. The errors:
// ErrAtWork, database.ErrInUse, that of Confirm, and those of Databases.Load.
func (m *Manager) RestoreInPlace(ctx context.Context, r *Restoration, content *Copied, backupID string) error {
	if err := m.databases.checkReplaceable(ctx, r.Tenant); err != nil {
		return err
	}
	return m.databases.Scratch(ctx, func(name string) error {
		if err := m.databases.fill(ctx, name, content); err != nil {
			return err
		}
		made := *r.Tenant
		made.DatabaseName = name
		if err := closeOpened(m.databases.finish(ctx, &made, content)); err != nil {
			return err
		}
		m.databases.step(StepBuilt)
		if err := m.databases.askAbout(ctx, r, &made); err != nil {
			return err
		}
		return m.databases.replace(ctx, r, func(context.Context, database.Session) (*replacing, error) {
			return &replacing{with: name, backupID: backupID}, nil
		})
	})
}

// UndoRestore puts the database back that was replaced last, and keeps the one that it
// replaces. It does to it what RestoreInPlace does to a copy. It returns
// models.ErrNothingReplaced, and the errors of RestoreInPlace.
func (m *Manager) UndoRestore(ctx context.Context, r *Restoration) error {
	if err := m.databases.checkReplaceable(ctx, r.Tenant); err != nil {
		return err
	}
	last, err := models.FindReplaced(ctx, m.core, r.Tenant.ID)
	if err != nil {
		return err
	}
	kept := *r.Tenant
	kept.DatabaseName = last.DatabaseName
	if err := m.databases.askAbout(ctx, r, &kept); err != nil {
		return err
	}
	return m.databases.replace(ctx, r, func(ctx context.Context, session database.Session) (*replacing, error) {
		owner, err := m.databases.FindOwner(ctx, kept.ID)
		if err == nil {
			err = session.Reopen(ctx, kept.DatabaseName)
		}
		if err == nil {
			err = closeOpened(m.databases.finish(ctx, &kept, &Copied{From: kept.ID, Owner: owner}))
		}
		return &replacing{with: kept.DatabaseName}, err
	})
}

// checkReplaceable returns an error if the tenant's database cannot be replaced at all.
func (d *Databases) checkReplaceable(ctx context.Context, record *models.Tenant) error {
	if record.Status != models.TenantReady && record.Status != models.TenantSuspended {
		return fmt.Errorf("it is %s", record.Status)
	}
	if record.SchemaVersion == "" {
		return errors.New("it was not taken over yet: run migrate first")
	}
	shared, err := d.isShared(ctx, record)
	if err == nil && shared {
		err = errors.New("its database holds another tenant's users too")
	}
	return err
}

// askAbout compares the tenant's users with those of the database that is to take its
// place, and asks.
func (d *Databases) askAbout(ctx context.Context, r *Restoration, other *models.Tenant) error {
	var changes *models.UserChanges
	err := d.withStamped(ctx, r.Tenant, func(now *gorm.DB) error {
		return d.withStamped(ctx, other, func(then *gorm.DB) (err error) {
			changes, err = models.CompareUsers(ctx, now, then)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("compare users: %w", err)
	}
	return r.Confirm(changes)
}

// withStamped lends use the tenant's database, opened by OpenStamped.
func (d *Databases) withStamped(ctx context.Context, record *models.Tenant, use func(*gorm.DB) error) error {
	db, err := d.OpenStamped(ctx, record)
	if err != nil {
		return err
	}
	return errors.Join(use(db), database.Close(db))
}

// replacing is a database that takes the place of a tenant's.
type replacing struct {
	with     string // its name
	backupID string // of which it was made; empty for one that was the tenant's before
}

// replace takes the tenant's lock, calls prepare, and puts the database that it returns in
// the place of the tenant's.
func (d *Databases) replace(
	ctx context.Context, r *Restoration, prepare func(context.Context, database.Session) (*replacing, error),
) error {
	session, err := d.Lock(ctx, r.Tenant.ID)
	if models.IsKind(err, models.KindBusy) {
		return ErrAtWork
	}
	if err != nil {
		return err
	}
	defer session.Unlock()
	now, err := models.FindTenant(ctx, d.Core, r.Tenant.ID)
	if err == nil && (now.DatabaseName != r.Tenant.DatabaseName || now.Role != r.Tenant.Role) {
		err = models.ErrNotReplaceable
	}
	if err != nil {
		return err
	}
	other, err := prepare(ctx, session)
	if err != nil {
		return err
	}
	// Most events are carried over while the tenant is still served.
	err = d.withStamped(ctx, &now, func(from *gorm.DB) error { return d.carry(ctx, from, &now, other.with) })
	if err == nil {
		err = session.Replace(ctx, d.replacement(r, other))
	}
	return errors.Join(err, d.reopen(ctx, session, r.Tenant.ID))
}

// replacement is the order for Session.Replace.
func (d *Databases) replacement(r *Restoration, other *replacing) *database.Replacement {
	return &database.Replacement{
		Name: r.Tenant.DatabaseName, With: other.with, Kept: d.PrivateName(uuid.NewString()), Role: r.Tenant.Role,
		Carry: func(ctx context.Context, from *gorm.DB) error {
			d.step(StepFenced)
			return d.carry(ctx, from, r.Tenant, other.with)
		},
		Switch: func(tx *gorm.DB, now, kept string) error {
			d.step(StepClosed)
			return models.ReplaceDatabase(tx.Statement.Context, tx, r.Event, &models.Replacement{
				With:   other.with,
				Tenant: models.Tenant{ID: r.Tenant.ID, DatabaseName: now, SchemaVersion: d.Version},
				Kept:   models.ReplacedDatabase{DatabaseName: kept, BackupID: other.backupID},
			})
		},
	}
}

// carry adds to a database the events that it lacks of the tenant's.
func (d *Databases) carry(ctx context.Context, from *gorm.DB, record *models.Tenant, with string) error {
	other := *record
	other.DatabaseName = with
	return d.withStamped(ctx, &other, func(to *gorm.DB) error {
		return migrations.AddEvents(ctx, to, database.Qualified(to, auditTable), func(tx *gorm.DB) error {
			return models.CarryEvents(ctx, from, tx)
		})
	})
}

// reopen lets the database be written that is the tenant's as the registry says. A
// replacement that was interrupted may have closed it. The caller must hold the tenant's
// lock.
func (d *Databases) reopen(ctx context.Context, session database.Session, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), OpenTimeout)
	defer cancel()
	record, err := models.FindTenant(ctx, d.Core, id)
	if err != nil {
		return err
	}
	return session.Reopen(ctx, record.DatabaseName)
}

// reopen lets a tenant's database be written that an interrupted replacement has closed. It
// waits for another process that is replacing it now.
func (m *Manager) reopen(ctx context.Context, id string) error {
	session, err := m.databases.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer session.Unlock()
	return m.databases.reopen(ctx, session, id)
}

// dropReplaced drops the databases of a tenant that were replaced before a time, or all of
// them if it is zero. The caller must hold the tenant's lock.
func (d *Databases) dropReplaced(ctx context.Context, session database.Session, id string, before time.Time) error {
	all, err := models.ListReplacedOf(ctx, d.Core, id, before)
	for i := 0; i < len(all) && err == nil; i++ {
		if err = session.Drop(ctx, all[i].DatabaseName, d.roleName(id)); err == nil {
			err = models.ForgetReplaced(ctx, d.Core, all[i].DatabaseName)
		}
	}
	return err
}

// dropOldReplaced drops the databases that were replaced long ago.
func (m *Manager) dropOldReplaced(ctx context.Context) {
	before := m.core.NowFunc().Add(-m.keepReplaced)
	all, err := models.ListReplaced(ctx, m.core)
	for i := 0; i < len(all) && err == nil; i++ {
		if all[i].ReplacedAt.Before(before) {
			err = m.tryDropReplaced(ctx, all[i].TenantID, before)
		}
	}
	if err != nil && ctx.Err() == nil {
		m.logger.WarnContext(ctx, "drop replaced databases", "error", err)
	}
}

// tryDropReplaced leaves the databases to the next tick if another process has the
// tenant's lock.
func (m *Manager) tryDropReplaced(ctx context.Context, id string, before time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := m.longLocks.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.longLocks.Release(1)
	session, free, err := m.databases.TryLock(ctx, id)
	if err != nil || !free {
		return err
	}
	defer session.Unlock()
	return m.databases.dropReplaced(ctx, session, id, before)
}
