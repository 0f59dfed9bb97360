package tenants

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"multitenant/models"
)

// lookEvery is the least time between two looks at the registry, so that refused
// requests cost core little, however many there are.
const lookEvery = 25 * time.Millisecond

// looks read rows of the registry for requests that a row would refuse or that find it
// too old: another process may have changed it. Requests share a look that has not begun
// when they ask. The zero value is ready for use.
type looks struct {
	turn    sync.Mutex     // held by the look that is under way
	running sync.WaitGroup // of looks

	mu   sync.Mutex // guards next and the tenants in it
	next *look
}

// look is one statement, for several tenants.
type look struct {
	tenants map[string]bool
	done    chan struct{} // closed once what follows is set
	found   map[string]*models.Tenant
	err     error
}

// errNoLook says that core did not answer in time.
var errNoLook = models.ErrCoreUnavailable.Because(errors.New("the registry did not answer in time"))

// lookAgain reads the row of the tenant into its handle and returns it, or nil if there is
// none. What it reads is not older than the call. It waits for at most refreshTimeout.
func (hs *handles) lookAgain(ctx context.Context, id string) (*models.Tenant, error) {
	l := hs.joinLook(id) //nolint:contextcheck // other requests wait for it as well
	timer := time.NewTimer(refreshTimeout)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.found[id], l.err
	case <-timer.C:
		return nil, errNoLook
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// joinLook adds the tenant to the next look, and begins it if the tenant is the first.
func (hs *handles) joinLook(id string) *look {
	hs.looks.mu.Lock()
	defer hs.looks.mu.Unlock()
	if hs.looks.next == nil {
		hs.looks.next = &look{tenants: make(map[string]bool), done: make(chan struct{})}
		l := hs.looks.next
		hs.looks.running.Go(func() { hs.runLook(l) })
	}
	hs.looks.next.tenants[id] = true
	return hs.looks.next
}

func (hs *handles) runLook(l *look) {
	hs.looks.turn.Lock()
	defer hs.looks.turn.Unlock()
	ids := hs.looks.begin()
	ctx, cancel := context.WithTimeout(hs.ctx, refreshTimeout)
	defer cancel()
	if l.found, l.err = hs.refresh(ctx, ids); ctx.Err() != nil {
		l.err = errNoLook
	}
	close(l.done)
	select {
	case <-time.After(lookEvery):
	case <-hs.ctx.Done():
	}
}

// begin takes the tenants of the next look. Later requests wait for another.
func (ls *looks) begin() []string {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ids := slices.Collect(maps.Keys(ls.next.tenants))
	ls.next = nil
	return ids
}
