package pool

import "sync/atomic"

// Permit allows one connection. Several sockets can stand behind one: those of
// earlier attempts, of the connection, and of a request to cancel its statement.
type Permit struct {
	users    atomic.Int32
	done     chan struct{} // closed when the last user is gone
	released func()
}

// NewPermit makes a permit with one user, and calls released once when the last
// is gone.
func NewPermit(released func()) *Permit {
	p := &Permit{done: make(chan struct{}), released: released}
	p.users.Store(1)
	return p
}

// Use adds a user and reports whether the permit is still valid: pgx sends a
// request to cancel even for a connection that was given up while it was made.
func (p *Permit) Use() bool {
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

// Leave removes a user.
func (p *Permit) Leave() {
	if p.users.Add(-1) == 0 {
		p.released()
		close(p.done)
	}
}

// Done is closed once the last user is gone.
func (p *Permit) Done() <-chan struct{} { return p.done }
