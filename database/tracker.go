package database

import (
	"fmt"
	"sync"
	"time"
)

// Tracker counts the connections of a database that have not ended. The zero
// Tracker is ready for use.
type Tracker struct {
	mu    sync.Mutex // guards n and empty
	n     int
	empty chan struct{} // closed when n falls to zero; nil while no caller waits
}

// Add counts one more connection.
func (t *Tracker) Add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

// Done counts a connection that has ended.
func (t *Tracker) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.n == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// Wait returns once every connection has ended, or ErrInUse after limit.
func (t *Tracker) Wait(limit time.Duration) error {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	empty := t.empty
	t.mu.Unlock()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-empty:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: connections have not ended after %s", ErrInUse, limit)
	}
}
