package backups

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"filippo.io/age"

	"multitenant/backups/archive"
	"multitenant/backups/store"
	"multitenant/database"
	"multitenant/models"
)

// ErrNotEmpty says that a fleet cannot be restored to a place, because something is there.
var ErrNotEmpty = errors.New("the place is not empty")

// Fleet is an installation that is restored from its store. Nothing has been changed yet.
type Fleet struct {
	Installation string
	Core         *Record // the backup of core; its id alone if core is back already
	IsBegun      bool    // core is back already

	identities []age.Identity
	copied     *loading
}

// Installations returns the ids of the installations that have a backup of core in a
// store.
func Installations(ctx context.Context, from store.Store) ([]string, error) {
	found, err := from.List(ctx, ".")
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, object := range found {
		id := path.Dir(path.Dir(object.Name))
		isCore := object.Name == path.Join(shelfOf(id, CoreOwner), path.Base(object.Name))
		if isCore && !object.Unfinished && strings.HasSuffix(object.Name, recordSuffix) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// FindFleet chooses the source of a restoration: the only installation in the store, or the one with
// that id, and the newest good backup of its core, or the one with that id. All of that
// backup is read. The place must be empty, or have the rest of such a restoration, which
// goes on. The errors: ErrNotEmpty, ErrNoBackup, and those of Choose.
func (b *Backups) FindFleet(ctx context.Context, installation, core string, identities []age.Identity) (*Fleet, error) {
	begun, err := b.begun(ctx)
	if err != nil {
		return nil, err
	}
	if begun != nil {
		differs := installation != "" && installation != b.databases.InstallationID()
		if differs || core != "" && core != begun.Detail {
			return nil, fmt.Errorf("%w: installation %s is being restored here, with core of backup %s",
				ErrNotEmpty, b.databases.InstallationID(), begun.Detail)
		}
		return &Fleet{
			Installation: b.databases.InstallationID(), Core: &Record{ID: begun.Detail}, IsBegun: true, identities: identities,
		}, nil
	}
	if installation == "" {
		if installation, err = b.onlyInstallation(ctx); err != nil {
			return nil, err
		}
	}
	f := &Fleet{Installation: installation, identities: identities}
	return f, b.chooseCore(ctx, f, core)
}

// begun returns the event that began the restoration that core has not ended; nil where
// core is empty.
func (b *Backups) begun(ctx context.Context) (*models.Event, error) {
	applied, err := database.Applied(ctx, b.databases.Core)
	if err != nil {
		return nil, err
	}
	hasUsers, err := database.HasTable(ctx, b.databases.Core, "core_users")
	if err != nil || !hasUsers && len(applied) == 0 {
		return nil, err
	}
	if err := b.databases.Identify(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotEmpty, err)
	}
	event, err := models.FindFleetRestore(ctx, b.databases.Core)
	if err == nil && event == nil {
		err = fmt.Errorf("%w: it has core of installation %s", ErrNotEmpty, b.databases.InstallationID())
	}
	return event, err
}

func (b *Backups) onlyInstallation(ctx context.Context) (string, error) {
	ids, err := Installations(ctx, b.store)
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", errors.New("the store has no backup of core")
	case len(ids) > 1:
		return "", fmt.Errorf("the store has several installations: choose one by --installation, of %s", strings.Join(ids, ", "))
	}
	return ids[0], nil
}

// chooseCore reads the backup of core with that id, or the newest that is good.
func (b *Backups) chooseCore(ctx context.Context, f *Fleet, id string) error {
	shelf, err := FindShelf(ctx, b.store, f.Installation, CoreOwner)
	if err != nil {
		return err
	}
	err = fmt.Errorf("core of installation %s: %w", f.Installation, ErrNoBackup)
	for _, kept := range slices.Backward(shelf.Backups) {
		if id != "" && kept.ID != id || id == "" && kept.IsDamaged {
			continue
		}
		if err = b.readCore(ctx, f, kept); err == nil || id != "" || !errors.Is(err, archive.ErrDamaged) {
			break
		}
	}
	return err
}

func (b *Backups) readCore(ctx context.Context, f *Fleet, kept *Kept) (err error) {
	if f.Core, err = readRecord(ctx, b.store, kept.record); err != nil {
		return err
	}
	f.copied = &loading{}
	if f.copied.migrations, err = b.migrationsOf(f.Core); err == nil {
		err = f.copied.load(ctx, f.reader(b.store, f.Core), nil)
	}
	if err != nil {
		err = fmt.Errorf("backup %s of core: %w", kept.ID, err)
	}
	return err
}

func (f *Fleet) reader(from store.Store, r *Record) *reader {
	return &reader{from: from, record: r, identities: f.identities}
}
