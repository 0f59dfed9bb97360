package backups

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"multitenant/backups/retention"
	"multitenant/models"
)

const (
	// maxLookEvery is how often it is looked for what is due, at the longest, and maxListEvery
	// how often the whole store is listed.
	maxLookEvery = 5 * time.Minute
	maxListEvery = time.Hour
	// looksEach is how many looks there are in the time between two backups.
	looksEach = 20
	// busyPause is how soon a database is tried again that another process had locked,
	// perhaps not for a backup.
	busyPause = 5 * time.Second
	// coreEvery is how often core is backed up, at least: it says which tenants exist.
	coreEvery = 24 * time.Hour
	// maxFailures in a row end a round: it is not the tenants that are at fault.
	maxFailures = 3
)

// ScheduleOptions are the settings of a Schedule.
type ScheduleOptions struct {
	Every  time.Duration    // the time between two backups of a database
	Policy retention.Policy // prunes after backups; zero prunes nothing
	// KeepDeleted is that of Pruning.
	KeepDeleted time.Duration
	Logger      *slog.Logger
	// Hold waits until this process may hold another lock for long.
	Hold func(ctx context.Context) (release func(), err error)
}

// Schedule makes the backups that are due, one at a time, beside other servers that do
// so too. Each database has its own moment within Every, by a hash of its id; it is due
// when the newest backup is older than the last such moment. So a night that was missed
// is caught up.
type Schedule struct {
	ScheduleOptions

	backups *Backups
	shelves map[string]*Shelf    // what the store had when it was listed
	made    map[string]time.Time // the newest backups since, by whomever
	retry   map[string]time.Time // before which a database that failed is left alone
	busy    bool                 // another process had a database locked in the last round
	listed  time.Time
	pruned  time.Time

	mu      sync.Mutex // guards figures
	figures Figures
}

// Figures count what a Schedule has done, and say how old backups are.
type Figures struct {
	Complete, Incomplete, Failed int
	// OldestGood is the age of the newest backup of the tenant, or of core, where that is
	// the oldest, and Without how many have none.
	OldestGood time.Duration
	Without    int
	// OldestProven is the age of the newest proven backup where that is the oldest, and
	// Unproven how many databases have none.
	OldestProven time.Duration
	Unproven     int
}

// note counts a database, whose newest good and newest proven backups are of these times.
func (f *Figures) note(good, proven, now time.Time) {
	if good.IsZero() {
		f.Without++
	} else {
		f.OldestGood = max(f.OldestGood, now.Sub(good))
	}
	if proven.IsZero() {
		f.Unproven++
	} else {
		f.OldestProven = max(f.OldestProven, now.Sub(proven))
	}
}

// NewSchedule returns a Schedule that has not begun.
func NewSchedule(b *Backups, o ScheduleOptions) *Schedule {
	return &Schedule{ScheduleOptions: o, backups: b, made: map[string]time.Time{}, retry: map[string]time.Time{}}
}

// Figures reads what is in memory; it never blocks for long.
func (s *Schedule) Figures() Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.figures
}

// Run backs up until ctx ends. What is under way then is given up.
func (s *Schedule) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.count(&Result{Err: err})
			s.Logger.WarnContext(ctx, "scheduled backups", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.pause()):
		}
	}
}

// pause is the time between two rounds.
func (s *Schedule) pause() time.Duration {
	pause := min(maxLookEvery, s.Every/looksEach)
	if s.busy {
		return min(pause, busyPause)
	}
	return pause
}

// round makes what is due now.
func (s *Schedule) round(ctx context.Context) error {
	s.busy = false
	if err := s.list(ctx); err != nil {
		return err
	}
	due, err := s.due(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	if err := s.backups.try(ctx); err != nil {
		return err
	}
	made, failures := false, 0
	for _, owner := range due {
		result := s.one(ctx, owner)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.count(&result)
		made = made || result.Record != nil
		if result.Err == nil {
			failures = 0
			continue
		}
		s.retry[owner] = time.Now().Add(min(s.Every/looksEach, maxListEvery))
		s.Logger.WarnContext(ctx, "back up", "database", result.Name, "error", result.Err)
		if failures++; failures == maxFailures {
			break
		}
	}
	if made {
		return s.prune(ctx)
	}
	return nil
}

// list lists the store anew if that was long ago.
func (s *Schedule) list(ctx context.Context) error {
	if s.shelves != nil && time.Since(s.listed) < min(maxListEvery, s.Every) {
		return nil
	}
	shelves, err := FindShelves(ctx, s.backups.store, s.backups.databases.InstallationID())
	if err != nil {
		return err
	}
	s.shelves, s.made, s.listed = shelves, map[string]time.Time{}, time.Now()
	return nil
}

// due returns core, if it is due, and the tenants that are.
func (s *Schedule) due(ctx context.Context) (due []string, err error) {
	now := time.Now()
	found := Figures{}
	look := func(owner string) {
		good := s.newest(owner, now)
		_, proven := s.shelves[owner].Newest(now)
		found.note(good, proven, now)
		if s.isDue(owner, good, now) && now.After(s.retry[owner]) {
			due = append(due, owner)
		}
	}
	look(CoreOwner)
	all := models.Selection{Claimed: true, Fleet: true}
	err = models.EachTenant(ctx, s.backups.databases.Core, all, func(record *models.Tenant) error {
		look(record.ID)
		return ctx.Err()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.figures.OldestGood, s.figures.Without = found.OldestGood, found.Without
	s.figures.OldestProven, s.figures.Unproven = found.OldestProven, found.Unproven
	return due, err
}

// newest returns when the newest good backup was taken, as far as this process knows.
func (s *Schedule) newest(owner string, now time.Time) time.Time {
	good, _ := s.shelves[owner].Newest(now)
	if made := s.made[owner]; made.After(good) {
		return made
	}
	return good
}

// isDue reports whether a backup is older than the last moment of its database.
func (s *Schedule) isDue(owner string, good, now time.Time) bool {
	every := s.Every
	if owner == CoreOwner {
		every = min(every, coreEvery)
	}
	sum := sha256.Sum256([]byte(owner))
	offset := time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(every)) //nolint:gosec // less than every
	moment := now.Add(-offset).Truncate(every).Add(offset)
	return good.Before(moment)
}

// one backs up a database that is due, unless another process does so or has done so.
func (s *Schedule) one(ctx context.Context, owner string) Result {
	result := Result{Name: owner, Skipped: "another process is at work on it"}
	release, err := s.Hold(ctx)
	if err != nil {
		return Result{Name: owner, Err: err}
	}
	defer release()
	session, free, err := s.backups.databases.Backend.TryLock(ctx, lockOf(owner))
	if err != nil {
		return Result{Name: owner, Err: err}
	}
	if !free {
		s.busy = true
		return result
	}
	defer session.Unlock()
	now := time.Now()
	shelf, err := FindShelf(ctx, s.backups.store, s.backups.databases.InstallationID(), owner)
	if err != nil {
		return Result{Name: owner, Err: err}
	}
	if good, _ := shelf.Newest(now); !s.isDue(owner, good, now) {
		s.made[owner] = good
		return result
	}
	if owner == CoreOwner {
		result = newResult(s.backups.copyCore(ctx))
	} else {
		result = newResult(s.backups.copyTenant(ctx, owner, nil))
	}
	result.Name = owner
	if result.Record != nil {
		s.made[owner], result.Name = result.Record.TakenAt, result.Record.Name()
	}
	return result
}

func (s *Schedule) count(result *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case result.Err != nil:
		s.figures.Failed++
	case result.Record == nil:
	case result.Record.IsComplete():
		s.figures.Complete++
	default:
		s.figures.Incomplete++
	}
}

// prune prunes, if there is a policy and this process has not done so for a while.
func (s *Schedule) prune(ctx context.Context) error {
	now := time.Now()
	if s.Policy.IsZero() || now.Sub(s.pruned) < min(s.Every, coreEvery) {
		return nil
	}
	pruning := &Pruning{
		Databases: s.backups.databases, Store: s.backups.store, Policy: s.Policy, KeepDeleted: s.KeepDeleted, Now: now,
	}
	pruned, err := pruning.Run(ctx)
	for i := range pruned {
		s.Logger.InfoContext(ctx, "pruned backups", "tenant", pruned[i].Owner, "backups", len(pruned[i].IDs), "objects", len(pruned[i].Loose))
	}
	if errors.Is(err, ErrPruning) {
		err = nil
	}
	if err == nil {
		s.pruned = now
	}
	return err
}
