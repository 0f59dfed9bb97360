package tenants

import (
	"sync/atomic"
	"time"

	"multitenant/models"
)

// Provisioned is the result of making a tenant.
type Provisioned struct {
	Spare bool // it was made from a spare
	Took  time.Duration
	Err   error
}

// Figures says how many databases a Manager has open, and counts what it has done
// since it was opened.
type Figures struct {
	Open, MaxOpen int // open databases, lent or idle

	Opened     int // databases opened for a request
	OpenBusy   int // openings given up because all other databases were in use
	OpenFailed int
	Evicted    int // idle databases closed to make room for others
	Unused     int // databases closed because no request used them

	Migrated        int
	MigrationFailed int
	Deleted         int // tenants, without databases that were never finished

	Reconciled Reconciled
}

// Reconciled counts what the reconciler did with unfinished tenants.
type Reconciled struct {
	Undone  int // removed, because their making was interrupted
	Deleted int // removed, because their deletion was interrupted
	Left    int // skipped, because another process was working on them
	Failed  int
}

// counts are the counters behind Figures.
type counts struct {
	open, opened, openBusy, openFailed, evicted, unused atomic.Int64
	migrated, migrationFailed, deleted                  atomic.Int64
	reconUndone, reconDeleted, reconLeft, reconFailed   atomic.Int64
}

// Figures reads counters in memory; it never blocks.
func (m *Manager) Figures() Figures {
	n := m.counts
	return Figures{
		Open:            int(n.open.Load()),
		MaxOpen:         int(m.handles.limit),
		Opened:          int(n.opened.Load()),
		OpenBusy:        int(n.openBusy.Load()),
		OpenFailed:      int(n.openFailed.Load()),
		Evicted:         int(n.evicted.Load()),
		Unused:          int(n.unused.Load()),
		Migrated:        int(n.migrated.Load()),
		MigrationFailed: int(n.migrationFailed.Load()),
		Deleted:         int(n.deleted.Load()),
		Reconciled: Reconciled{
			Undone:  int(n.reconUndone.Load()),
			Deleted: int(n.reconDeleted.Load()),
			Left:    int(n.reconLeft.Load()),
			Failed:  int(n.reconFailed.Load()),
		},
	}
}

// noteReconciled counts what was done with a tenant of that status.
func (n *counts) noteReconciled(status models.TenantStatus, free bool, err error) {
	switch {
	case err != nil:
		n.reconFailed.Add(1)
	case !free:
		n.reconLeft.Add(1)
	case status == models.TenantDeleting:
		n.reconDeleted.Add(1)
	default:
		n.reconUndone.Add(1)
	}
}
