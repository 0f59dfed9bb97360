package pool

import (
	"time"

	"multitenant/database"
)

// sweepsPerLimit is how often in the time a connection may be idle the pool
// looks for those that were for longer.
const sweepsPerLimit = 4

// sweepLater needs p.mu.
func (p *Pool) sweepLater() {
	if p.sweeping || p.idle == 0 {
		return
	}
	p.sweeping = true
	time.AfterFunc(p.idleLimit/sweepsPerLimit, p.sweep)
}

// sweep closes what nobody has used for long.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeping = false
	now := time.Now()
	for c := range p.conns {
		if c.isIdle && now.Sub(c.since) >= p.idleLimit {
			p.drop(c)
			end(c)
		}
	}
	p.sweepLater()
}

// Stats adds what the pool has done, and has now.
func (p *Pool) Stats(sum *database.Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum.MaxConnections += p.limit
	sum.Connections += p.open
	sum.Idle += p.idle
	sum.InUse += len(p.conns) - p.idle
	sum.Waiting += p.waiters
	sum.Dials += p.counts.Dials
	sum.DialFailures += p.counts.DialFailures
	sum.Evictions += p.counts.Evictions
	sum.BusyRefusals += p.counts.BusyRefusals
}
