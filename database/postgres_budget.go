package database

import (
	"context"
	"sync/atomic"
)

const (
	// MinConnections is the least a PostgreSQL process can work with: a small
	// pool for core, databases being made and migrated, and one tenant.
	MinConnections = minCore + makingConnections + tenantConnections

	minCore = 4
	maxCore = 16
	// coreShare is core's part of all connections: one in five.
	coreShare = 5
	// makingConnections is kept for databases being made or migrated, one each.
	makingConnections = 4
)

// budget shares out the connections of the process. Each is dialed with a permit
// that is given back only when the server's end is gone too, so the server never
// counts more than there are permits.
//
// Of 40: 8 for core, half of which locks may pin; 32 for tenants, that is 4 for
// databases being made or migrated, and 7 open tenants of 4 connections each.
type budget struct {
	core    chan struct{}
	tenants chan struct{}
}

func newBudget(connections int) *budget {
	core := min(max(connections/coreShare, minCore), maxCore)
	return &budget{core: make(chan struct{}, core), tenants: make(chan struct{}, connections-core)}
}

// maxOpen is how many tenants can use all of their connections at once.
func (b *budget) maxOpen() int { return (cap(b.tenants) - makingConnections) / tenantConnections }

// locks is how many connections of core may be pinned by locks.
func (b *budget) locks() int { return cap(b.core) / 2 }

// permit allows one connection. Several sockets can stand behind one: those of
// earlier attempts, of the connection, and of a request to cancel its statement.
type permit struct {
	users    atomic.Int32
	done     chan struct{} // closed when the last user is gone
	released func()
}

func takePermit(ctx context.Context, permits chan struct{}) (*permit, error) {
	select {
	case permits <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := &permit{done: make(chan struct{}), released: func() { <-permits }}
	p.users.Store(1)
	return p, nil
}

// use adds a user, unless the permit has been given back: pgx still sends a
// request to cancel for a connection that was given up while it was made.
func (p *permit) use() bool {
	for {
		users := p.users.Load()
		if users == 0 {
			return false
		}
		if p.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

func (p *permit) leave() {
	if p.users.Add(-1) == 0 {
		p.released()
		close(p.done)
	}
}
