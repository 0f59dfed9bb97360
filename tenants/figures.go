package tenants

import (
	"sync/atomic"
	"time"

	"multitenant/models"
)

// Provisioned tells how the making of a tenant has ended.
type Provisioned struct {
	Spare bool // there was a spare to make it of
	Took  time.Duration
	Err   error
}

// Figures says what a Manager has open, and counts what it has done since it was
// opened.
type Figures struct {
	Open, MaxOpen int // tenants' databases lent or kept for the next

	Opened     int // databases that had to be opened for who asked
	OpenBusy   int // openings given up since all others were in use
	OpenFailed int
	Evicted    int // idle databases closed to make room for others
	Unused     int // databases closed since nobody asked for them

	Migrated        int
	MigrationFailed int
	Deleted         int // tenants, not databases that were never whole

	Reconciled Reconciled
}

// Reconciled counts what the reconciler did with tenants that were found
// unsettled.
type Reconciled struct {
	Undone  int // removed, since their making was cut off
	Deleted int // removed, since their deletion was cut off
	Left    int // left to those who are at work on them
	Failed  int
}

// counts are the figures in the making.
type counts struct {
	open, opened, openBusy, openFailed, evicted, unused atomic.Int64
	migrated, migrationFailed, deleted                  atomic.Int64
	reconUndone, reconDeleted, reconLeft, reconFailed   atomic.Int64
}

// Figures asks nobody and waits for nobody.
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

// noteReconciled counts what has been done with a tenant that had that status.
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
