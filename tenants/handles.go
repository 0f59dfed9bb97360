package tenants

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"multitenant/database"
	"multitenant/models"
)

// acquireWait bounds how long a request waits until a database is opened or migrated;
// the opening itself continues.
const acquireWait = 5 * time.Second

// handles keeps tenants' databases open: one handle for each tenant, at most limit
// in all. It lends them and counts the leases. It closes only handles without a
// lease, the least recently used first.
type handles struct {
	keeper  keeper
	counts  *counts
	limit   int64
	permits *semaphore.Weighted // one for each database that is open, being opened or being closed
	ctx     context.Context     // the lifetime of what is opened, not of a request
	stop    context.CancelFunc
	looks   looks

	mu      sync.Mutex // guards the fields below, and the fields of handles that say so
	byID    map[string]*handle
	lru     *list.List // of *handle, the least recently lent first
	waiting int        // openings that wait for a permit
	closed  bool
}

// handle is one tenant's open database.
type handle struct {
	tenant  Tenant              // its slug and DB are set once opened
	row     atomic.Pointer[row] // is stored under handles.mu; read once opened
	release func()              // ends one lease

	evenSuspended bool   // a suspended tenant is opened as well
	role          string // that the database is opened as; set once opened
	database      string // its name; set once opened

	opened chan struct{} // closed once tenant.DB or err is set
	err    error
	closed chan struct{} // closed once the database is

	// Guarded by handles.mu.
	leases   int
	retired  bool // no longer lent; closed with the last lease
	lent     bool // since the last sweep
	position *list.Element
}

func newHandles(limit int, k keeper, n *counts) *handles {
	ctx, stop := context.WithCancel(context.Background())
	return &handles{
		keeper:  k,
		counts:  n,
		limit:   int64(limit),
		permits: semaphore.NewWeighted(int64(limit)),
		ctx:     ctx,
		stop:    stop,
		byID:    make(map[string]*handle),
		lru:     list.New(),
	}
}

// borrow lends a database that is already open. It never waits.
func (hs *handles) borrow(id string) (*handle, bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h, found := hs.byID[id]
	if !found || !h.isOpen() {
		return nil, false
	}
	hs.take(h)
	return h, true
}

// acquire lends the tenant's database and opens it if necessary: that of a suspended
// tenant only with evenSuspended. It waits for at most acquireWait.
func (hs *handles) acquire(ctx context.Context, id string, evenSuspended bool) (*handle, error) {
	if h, found := hs.borrow(id); found {
		return h, nil
	}
	ctx, cancel := context.WithTimeout(ctx, acquireWait)
	defer cancel()
	for {
		h, err := hs.awaitOpening(ctx, id, evenSuspended)
		// Another request, which is refused, may have begun the opening.
		if !evenSuspended || !models.IsKind(err, models.KindTenantSuspended) || ctx.Err() != nil {
			return h, err
		}
	}
}

// awaitOpening takes a lease and waits for the opening. The opening continues when ctx
// ends, because other requests may wait for it.
func (hs *handles) awaitOpening(ctx context.Context, id string, evenSuspended bool) (*handle, error) {
	h := hs.lease(id, evenSuspended) //nolint:contextcheck // opening outlives the request that asks first
	if h == nil {
		return nil, models.ErrBusy.Because(errors.New("shutting down"))
	}
	select {
	case <-h.opened:
	case <-ctx.Done():
		h.release()
		return nil, models.ErrTenantUnavailable.Because(context.Cause(ctx))
	}
	if h.err != nil {
		h.release()
		return nil, h.err
	}
	return h, nil
}

// lease takes a lease on the tenant's handle, which it makes if there is none. It
// returns nil once the handles are shut.
func (hs *handles) lease(id string, evenSuspended bool) *handle {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.closed {
		return nil
	}
	h, found := hs.byID[id]
	if !found {
		h = &handle{
			tenant:        Tenant{ID: id},
			evenSuspended: evenSuspended,
			opened:        make(chan struct{}),
			closed:        make(chan struct{}),
			leases:        1, // the opening's own
		}
		h.row.Store(&row{})
		h.tenant.row = &h.row
		h.tenant.discard = func() { hs.discard(h) }
		h.release = func() { hs.release(h) }
		h.position = hs.lru.PushBack(h)
		hs.byID[id] = h
		go hs.fill(h)
	}
	hs.take(h)
	return h
}

// take adds a lease. The caller must hold hs.mu.
func (hs *handles) take(h *handle) {
	h.leases++
	h.lent = true
	hs.lru.MoveToBack(h.position)
}

// release ends a lease.
func (hs *handles) release(h *handle) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.leases--
	switch {
	case h.leases > 0:
	case h.retired:
		go hs.close(h)
	case hs.waiting > 0:
		hs.evict()
	}
}

// evict retires the least recently used idle handle. The caller must hold hs.mu.
func (hs *handles) evict() {
	for position := hs.lru.Front(); position != nil; position = position.Next() {
		if h, ok := position.Value.(*handle); ok && h.leases == 0 && h.tenant.DB != nil {
			hs.remove(h)
			hs.counts.evicted.Add(1)
			return
		}
	}
}

// retire stops lending the tenant's handle. The channel is closed when the last
// lease has ended and the database is closed.
func (hs *handles) retire(id string) <-chan struct{} {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h, found := hs.byID[id]
	if !found {
		none := make(chan struct{})
		close(none)
		return none
	}
	hs.remove(h)
	return h.closed
}

// discard retires this handle, unless another has replaced it.
func (hs *handles) discard(h *handle) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.byID[h.tenant.ID] == h {
		hs.remove(h)
	}
}

// remove retires the handle and closes it if it is idle. The caller must hold
// hs.mu.
func (hs *handles) remove(h *handle) {
	delete(hs.byID, h.tenant.ID)
	hs.lru.Remove(h.position)
	h.retired = true
	if h.leases == 0 {
		go hs.close(h)
	}
}

// sweep retires the handles that were not lent since the last sweep.
func (hs *handles) sweep() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, h := range hs.byID {
		if h.leases == 0 && !h.lent {
			hs.remove(h)
			hs.counts.unused.Add(1)
		}
		h.lent = false
	}
}

// close closes a retired handle without leases. No other goroutine can reach it, so
// no lock is needed.
func (hs *handles) close(h *handle) {
	defer close(h.closed)
	if h.tenant.DB == nil {
		return
	}
	_ = database.Close(h.tenant.DB) // all that was written is committed
	hs.counts.open.Add(-1)
	hs.permits.Release(1)
}

// shut retires all handles and waits until they are closed, or ctx ends.
func (hs *handles) shut(ctx context.Context) error {
	hs.stop()
	hs.mu.Lock()
	hs.closed = true
	for _, h := range hs.byID {
		hs.remove(h)
	}
	hs.mu.Unlock()
	hs.looks.running.Wait()
	return hs.permits.Acquire(ctx, hs.limit)
}

func (h *handle) isOpen() bool {
	select {
	case <-h.opened:
		return h.err == nil
	default:
		return false
	}
}
