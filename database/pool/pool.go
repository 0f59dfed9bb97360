// Package pool bounds the connections of a process: many databases share one set,
// and each use takes a connection and gives it back. It knows no engine.
package pool

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"multitenant/database"
)

const (
	// idleGrace is how long a connection must have been idle before another database
	// takes it, and how long a waiter leaves a busy connection to its database.
	idleGrace = 5 * time.Millisecond
	// A database keeps a new connection for worthDials times as long as dialing took,
	// at least for worth and at most for mostWorth, even if others wait.
	worthDials = 10
	worth      = 50 * time.Millisecond
	mostWorth  = 500 * time.Millisecond
	// pingAfter is how long a connection may be idle before a ping must confirm it.
	pingAfter = 5 * time.Second
	pingLimit = time.Second
)

var errClosed = errors.New("database is closed")

// Wire is what a pool needs of a connection.
type Wire interface {
	// IsFit is false when the connection must not be used again: it is broken, or
	// inside a transaction or an answer.
	IsFit() bool
	// IsQuiet is false when the far end has sent something unasked.
	IsQuiet() bool
	Ping(ctx context.Context) error
	// Interrupt makes the statement under way fail, if there is one. It does not wait.
	Interrupt()
	// Close ends it, and waits a little for the far end to do the same.
	Close() error
	// Ended is closed once it has ended at the far end too.
	Ended() <-chan struct{}
}

// Pool is a bounded number of connections that many databases share. Each use
// takes one and gives it back, so a busy database may have many and an unused one
// has none. The pool holds no lock while it sends anything.
//
// When all permits are taken, the pool closes the connection that was idle for
// longest. Its permit is free once the server has closed it too.
type Pool struct {
	limit     int // of permits
	mostOfOne int
	isFair    bool          // see hasRoom
	idleLimit time.Duration // an unused connection is closed after this; zero: never
	patience  time.Duration // how long a caller waits; zero: as long as its context

	mu         sync.Mutex // guards what follows, and the fields of shares and of conns that say so
	open       int        // permits taken: connections, those being made, and those being closed
	slots      int        // dials under way, without the slow ones
	making     int        // connections being closed to make room, without the slow ones
	conns      map[*Conn]struct{}
	idle       int        // of conns
	waiting    *list.List // of *Share with waiters, the next to be served first
	waiters    int
	doubt      time.Time            // a connection last used before this is pinged: the server may have restarted
	nudging    bool                 // a timer will look at the waiters again
	sweeping   bool                 // a timer will close connections that are idle for too long
	slowShares map[*Share]time.Time // databases that count as slow, each until then
	watching   bool                 // a timer will look for slow databases
	counts     database.Stats       // of events, see Stats
}

// Conn is a connection in a pool.
type Conn struct {
	Wire
	share *Share
	due   time.Time // from then on another database may take it although it is busy
	// Guarded by pool.mu.
	isIdle        bool
	isInterrupted bool
	since         time.Time // when it was last taken or given back
}

// Share is one database's part of a pool.
type Share struct {
	pool *Pool
	// dial makes a connection with a permit. It leaves the permit when it fails.
	dial       func(ctx context.Context, p *Permit) (Wire, error)
	ctx        context.Context // the lifetime of its dials, not of a request
	stop       context.CancelFunc
	live       database.Tracker // of permits it has taken
	skipsDrain bool             // Close has no connection to wait for

	// Guarded by pool.mu.
	idle    []*Conn // the last one given back is taken first
	using   int
	dials   int        // under way
	slow    int        // of dials
	held    int        // permits of dials without a connection so far
	waiters *list.List // of *waiter; nil until a caller has waited
	place   *list.Element
	closed  bool
}

// Options say how large a pool is, and how long things take in it.
type Options struct {
	Limit     int           // connections at most
	MostOfOne int           // of them for one database of a fair pool
	IsFair    bool          // keeps some of them for databases that hold few, see hasRoom
	IdleLimit time.Duration // an unused connection is closed after this; zero: never
	Patience  time.Duration // how long a caller waits; zero: as long as its context
}

// New makes an empty pool. It opens a connection when a caller first takes one.
func New(o Options) *Pool {
	return &Pool{
		limit: o.Limit, mostOfOne: cmp.Or(o.MostOfOne, o.Limit), isFair: o.IsFair, idleLimit: o.IdleLimit, patience: o.Patience,
		conns: make(map[*Conn]struct{}), waiting: list.New(), slowShares: make(map[*Share]time.Time),
	}
}

// Join adds a database to the pool.
func (p *Pool) Join(dial func(context.Context, *Permit) (Wire, error)) *Share {
	s := &Share{pool: p, dial: dial}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Take returns a connection for the caller alone, who must Give it back. It fails
// with database.ErrBusy, with the error of ctx, or with the error of dialing.
func (s *Share) Take(ctx context.Context) (*Conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		g, w := s.claim(time.Now())
		if w != nil {
			g = s.pool.await(ctx, w)
		}
		if g.err != nil {
			return nil, g.err
		}
		if !g.wasIdle || !g.isSuspect && g.conn.IsQuiet() || s.isAlive(ctx, g.conn) {
			return g.conn, nil
		}
	}
}

// claim takes an idle connection, or else a place in the queue.
func (s *Share) claim(now time.Time) (grant, *waiter) {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.closed {
		return grant{err: errClosed}, nil
	}
	if len(s.idle) == 0 || !s.mayTake() {
		return grant{}, p.enqueue(s, now)
	}
	return s.takeIdle(now), nil
}

// takeIdle takes the connection that was given back last. The caller must hold
// pool.mu.
func (s *Share) takeIdle(now time.Time) grant {
	p, last := s.pool, len(s.idle)-1
	c := s.idle[last]
	s.idle[last] = nil
	s.idle = s.idle[:last]
	c.isIdle = false
	p.idle--
	s.using++
	g := grant{conn: c, wasIdle: true, isSuspect: c.since.Before(p.doubt) || now.Sub(c.since) > pingAfter}
	p.lend(c, now)
	return g
}

// isAlive pings the far end. After a dead connection the pool also doubts those
// that were last used before it.
func (s *Share) isAlive(ctx context.Context, c *Conn) bool {
	bounded, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	err := c.Ping(bounded)
	if err == nil {
		return true
	}
	p := s.pool
	p.mu.Lock()
	ending := []*Conn{c}
	p.drop(c)
	if ctx.Err() == nil {
		p.doubt = time.Now()
	}
	if bounded.Err() != nil {
		// The other idle connections would time out as well.
		ending = append(ending, s.dropIdle()...)
	}
	p.mu.Unlock()
	end(ending...)
	return false
}

// Give takes a connection back.
func (s *Share) Give(c *Conn) {
	isFit := c.IsFit()
	now := time.Now()
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !isFit || s.closed || c.isInterrupted:
		p.drop(c)
		end(c)
	case p.isDue(c, now):
		p.drop(c)
		p.makeRoom(c)
	default:
		p.handOver(c, now)
	}
}

// handOver gives a connection to the next waiter of its database, or makes it
// idle. The caller must hold p.mu.
func (p *Pool) handOver(c *Conn, now time.Time) {
	s := c.share
	if w := s.first(); w != nil && s.mayKeep() {
		p.remove(w)
		p.lend(c, now)
		w.granted <- grant{conn: c}
		return
	}
	c.since = now
	s.using--
	s.idle = append(s.idle, c)
	c.isIdle = true
	p.idle++
	if p.waiting.Len() > 0 {
		p.pump(now)
	}
	p.sweepLater()
}

// drop removes a connection from the pool. The caller must hold p.mu and end the
// connection.
func (p *Pool) drop(c *Conn) {
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

// dropIdle drops all idle connections. The caller must hold pool.mu.
func (s *Share) dropIdle() []*Conn {
	idle := slices.Clone(s.idle)
	for _, c := range idle {
		s.pool.drop(c)
	}
	return idle
}

// end closes connections in the background.
func end(conns ...*Conn) {
	for _, c := range conns {
		go func() { _ = c.Close() }() // it is gone either way
	}
}

// Context ends when the share is closed.
func (s *Share) Context() context.Context { return s.ctx }

// Share is the part of the pool that the connection belongs to.
func (c *Conn) Share() *Share { return c.share }

// Limit is how many connections the pool has at most.
func (p *Pool) Limit() int { return p.limit }

// Close ends idle connections and dials, and waits until the far end has closed
// them. A connection in use ends when it is given back.
func (s *Share) Close() error {
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
	if s.skipsDrain {
		return nil
	}
	return s.live.Wait(database.CloseTimeout)
}

// SkipDrain makes Close return at once.
func (s *Share) SkipDrain() { s.skipsDrain = true }
