package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"time"

	"multitenant/database"
)

// waiter waits for a connection of one database.
type waiter struct {
	share   *Share
	since   time.Time
	granted chan grant // has room for the one grant, which is sent under pool.mu

	place *list.Element // guarded by pool.mu; nil once granted or given up
}

type grant struct {
	conn *Conn
	err  error
	// The connection was idle, and is pinged before use if it is suspect.
	wasIdle, isSuspect bool
}

// enqueue adds a waiter. Waiters of one database are served in order. Databases
// take turns, so one with many waiters does not delay the others. The caller must
// hold p.mu.
func (p *Pool) enqueue(s *Share, now time.Time) *waiter {
	w := &waiter{share: s, since: now, granted: make(chan grant, 1)}
	if s.waiters == nil {
		s.waiters = list.New()
	}
	w.place = s.waiters.PushBack(w)
	if s.place == nil {
		s.place = p.waiting.PushBack(s)
	}
	p.waiters++
	p.pump(now)
	return w
}

// dequeue removes and returns the first waiter of a database; nil when there is
// none. The caller must hold p.mu.
func (p *Pool) dequeue(s *Share) *waiter {
	w := s.first()
	if w != nil {
		p.remove(w)
	}
	return w
}

// first is the waiter to be served next; nil when there is none. The caller must
// hold pool.mu.
func (s *Share) first() *waiter {
	if s.waiters == nil || s.waiters.Len() == 0 {
		return nil
	}
	w, _ := s.waiters.Front().Value.(*waiter)
	return w
}

// remove takes a waiter out of the queue. The caller must hold p.mu.
func (p *Pool) remove(w *waiter) {
	s := w.share
	s.waiters.Remove(w.place)
	w.place = nil
	p.waiters--
	if s.waiters.Len() == 0 {
		p.waiting.Remove(s.place)
		s.place = nil
	}
}

// await waits for the grant. A grant that comes after the caller gave up goes to
// the next waiter.
func (p *Pool) await(ctx context.Context, w *waiter) grant {
	var expired <-chan time.Time
	if p.patience > 0 {
		ticker := time.NewTicker(p.patience)
		defer ticker.Stop()
		expired = ticker.C
	}
	for {
		select {
		case g := <-w.granted:
			return g
		case <-ctx.Done():
			p.abandon(w)
			return grant{err: fmt.Errorf("wait for a free connection: %w", ctx.Err())}
		case <-expired:
			if err := p.expire(w); err != nil {
				return grant{err: err}
			}
		}
	}
}

func (p *Pool) abandon(w *waiter) {
	p.mu.Lock()
	isWaiting := w.place != nil
	if isWaiting {
		p.remove(w)
	}
	p.mu.Unlock()
	if isWaiting {
		return
	}
	if g := <-w.granted; g.conn != nil {
		w.share.Give(g.conn)
	}
}

// expire removes a waiter without a dial under way and returns its error; nil for
// other waiters.
func (p *Pool) expire(w *waiter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := w.share
	if w.place == nil {
		return nil // granted just now
	}
	ahead := 0
	for place := w.place.Prev(); place != nil && ahead < s.dials; place = place.Prev() {
		ahead++
	}
	if ahead < s.dials {
		return nil // its own dial is under way, and is bounded
	}
	p.remove(w)
	if s.using == 0 && (s.slow > 0 || s.held > s.dials) {
		return database.NewTimeout(errors.New("others are waiting for an answer, too"))
	}
	p.counts.BusyRefusals++
	return fmt.Errorf("%w after %s", database.ErrBusy, p.patience)
}

// isDue is true when another database has waited for idleGrace and the connection
// has repaid its dialing. The caller must hold p.mu.
func (p *Pool) isDue(c *Conn, now time.Time) bool {
	return p.waiting.Len() > 0 && p.open >= p.limit && !now.Before(c.due) &&
		p.wanting(c.share, now.Add(-idleGrace)) > p.making
}

// wanting counts the databases that have waited since then to dial, as far as there
// are slots. A connection of other, if that is not nil, would be free for them. The
// caller must hold p.mu.
func (p *Pool) wanting(other *Share, since time.Time) (n int) {
	free := p.free()
	if other != nil {
		free++
	}
	for place := p.waiting.Front(); place != nil && n < dialsAtOnce-p.slots; place = place.Next() {
		s, _ := place.Value.(*Share)
		if s != other && s.mayDial(free) && !s.first().since.After(since) {
			n++
		}
	}
	return n
}

// nudge serves the waiters again after idleGrace. The caller must hold p.mu.
func (p *Pool) nudge() {
	if p.nudging || p.idle == 0 {
		return
	}
	p.nudging = true
	time.AfterFunc(idleGrace, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.nudging = false
		p.pump(time.Now())
	})
}
