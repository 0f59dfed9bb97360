package limits

import (
	"container/list"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"multitenant/models"
)

// maxTurnCounts is how many tenants and addresses are remembered before those are
// forgotten that had no more turns than others.
const maxTurnCounts = 1024

// Turn describes a caller who waits. A login goes before everything else.
type Turn struct {
	Login  bool
	Tenant string // empty at the core
	From   netip.Addr
}

// Turns bounds how many callers do slow work at once. The others wait. Logins go
// first; then the next turn is that of the tenant and the address that have had the
// fewest. So a tenant, or an address, with many waiting callers delays the others by
// one turn.
type Turns struct {
	wait time.Duration

	mu      sync.Mutex // guards what follows
	free    int
	waiting [2]queue // logins, and the rest
}

// queue are the waiting callers of one kind.
type queue struct {
	list.List // of *turnWaiter

	// had counts the turns of each tenant and address, from least on: a caller that
	// comes late must not have a turn for each that the others had before.
	had   map[any]int
	least int
}

type turnWaiter struct {
	Turn
	begin chan struct{} // closed when it is the waiter's turn
	// place is guarded by mu; nil once it is the waiter's turn or the waiter gave up.
	place *list.Element
}

// NewTurns lets atOnce callers work at a time. The others wait for at most wait.
func NewTurns(atOnce int, wait time.Duration) *Turns {
	t := &Turns{free: atOnce, wait: wait}
	for i := range t.waiting {
		t.waiting[i].had = make(map[any]int)
	}
	return t
}

// Take waits for a turn; the caller must then call end. It fails with KindBusy when the
// turn does not come in time, and with the error of ctx.
func (t *Turns) Take(ctx context.Context, turn Turn) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("wait for a turn: %w", err)
	}
	turn.From = site(turn.From)
	w := t.enter(turn)
	if w == nil {
		return t.end, nil
	}
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case <-w.begin:
		return t.end, nil
	case <-ctx.Done():
		err = fmt.Errorf("wait for a turn: %w", ctx.Err())
	case <-timer.C:
		err = models.ErrBusy.Because(fmt.Errorf("no turn within %s", t.wait))
	}
	if !t.leave(w) {
		t.end() // it came too late
	}
	return nil, err
}

// Waiting is how many callers wait for their turn.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting[0].Len() + t.waiting[1].Len()
}

// enter returns nil when it is the caller's turn at once.
func (t *Turns) enter(turn Turn) *turnWaiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return nil
	}
	w := &turnWaiter{Turn: turn, begin: make(chan struct{})}
	w.place = t.queue(w).PushBack(w)
	return w
}

// queue is the one that the waiter is in. The caller must hold t.mu.
func (t *Turns) queue(w *turnWaiter) *queue {
	if w.Login {
		return &t.waiting[0]
	}
	return &t.waiting[1]
}

// leave is false when it is the waiter's turn already.
func (t *Turns) leave(w *turnWaiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.place == nil {
		return false
	}
	t.queue(w).remove(w)
	return true
}

func (t *Turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.waiting {
		if next := t.waiting[i].next(); next != nil {
			close(next.begin)
			return
		}
	}
	t.free++
}

// next removes and returns the waiter whose turn it is; nil when there is none.
func (q *queue) next() (next *turnWaiter) {
	var most, all int
	for place := q.Front(); place != nil; place = place.Next() {
		w, _ := place.Value.(*turnWaiter)
		tenant, from := q.turns(w.Tenant), q.turns(w.From)
		if next == nil || max(tenant, from) < most || max(tenant, from) == most && tenant+from < all {
			next, most, all = w, max(tenant, from), tenant+from
		}
	}
	if next == nil {
		return nil
	}
	q.had[next.Tenant], q.had[next.From] = q.turns(next.Tenant)+1, q.turns(next.From)+1
	q.least = most
	q.remove(next)
	if len(q.had) > maxTurnCounts {
		maps.DeleteFunc(q.had, func(_ any, turns int) bool { return turns <= q.least })
	}
	return next
}

// turns is how many a tenant or an address has had.
func (q *queue) turns(key any) int { return max(q.had[key], q.least) }

// remove also forgets all turns when the last waiter is gone.
func (q *queue) remove(w *turnWaiter) {
	q.Remove(w.place)
	w.place = nil
	if q.Len() == 0 {
		clear(q.had)
		q.least = 0
	}
}
