package pool

import (
	"context"
	"time"

	"multitenant/database"
)

const (
	// dialsAtOnce spares the server, which starts a process for each connection.
	dialsAtOnce = 8
	// dialsOfOne bounds the dials of one database, and permitsOfOne the permits that
	// it holds without a connection: it may be out of reach while the others are not.
	dialsOfOne   = 2
	permitsOfOne = 4
	// slowDial is the time after which a dial, or a close that makes room for one,
	// no longer counts towards dialsAtOnce.
	slowDial = 250 * time.Millisecond
)

// dialing makes one connection. It goes on when the caller that asked for it gives
// up, since the next caller can use the connection.
type dialing struct {
	share *Share
	began time.Time
	// Guarded by pool.mu.
	isOver, isSlow, hasLanded bool
}

// mayDial is true when a waiter has no dial under way, and the database has no idle
// connection and may have one more when so many are free. The caller must hold pool.mu.
func (s *Share) mayDial(free int) bool {
	return s.waiters != nil && s.waiters.Len() > s.dials && s.dials < dialsOfOne && s.held < permitsOfOne &&
		len(s.idle) == 0 && s.hasRoom(s.holds(), free)
}

// pump lends waiters the idle connections of their own databases, dials for others as
// far as slots and permits go, and closes idle connections for the rest. The caller
// must hold p.mu.
func (p *Pool) pump(now time.Time) {
	p.lendIdle(now)
	for p.open < p.limit && p.slots < dialsAtOnce {
		s := p.next()
		if s == nil {
			return
		}
		p.dial(s, now)
	}
	for p.making < p.wanting(nil, now) {
		c := p.leastUsed(now)
		if c == nil {
			p.nudge()
			return
		}
		p.drop(c)
		p.makeRoom(c)
	}
}

// next is the database whose turn it is to dial. The caller must hold p.mu.
func (p *Pool) next() *Share {
	for place := p.waiting.Front(); place != nil; place = place.Next() {
		if s, ok := place.Value.(*Share); ok && s.mayDial(p.free()) {
			return s
		}
	}
	return nil
}

// leastUsed is the connection that has been idle for longest, and at least for
// idleGrace. The caller must hold p.mu.
func (p *Pool) leastUsed(now time.Time) (least *Conn) {
	for c := range p.conns {
		if c.isIdle && now.Sub(c.since) >= idleGrace && (least == nil || c.since.Before(least.since)) {
			least = c
		}
	}
	return least
}

// makeRoom ends a dropped connection, so that a waiter gets its permit. The caller
// must hold p.mu.
func (p *Pool) makeRoom(c *Conn) {
	p.making++
	p.counts.Evictions++
	end(c)
	go func() {
		timer := time.NewTimer(slowDial)
		defer timer.Stop()
		select {
		case <-c.Ended():
		case <-timer.C:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.making--
		p.pump(time.Now())
	}()
}

// dial begins to dial. The caller must hold p.mu.
func (p *Pool) dial(s *Share, now time.Time) {
	p.open++
	p.slots++
	p.counts.Dials++
	s.dials++
	s.held++
	s.live.Add()
	p.waiting.MoveToBack(s.place)
	d := &dialing{share: s, began: now}
	go d.run()
}

func (d *dialing) run() {
	s := d.share
	timer := time.AfterFunc(slowDial, d.slacken)
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(s.ctx, database.ConnectTimeout)
	defer cancel()
	w, err := s.dial(ctx, NewPermit(d.free))
	if err != nil && s.ctx.Err() == nil && database.IsContextError(err) {
		// The caller still had time, so the database took too long.
		err = database.NewTimeout(err)
	}
	d.finish(w, err)
}

// slacken gives up the slot, so that another database can dial.
func (d *dialing) slacken() {
	p := d.share.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.isOver {
		return
	}
	d.isSlow = true
	d.share.slow++
	p.slots--
	p.pump(time.Now())
}

func (d *dialing) finish(w Wire, err error) {
	s, now := d.share, time.Now()
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	d.isOver = true
	s.dials--
	if d.isSlow {
		s.slow--
	} else {
		p.slots--
	}
	if err != nil {
		p.counts.DialFailures++
		p.fail(s, d.began, err)
	} else {
		d.hasLanded = true
		s.held--
		s.using++
		kept := min(max(worthDials*now.Sub(d.began), worth), mostWorth)
		c := &Conn{Wire: w, share: s, due: now.Add(kept)}
		p.land(c, now)
	}
	p.pump(now)
}

// land adds a new connection, which is in use. The caller must hold p.mu.
func (p *Pool) land(c *Conn, now time.Time) {
	p.conns[c] = struct{}{}
	if c.share.closed {
		p.drop(c)
		end(c)
		return
	}
	p.handOver(c, now)
}

// fail gives the error of a dial to the first waiter. When the database has no
// connection in use, it also gives it to every waiter older than the dial, whose own
// dial would fail the same way. The caller must hold p.mu.
func (p *Pool) fail(s *Share, began time.Time, err error) {
	for w := p.dequeue(s); w != nil; {
		w.granted <- grant{err: err}
		next := s.first()
		if s.using > 0 || next == nil || next.since.After(began) {
			return
		}
		w = p.dequeue(s)
	}
}

// free is called once the last socket of the permit is gone.
func (d *dialing) free() {
	s := d.share
	p := s.pool
	p.mu.Lock()
	p.open--
	if !d.hasLanded {
		s.held--
	}
	p.pump(time.Now())
	p.mu.Unlock()
	s.live.Done()
}
