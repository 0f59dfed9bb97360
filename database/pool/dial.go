package pool

import (
	"context"
	"time"

	"multitenant/database"
)

const (
	// dialsAtOnce spares the server, whose work it is to start a process.
	dialsAtOnce = 8
	// dialsOfOne is how many of them may be one database's, and permitsOfOne how
	// many permits it may hold without a connection to show for it: it may be
	// out of reach, and the others not.
	dialsOfOne   = 2
	permitsOfOne = 4
	// slowDial is when dialing, or closing to make room for it, no longer counts
	// as one of those at once.
	slowDial = 250 * time.Millisecond
)

// dialing is the making of one connection. It goes on when whoever asked for it
// gives up: the next will be glad of it.
type dialing struct {
	share *Share
	began time.Time
	// Guarded by pool.mu.
	isOver, isSlow, hasLanded bool
}

// mayDial is true where somebody waits for whom nothing is on its way, and the
// database may have one more. It needs pool.mu.
func (s *Share) mayDial() bool {
	return s.waiters != nil && s.waiters.Len() > s.dials && s.dials < dialsOfOne && s.held < permitsOfOne &&
		s.using+s.held < s.pool.mostOfOne
}

// pump dials for those who wait, as far as slots and permits go, and closes what
// is idle for the others. It needs p.mu.
func (p *Pool) pump(now time.Time) {
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

// next is the database whose turn it is to dial. It needs p.mu.
func (p *Pool) next() *Share {
	for place := p.waiting.Front(); place != nil; place = place.Next() {
		if s, ok := place.Value.(*Share); ok && s.mayDial() {
			return s
		}
	}
	return nil
}

// leastUsed is the connection that has been idle for longest, and at least for
// idleGrace. It needs p.mu.
func (p *Pool) leastUsed(now time.Time) (least *Conn) {
	for c := range p.conns {
		if c.isIdle && now.Sub(c.since) >= idleGrace && (least == nil || c.since.Before(least.since)) {
			least = c
		}
	}
	return least
}

// makeRoom ends a dropped connection for the sake of somebody who waits. It needs
// p.mu.
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

// dial begins to dial. It needs p.mu.
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
		// Whoever asked still had time: it is the database that took too long.
		err = database.NewTimeout(err)
	}
	d.finish(w, err)
}

// slacken gives up the slot, so that others can dial.
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
		c := &Conn{Wire: w, share: s, due: now.Add(kept), since: now}
		p.land(c, now)
	}
	p.pump(now)
}

// land adds a new connection, which is in use. It needs p.mu.
func (p *Pool) land(c *Conn, now time.Time) {
	p.conns[c] = struct{}{}
	if c.share.closed {
		p.drop(c)
		end(c)
		return
	}
	p.handOver(c, now)
}

// fail tells the first who waits what went wrong, and where no connection is in
// use that could be theirs, all who have waited for as long as the dial: theirs
// would have gone the same way. It needs p.mu.
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

// free is called when the permit's last socket is gone.
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
