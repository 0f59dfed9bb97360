package backups

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"multitenant/backups/retention"
	"multitenant/backups/store"
	"multitenant/models"
	"multitenant/tenants"
)

const (
	// pruneLock is the lock of the process that removes backups.
	pruneLock = "backup prune"
	// looseFor is how long an object may belong to no backup. Its own backup holds the
	// lock of the database, so this only spares what somebody may want to look at.
	looseFor = 24 * time.Hour
)

// ErrPruning says that another process is removing backups.
var ErrPruning = errors.New("another process is removing backups")

// Pruning removes backups of an installation that its policy does not keep, and what
// dead processes have left.
type Pruning struct {
	Databases *tenants.Databases
	Store     store.Store
	Policy    retention.Policy
	// KeepDeleted is how long the backups of a deleted tenant are kept after the newest.
	KeepDeleted time.Duration
	DryRun      bool // says what would be removed
	Now         time.Time
}

// Pruned is what was removed.
type Pruned struct {
	Owner string   // the id of the tenant, or CoreOwner
	IDs   []string // of backups, the oldest first
	Loose []string // the names of objects that belonged to no backup
}

// Run prunes one database after the other. It returns ErrPruning while another process
// does so.
func (p *Pruning) Run(ctx context.Context) ([]Pruned, error) {
	if p.DryRun {
		return p.all(ctx)
	}
	session, free, err := p.Databases.Backend.TryLock(ctx, pruneLock)
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, ErrPruning
	}
	defer session.Unlock()
	return p.all(ctx)
}

func (p *Pruning) all(ctx context.Context) (done []Pruned, err error) {
	shelves, err := FindShelves(ctx, p.Store, p.Databases.InstallationID())
	if err != nil {
		return nil, err
	}
	for owner, shelf := range shelves {
		one := Pruned{Owner: owner}
		var isDone bool
		isDone, err = p.deleted(ctx, shelf, &one)
		if err == nil && !isDone {
			err = p.backups(ctx, shelf, &one)
		}
		if err == nil && !isDone {
			err = p.loose(ctx, shelf, &one)
		}
		if len(one.IDs)+len(one.Loose) > 0 {
			done = append(done, one)
		}
		if err != nil {
			break
		}
	}
	slices.SortFunc(done, func(a, b Pruned) int { return strings.Compare(a.Owner, b.Owner) })
	return done, err
}

// deleted removes all that the store has of a tenant that was deleted long ago, and reports
// whether it did. It holds the tenant's lock, as restoring the tenant does.
func (p *Pruning) deleted(ctx context.Context, shelf *Shelf, done *Pruned) (bool, error) {
	_, err := uuid.Parse(done.Owner)
	if err != nil || len(shelf.Backups) == 0 || retention.KeepsDeleted(retentionOf(shelf.Backups), p.KeepDeleted, p.Now) {
		return false, nil // core has no such id
	}
	session, free, err := p.Databases.Backend.TryLock(ctx, lockOf(done.Owner))
	if err != nil || !free {
		return false, err
	}
	defer session.Unlock()
	_, err = models.FindTenant(ctx, p.Databases.Core, done.Owner)
	if !models.IsKind(err, models.KindTenantNotFound) {
		return false, err
	}
	for _, kept := range shelf.Backups {
		done.IDs = append(done.IDs, kept.ID)
	}
	if !p.DryRun {
		_, err = removeAll(ctx, p.Store, shelfOf(p.Databases.InstallationID(), done.Owner))
		return true, err
	}
	return true, nil
}

// backups removes what the policy does not keep, of the backups whose records are ours.
func (p *Pruning) backups(ctx context.Context, shelf *Shelf, done *Pruned) error {
	unusable, err := p.lookForComplete(ctx, shelf)
	if err != nil {
		return err
	}
	for i, isKept := range p.Policy.Keep(retentionOf(shelf.Backups)) {
		kept := shelf.Backups[i]
		if isKept || unusable[kept] {
			continue
		}
		r, err := readRecord(ctx, p.Store, kept.record)
		if isUnusable(err) {
			continue
		}
		if err == nil && !p.DryRun {
			err = removeBackup(ctx, p.Store, kept, r.Archive)
		}
		if err != nil {
			return err
		}
		done.IDs = append(done.IDs, kept.ID)
	}
	return nil
}

// lookForComplete finds the newest complete backup where the policy would remove some.
// It returns those whose records it could not use on the way.
func (p *Pruning) lookForComplete(ctx context.Context, shelf *Shelf) (unusable map[*Kept]bool, err error) {
	unusable = map[*Kept]bool{}
	if !slices.Contains(p.Policy.Keep(retentionOf(shelf.Backups)), false) {
		return unusable, nil
	}
	for _, kept := range slices.Backward(shelf.Backups) {
		if kept.IsDamaged {
			continue
		}
		r, err := readRecord(ctx, p.Store, kept.record)
		switch {
		case isUnusable(err):
			unusable[kept], kept.IsDamaged = true, true // it stands for no good one
		case err != nil:
			return nil, err
		case r.IsComplete():
			kept.IsComplete = true
			return unusable, nil
		}
	}
	return unusable, nil
}

// isUnusable reports whether there is no record of ours, or none any more.
func isUnusable(err error) bool { return errors.Is(err, errNoRecord) || errors.Is(err, fs.ErrNotExist) }

func retentionOf(all []*Kept) []retention.Backup {
	found := make([]retention.Backup, len(all))
	for i, kept := range all {
		found[i] = kept.Backup
	}
	return found
}

// removeBackup removes the record first: without it the rest is no backup.
func removeBackup(ctx context.Context, from store.Store, kept *Kept, archive string) error {
	for _, name := range append([]string{kept.record, archive}, kept.others...) {
		if err := from.Remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// loose removes old objects that belong to no backup, under the lock of the database: a
// backup that is being made holds it.
func (p *Pruning) loose(ctx context.Context, shelf *Shelf, done *Pruned) error {
	if len(p.old(shelf.loose)) == 0 {
		return nil
	}
	if p.DryRun {
		done.Loose = p.old(shelf.loose)
		return nil
	}
	session, free, err := p.Databases.Backend.TryLock(ctx, lockOf(done.Owner))
	if err != nil || !free {
		return err
	}
	defer session.Unlock()
	now, err := FindShelf(ctx, p.Store, p.Databases.InstallationID(), done.Owner)
	if err != nil {
		return err
	}
	for _, name := range p.old(now.loose) {
		if err := p.Store.Remove(ctx, name); err != nil {
			return err
		}
		done.Loose = append(done.Loose, name)
	}
	return nil
}

// old returns the names of the objects that are old by both clocks: that of the store,
// and that of the program that named them.
func (p *Pruning) old(objects []store.Object) (names []string) {
	before := p.Now.Add(-looseFor)
	for _, object := range objects {
		id, _ := splitName(path.Base(object.Name))
		if object.At.Before(before) && (id == "" || timeOf(id).Before(before)) {
			names = append(names, object.Name)
		}
	}
	return names
}

// lockOf is the lock that is held while a database is backed up.
func lockOf(owner string) string {
	if owner == CoreOwner {
		return tenants.CoreLock
	}
	return tenants.LockKey(owner)
}
