package database

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// moment is how long a waiter leaves to others what they use all the time,
	// and how long a connection must have been idle for others to take it.
	moment = 5 * time.Millisecond
	// A connection is its database's, whoever waits, for some times as long as it
	// took to dial it, and at least and at most so long.
	worthDials = 10
	worth      = 50 * time.Millisecond
	mostWorth  = 500 * time.Millisecond
	// pingAfter is how long a connection may be idle and trusted unseen.
	pingAfter = 5 * time.Second
	pingLimit = time.Second
)

var errClosed = errors.New("database is closed")

// wire is what a pool needs of a connection.
type wire interface {
	// isFit is false for what must not be used again: it is broken, or in the
	// middle of something.
	isFit() bool
	// isQuiet is false where the far end has said something unasked.
	isQuiet() bool
	Ping(ctx context.Context) error
	// Close ends it, and waits a little for the far end to do the same.
	Close() error
	// ended is closed once it has ended at the far end too.
	ended() <-chan struct{}
}

// pool is a bounded number of connections that many databases share. Each use
// takes one and gives it back, so that a busy database may have many and one
// that nobody asks for has none. No lock is held while anything is sent.
//
// Where there is no permit for another connection, the one that was idle for
// longest pays, and the permit is free once the server has closed it. Since a
// database that waits has nothing idle, it is always another's that pays.
type pool struct {
	limit     int           // of permits
	mostOfOne int           // of them, for one database
	idleLimit time.Duration // an unused connection is closed after this
	patience  time.Duration // of those who wait; zero: as long as their context

	mu       sync.Mutex // guards what follows, and the fields of shares and of conns that say so
	open     int        // permits taken: connections, those being made, and those being closed
	slots    int        // dials under way, but for the slow ones
	making   int        // connections being closed to make room, but for the slow ones
	conns    map[*pooled]struct{}
	idle     int        // of conns
	waiting  *list.List // of *share with waiters, the next to be served first
	waiters  int
	doubt    time.Time // what was last used before is to be pinged: the server may be another
	nudging  bool      // a timer will look at the waiters again
	sweeping bool      // a timer will close what is idle for too long
	counts   Stats     // of what has happened, see stats
}

// pooled is a connection in a pool.
type pooled struct {
	wire
	share *share
	due   time.Time // when others may take it although it is in use all the time
	// Guarded by pool.mu.
	isIdle bool
	since  time.Time // last given back
}

// share is one database's part of a pool.
type share struct {
	pool *pool
	// dial makes a connection with a permit, which it leaves when that fails.
	dial  func(ctx context.Context, p *permit) (wire, error)
	ctx   context.Context // the lifetime of its dials, not of a request
	stop  context.CancelFunc
	live  tracker // of permits it has taken
	hasty bool    // set when nothing came about that is worth a wait at the end

	// Guarded by pool.mu.
	idle    []*pooled // the last given back is the first taken
	using   int
	dials   int        // under way
	slow    int        // of dials
	held    int        // permits of dials that have not come to anything yet, or never will
	waiters *list.List // of *waiter; nil while nobody has waited
	place   *list.Element
	closed  bool
}

func newPool(limit int, idleLimit, patience time.Duration) *pool {
	return &pool{
		limit: limit, mostOfOne: limit, idleLimit: idleLimit, patience: patience,
		conns: make(map[*pooled]struct{}), waiting: list.New(),
	}
}

// join adds a database to the pool.
func (p *pool) join(dial func(context.Context, *permit) (wire, error)) *share {
	s := &share{pool: p, dial: dial}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// take returns a connection that nobody else has until it is given back. It
// fails with ErrBusy, with ctx's error, or with that of dialing.
func (s *share) take(ctx context.Context) (*pooled, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, isSuspect, w, err := s.claim(time.Now())
		if err != nil {
			return nil, err
		}
		if w != nil {
			return s.pool.await(ctx, w)
		}
		if !isSuspect && c.isQuiet() || s.isAlive(ctx, c) {
			return c, nil
		}
	}
}

// claim takes an idle connection, or else a place among the waiters.
func (s *share) claim(now time.Time) (c *pooled, isSuspect bool, w *waiter, err error) {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.closed {
		return nil, false, nil, errClosed
	}
	last := len(s.idle) - 1
	if last < 0 {
		return nil, false, p.enqueue(s, now), nil
	}
	c = s.idle[last]
	s.idle[last] = nil
	s.idle = s.idle[:last]
	c.isIdle = false
	p.idle--
	s.using++
	return c, c.since.Before(p.doubt) || now.Sub(c.since) > pingAfter, nil, nil
}

// isAlive asks the far end. What was last used before a dead one was may be dead
// as well.
func (s *share) isAlive(ctx context.Context, c *pooled) bool {
	bounded, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	err := c.Ping(bounded)
	if err == nil {
		return true
	}
	p := s.pool
	p.mu.Lock()
	ending := []*pooled{c}
	p.drop(c)
	if ctx.Err() == nil {
		p.doubt = time.Now()
	}
	if bounded.Err() != nil {
		// The others would take as long to say nothing.
		ending = append(ending, s.dropIdle()...)
	}
	p.mu.Unlock()
	end(ending...)
	return false
}

// give takes a connection back.
func (s *share) give(c *pooled) {
	isFit := c.isFit()
	now := time.Now()
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !isFit || s.closed:
		p.drop(c)
		end(c)
	case p.isDue(c, now):
		p.drop(c)
		p.makeRoom(c)
	default:
		c.since = now
		p.settle(c, now)
	}
}

// settle hands a connection to the next who waits for one like it, or lets it
// rest. It needs p.mu.
func (p *pool) settle(c *pooled, now time.Time) {
	s := c.share
	if w := p.dequeue(s); w != nil {
		w.granted <- grant{conn: c}
		return
	}
	s.using--
	s.idle = append(s.idle, c)
	c.isIdle = true
	p.idle++
	if p.waiting.Len() > 0 {
		p.pump(now)
	}
	p.sweepLater()
}

// drop forgets a connection, which the caller ends. It needs p.mu.
func (p *pool) drop(c *pooled) {
	delete(p.conns, c)
	if !c.isIdle {
		c.share.using--
		return
	}
	p.idle--
	c.isIdle = false
	if i := slices.Index(c.share.idle, c); i >= 0 {
		c.share.idle = slices.Delete(c.share.idle, i, i+1)
	}
}

// dropIdle drops all that is idle. It needs pool.mu.
func (s *share) dropIdle() []*pooled {
	idle := slices.Clone(s.idle)
	for _, c := range idle {
		s.pool.drop(c)
	}
	return idle
}

// end closes connections behind the caller's back.
func end(conns ...*pooled) {
	for _, c := range conns {
		go func() { _ = c.Close() }() // it is gone either way
	}
}

// Close ends what is idle and what is being dialed, and waits until all has
// ended at the far end too. What is in use ends when it is given back.
func (s *share) Close() error {
	p := s.pool
	p.mu.Lock()
	s.closed = true
	ending := s.dropIdle()
	for w := p.dequeue(s); w != nil; w = p.dequeue(s) {
		w.granted <- grant{err: errClosed}
	}
	p.mu.Unlock()
	s.stop()
	end(ending...)
	if s.hasty {
		return nil
	}
	return s.live.wait(closeTimeout)
}

// hurry makes Close wait for nobody.
func (s *share) hurry() { s.hasty = true }
