package tenants

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"multitenant/database"
	"multitenant/models"
)

// handles keeps tenants' databases open: one handle a tenant however many ask
// at once, at most limit in all. It lends them out and counts the leases; only
// a handle without one is ever closed, the least recently used first.
type handles struct {
	keeper  keeper
	counts  *counts
	limit   int64
	permits *semaphore.Weighted // one for each database open, being opened or being closed
	ctx     context.Context     // the lifetime of what is opened, not of a request
	stop    context.CancelFunc

	mu      sync.Mutex // guards what follows, and every handle's fields that say so
	byID    map[string]*handle
	lru     *list.List // of *handle, the least recently lent first
	waiting int        // openings that wait for a permit
	changes int        // of rows by this process, see refresh
	closed  bool
}

// handle is one tenant's open database.
type handle struct {
	tenant  Tenant
	record  atomic.Pointer[models.Tenant] // the registry's row as last seen; set once opened
	release func()                        // ends one lease

	opened chan struct{} // closed once tenant.DB or err is set
	err    error
	closed chan struct{} // closed once the database is

	// Guarded by handles.mu.
	leases   int
	retired  bool // lent to nobody any more, closed with the last lease
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

// borrow lends a database that is open already; it never waits.
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

// acquire lends the tenant's database, opened first where it is not. Opening
// goes on when ctx ends: others may be waiting for it.
func (hs *handles) acquire(ctx context.Context, id string, slug models.Slug) (*handle, error) {
	h := hs.enter(id, slug) //nolint:contextcheck // opening outlives the request that asks first
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

// enter takes a lease on the tenant's handle, which is made where there is
// none; nil once the handles are shut.
func (hs *handles) enter(id string, slug models.Slug) *handle {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.closed {
		return nil
	}
	h, found := hs.byID[id]
	if !found {
		h = &handle{
			tenant: Tenant{ID: id, Slug: slug},
			opened: make(chan struct{}),
			closed: make(chan struct{}),
			leases: 1, // the opening's own
		}
		h.tenant.record = &h.record
		h.release = func() { hs.release(h) }
		h.position = hs.lru.PushBack(h)
		hs.byID[id] = h
		go hs.fill(h)
	}
	hs.take(h)
	return h
}

// take adds a lease. It needs hs.mu.
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

// evict retires the least recently used handle that is idle. It needs hs.mu.
func (hs *handles) evict() {
	for position := hs.lru.Front(); position != nil; position = position.Next() {
		if h, ok := position.Value.(*handle); ok && h.leases == 0 && h.tenant.DB != nil {
			hs.remove(h)
			hs.counts.evicted.Add(1)
			return
		}
	}
}

// retire lends the tenant's handle no more and returns what is closed once its
// database is, when the leases there are have ended.
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

// discard retires this handle, which another may have replaced already.
func (hs *handles) discard(h *handle) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.byID[h.tenant.ID] == h {
		hs.remove(h)
	}
}

// remove takes the handle out and closes it if it is idle. It needs hs.mu.
func (hs *handles) remove(h *handle) {
	delete(hs.byID, h.tenant.ID)
	hs.lru.Remove(h.position)
	h.retired = true
	if h.leases == 0 {
		go hs.close(h)
	}
}

// sweep retires what was not lent since the last sweep.
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

// close closes a handle that is retired and without lease. Nobody can reach it
// any more, so no lock is needed.
func (hs *handles) close(h *handle) {
	defer close(h.closed)
	if h.tenant.DB == nil {
		return
	}
	_ = database.Close(h.tenant.DB) // it is gone either way, and nothing was left unwritten
	hs.counts.open.Add(-1)
	hs.permits.Release(1)
}

// shut retires every handle and waits until all are closed, or ctx ends.
func (hs *handles) shut(ctx context.Context) error {
	hs.stop()
	hs.mu.Lock()
	hs.closed = true
	for _, h := range hs.byID {
		hs.remove(h)
	}
	hs.mu.Unlock()
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
