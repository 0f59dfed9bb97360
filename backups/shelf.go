package backups

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"multitenant/backups/retention"
	"multitenant/backups/store"
)

const (
	// proofSuffix and a level end the name of the object that says of a proof, and
	// damageSuffix that of the one that says of damage.
	proofSuffix  = ".proof"
	damageSuffix = ".damaged"
	trialSuffix  = ".trial"
	timeBytes    = len(timeFormat)
)

// Shelf is what the store has of one database, as the names alone say it: nothing is
// read.
type Shelf struct {
	Backups []*Kept // the oldest first

	loose []store.Object // they belong to no backup
}

// Kept is a backup on a shelf.
type Kept struct {
	retention.Backup

	ID string

	record string
	others []string // the names of the archive and of the proofs
}

// Newest returns when the newest backup was taken that is whole as far as is known, and
// the newest that was proven. A time is zero if there is none. A backup from the
// future was taken by a wrong clock: it is overlooked.
func (s *Shelf) Newest(now time.Time) (good, proven time.Time) {
	if s == nil {
		return good, proven
	}
	for _, kept := range s.Backups {
		if kept.IsDamaged || kept.TakenAt.After(now.Add(maxAhead)) {
			continue
		}
		good = kept.TakenAt
		if kept.Level >= LevelReadable {
			proven = kept.TakenAt
		}
	}
	return good, proven
}

// maxAhead is how far another server's clock may be ahead.
const maxAhead = time.Hour

// shelfOf is the folder of a database of an installation.
func shelfOf(installation, owner string) string { return path.Join(installation, owner) }

// FindShelf returns what the store has of a tenant, or of CoreOwner.
func FindShelf(ctx context.Context, from store.Store, installation, owner string) (*Shelf, error) {
	shelves, err := findShelves(ctx, from, installation, shelfOf(installation, owner))
	if err != nil || shelves[owner] == nil {
		return &Shelf{}, err
	}
	return shelves[owner], nil
}

// FindShelves returns what the store has of an installation, by the ids of the tenants
// and CoreOwner.
func FindShelves(ctx context.Context, from store.Store, installation string) (map[string]*Shelf, error) {
	return findShelves(ctx, from, installation, installation)
}

func findShelves(ctx context.Context, from store.Store, installation, folder string) (map[string]*Shelf, error) {
	objects, err := from.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	groups := map[string][]store.Object{}
	for _, object := range objects {
		owner := path.Base(path.Dir(object.Name))
		if path.Dir(object.Name) != shelfOf(installation, owner) {
			continue
		}
		groups[owner] = append(groups[owner], object)
	}
	shelves := make(map[string]*Shelf, len(groups))
	for owner, group := range groups {
		shelves[owner] = newShelf(group)
	}
	return shelves, nil
}

// newShelf sorts the objects of one database. Those whose names are not of our making
// are left out.
func newShelf(objects []store.Object) *Shelf {
	s, found := &Shelf{}, map[string]*Kept{}
	for _, object := range objects {
		if id, suffix := splitName(object.Name); suffix == recordSuffix && !object.Unfinished {
			found[id] = &Kept{ID: id, Backup: retention.Backup{TakenAt: timeOf(id)}, record: object.Name}
			s.Backups = append(s.Backups, found[id])
		}
	}
	for _, object := range objects {
		id, suffix := splitName(object.Name)
		kept := found[id]
		switch {
		case object.Unfinished, strings.HasSuffix(object.Name, trialSuffix):
			s.loose = append(s.loose, object)
		case id == "", suffix == recordSuffix:
		case kept == nil:
			s.loose = append(s.loose, object)
		default:
			kept.add(object.Name, suffix)
		}
	}
	slices.SortFunc(s.Backups, func(a, b *Kept) int { return strings.Compare(a.ID, b.ID) })
	return s
}

func (k *Kept) add(name, suffix string) {
	k.others = append(k.others, name)
	if text, ok := strings.CutPrefix(suffix, proofSuffix); ok {
		level, _ := strconv.Atoi(text) // 0 proves nothing
		k.Level = max(k.Level, level)
	}
	if suffix == damageSuffix {
		k.IsDamaged = true
	}
}

// splitName returns the id of the backup that an object belongs to, and the rest of its
// name; no id where the name is none that this program gives.
func splitName(name string) (id, suffix string) {
	base := path.Base(name)
	dot := strings.IndexByte(base, '.')
	if dot < 0 || timeOf(base[:dot]).IsZero() {
		return "", ""
	}
	id, suffix = base[:dot], base[dot:]
	known := []string{recordSuffix, archiveSuffix, archiveSuffix + ageSuffix, damageSuffix}
	if slices.Contains(known, suffix) || strings.HasPrefix(suffix, proofSuffix) {
		return id, suffix
	}
	return "", ""
}

// timeOf returns when the backup with that id was taken; zero if it is no id.
func timeOf(id string) time.Time {
	if len(id) != timeBytes+1+idBytes || id[timeBytes] != '-' {
		return time.Time{}
	}
	at, err := time.Parse(timeFormat, id[:timeBytes])
	if err != nil {
		return time.Time{}
	}
	return at
}
