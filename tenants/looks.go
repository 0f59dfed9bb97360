package tenants

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// lookEvery is the least time between two looks at the registry, so that refused
// requests cost core little, however many there are.
const lookEvery = 25 * time.Millisecond

// looks read rows of the registry for requests that a row would refuse, because
// another process may have changed it a moment ago. Requests share a look that has
// not begun when they ask. The zero value is ready for use.
type looks struct {
	turn sync.Mutex // held by the look that is under way

	mu   sync.Mutex // guards next and the tenants in it
	next *look
}

// look is one statement, for several tenants.
type look struct {
	tenants map[string]bool
	done    chan struct{} // closed once err is set
	err     error
}

// lookAgain reads the row of the tenant into its handle. What it reads is not older
// than the call.
func (m *Manager) lookAgain(ctx context.Context, id string) error {
	l := m.joinLook(id) //nolint:contextcheck // other requests wait for it as well
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// joinLook adds the tenant to the next look, and begins it if the tenant is the first.
func (m *Manager) joinLook(id string) *look {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	if m.looks.next == nil {
		m.looks.next = &look{tenants: make(map[string]bool), done: make(chan struct{})}
		l := m.looks.next
		m.background.Go(func() { m.runLook(l) })
	}
	m.looks.next.tenants[id] = true
	return m.looks.next
}

func (m *Manager) runLook(l *look) {
	m.looks.turn.Lock()
	defer m.looks.turn.Unlock()
	ids := m.looks.begin()
	ctx, cancel := context.WithTimeout(m.handles.ctx, refreshTimeout)
	defer cancel()
	l.err = m.handles.refresh(ctx, ids)
	close(l.done)
	select {
	case <-time.After(lookEvery):
	case <-m.handles.ctx.Done():
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
