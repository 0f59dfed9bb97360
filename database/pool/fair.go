package pool

import (
	"cmp"
	"time"
)

const (
	// slowAfter is how long a connection may be in use before its database counts as
	// slow, and slowFor how long the database then does so.
	slowAfter = 500 * time.Millisecond
	slowFor   = 10 * time.Second
	// slowReserve keeps one connection in four from all slow databases together.
	slowReserve = 4
	// overdueAfter is how long a connection may be in use before it is taken from a
	// slow database for another that has none. It is short, since a waiter may have to
	// wait until several databases have turned out to be slow.
	overdueAfter = time.Second
	// watchEvery is how often the pool looks for slow databases.
	watchEvery = 250 * time.Millisecond
)

// hasRoom is true when the database may have one more connection than held, while so
// many of the pool are free. In a fair pool it must hold fewer than are free: one
// database alone gets half of the pool, the next half of the rest, and so on, so
// databases that hold none find room. When those that hold many give connections
// back, the shares become equal.
//
// Slow databases, however many, leave one connection in four to the others. The
// caller must hold pool.mu.
func (s *Share) hasRoom(held, free int) bool {
	p := s.pool
	if !p.isFair {
		return true
	}
	if held >= min(free, p.mostOfOne) {
		return false
	}
	if _, isSlow := p.slowShares[s]; !isSlow {
		return true
	}
	others := -s.holds()
	for slow := range p.slowShares {
		others += slow.holds()
	}
	return others+held < p.limit-max(1, p.limit/slowReserve)
}

// holds counts the connections of the database that are in use or being made. The
// caller must hold pool.mu.
func (s *Share) holds() int { return s.using + s.held }

// free counts the connections that are not in use, made or not. The caller must hold
// p.mu.
func (p *Pool) free() int { return p.limit - (p.open - p.idle) }

// mayTake is true when the database may take one more connection. The caller must
// hold pool.mu.
func (s *Share) mayTake() bool { return s.hasRoom(s.holds(), s.pool.free()) }

// mayKeep is true when the database may take again a connection that was just given
// back. The caller must hold pool.mu.
func (s *Share) mayKeep() bool { return s.hasRoom(s.holds()-1, s.pool.free()+1) }

// lend notes that a connection is in use. The caller must hold p.mu.
func (p *Pool) lend(c *Conn, now time.Time) {
	c.since = now
	p.watchLater()
}

// lendIdle lends idle connections to waiters of their own databases, which had no
// room for them earlier. The caller must hold p.mu.
func (p *Pool) lendIdle(now time.Time) {
	for p.isFair && p.idle > 0 {
		s := p.nextIdle()
		if s == nil {
			return
		}
		p.waiting.MoveToBack(s.place)
		p.dequeue(s).granted <- s.takeIdle(now)
	}
}

// nextIdle is the waiting database whose turn it is to take an idle connection of its
// own. The caller must hold p.mu.
func (p *Pool) nextIdle() *Share {
	for place := p.waiting.Front(); place != nil; place = place.Next() {
		if s, ok := place.Value.(*Share); ok && len(s.idle) > 0 && s.mayTake() {
			return s
		}
	}
	return nil
}

// watchLater starts the timer that looks for slow databases. The caller must hold
// p.mu.
func (p *Pool) watchLater() {
	if p.watching || !p.isFair || len(p.conns) == p.idle && len(p.slowShares) == 0 {
		return
	}
	p.watching = true
	time.AfterFunc(watchEvery, p.watch)
}

// watch finds the databases that are slow, and those that no longer are.
func (p *Pool) watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watching = false
	now := time.Now()
	for c := range p.conns {
		if !c.isIdle && now.Sub(c.since) >= slowAfter {
			p.slowShares[c.share] = now.Add(slowFor)
		}
	}
	for s, until := range p.slowShares {
		switch {
		case s.place != nil: // it waits, so it could not show that it is slow no longer
			p.slowShares[s] = now.Add(slowFor)
		case now.After(until):
			delete(p.slowShares, s)
		}
	}
	p.interrupt(now)
	p.pump(now)
	p.watchLater()
}

// interrupt takes connections from slow databases when none is free: one for each
// database that waits, has none and is not slow. The caller must hold p.mu.
func (p *Pool) interrupt(now time.Time) {
	if p.free() > 0 {
		return
	}
	for range p.starving() {
		c := p.mostOverdue(now)
		if c == nil {
			return
		}
		c.isInterrupted = true
		p.counts.Interruptions++
		c.Interrupt()
	}
}

// starving counts the databases that wait, have no connection and are not slow, as
// far as no connection is on its way to them. The caller must hold p.mu.
func (p *Pool) starving() (n int) {
	for c := range p.conns {
		if c.isInterrupted {
			n--
		}
	}
	for place := p.waiting.Front(); place != nil; place = place.Next() {
		s, _ := place.Value.(*Share)
		if _, isSlow := p.slowShares[s]; !isSlow && s.holds() == 0 {
			n++
		}
	}
	return max(0, n)
}

// mostOverdue is the connection that is longest in use, of the database that holds the
// most; nil when none is overdue. The caller must hold p.mu.
func (p *Pool) mostOverdue(now time.Time) (most *Conn) {
	for c := range p.conns {
		if c.isIdle || c.isInterrupted || now.Sub(c.since) < overdueAfter {
			continue
		}
		if most == nil || cmp.Or(cmp.Compare(c.share.holds(), most.share.holds()), most.since.Compare(c.since)) > 0 {
			most = c
		}
	}
	return most
}
