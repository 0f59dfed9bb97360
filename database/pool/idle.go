package pool

import (
	"time"

	"multitenant/database"
)

// sweepsPerLimit is how often the pool looks for unused connections during one
// idleLimit.
const sweepsPerLimit = 4

// sweepLater starts the timer of the next sweep. The caller must hold p.mu.
func (p *Pool) sweepLater() {
	if p.sweeping || p.idle == 0 || p.idleLimit == 0 {
		return
	}
	p.sweeping = true
	time.AfterFunc(p.idleLimit/sweepsPerLimit, p.sweep)
}

// sweep closes connections that were idle for idleLimit.
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

// Stats adds the figures of the pool to sum.
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
	sum.Interruptions += p.counts.Interruptions
}
