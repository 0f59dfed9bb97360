package backups

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"multitenant/models"
)

// maxReading is how many records are read at once.
const maxReading = 8

// Listed is a backup of a tenant in a list.
type Listed struct {
	Kept   *Kept
	Record *Record
}

// Level is the level to which the backup is proven: 1 at least, since each backup was read
// back; 0 if it is damaged.
func (l *Listed) Level() int {
	if l.Kept.IsDamaged {
		return 0
	}
	return max(l.Kept.Level, LevelStored)
}

// Moment orders the backups of one database: it is when the backup was taken, in
// milliseconds.
func (k *Kept) Moment() int64 {
	millis, _ := strconv.ParseInt(k.ID[timeBytes+1:timeBytes+1+milliBytes], 10, 64) // 0 in an id that we have not made
	return k.TakenAt.UnixMilli() + millis                                           //nolint:forbidigo // it is compared with the moments of others, never with now
}

// Page returns at most limit backups of a tenant, the newest first, that are older than
// the moment before, if that is not 0. It leaves out backups that are being removed, and
// those that another release has made. KindBackupsUnavailable if the store does not answer.
func (b *Backups) Page(ctx context.Context, tenantID string, before int64, limit int) ([]Listed, error) {
	shelf, err := FindShelf(ctx, b.store, b.databases.InstallationID(), tenantID)
	if err != nil {
		return nil, models.ErrBackupsUnavailable.Because(err)
	}
	slices.Reverse(shelf.Backups)
	left := slices.DeleteFunc(shelf.Backups, func(k *Kept) bool { return before != 0 && k.Moment() >= before })
	page := []Listed{}
	for len(page) < limit && len(left) > 0 {
		next := left[:min(limit-len(page), len(left))]
		left = left[len(next):]
		listed, err := b.read(ctx, next)
		if err != nil {
			return nil, models.ErrBackupsUnavailable.Because(err)
		}
		page = append(page, listed...)
	}
	return page, nil
}

// read returns those of the backups whose records can be used.
func (b *Backups) read(ctx context.Context, some []*Kept) ([]Listed, error) {
	listed := make([]Listed, len(some))
	var reading errgroup.Group
	reading.SetLimit(maxReading)
	for i, kept := range some {
		reading.Go(func() error {
			record, err := readRecord(ctx, b.store, kept.record)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoRecord) {
				return nil
			}
			listed[i] = Listed{Kept: kept, Record: record}
			return err
		})
	}
	err := reading.Wait()
	return slices.DeleteFunc(listed, func(l Listed) bool { return l.Record == nil }), err
}

// Find returns the backup of a tenant with that id or, if id is empty, the newest that is
// explained and not known to be damaged, for a restoration by this process. The errors:
// KindBackupNotFound, KindBackupsUnavailable, KindBackupIdentityMissing for one that this
// process cannot decrypt, and KindBackupUnusable for one that its databases cannot take.
func (b *Backups) Find(ctx context.Context, tenantID, id string) (*Record, error) {
	shelf, err := FindShelf(ctx, b.store, b.databases.InstallationID(), tenantID)
	if err != nil {
		return nil, models.ErrBackupsUnavailable.Because(err)
	}
	for _, kept := range slices.Backward(shelf.Backups) {
		if id == "" && kept.IsDamaged || id != "" && id != kept.ID {
			continue
		}
		listed, err := b.read(ctx, []*Kept{kept})
		if err != nil {
			return nil, models.ErrBackupsUnavailable.Because(err)
		}
		if len(listed) == 0 || id == "" && !listed[0].Record.IsExplained() {
			continue
		}
		if listed[0].Record.IsEncrypted() && len(b.identities) == 0 {
			return nil, models.ErrBackupIdentityMissing
		}
		if _, err := b.migrationsOf(listed[0].Record); err != nil {
			return nil, models.ErrBackupUnusable.Because(err)
		}
		return listed[0].Record, nil
	}
	return nil, models.ErrBackupNotFound
}
