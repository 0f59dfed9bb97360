package database

import (
	"context"
	"sync"
)

// keyed is a set of locks by name, for those inside this process. Without it
// fifty goroutines after one key would each pin a connection, or poll a file.
type keyed struct {
	mu    sync.Mutex // guards slots and every slot's users
	slots map[string]*slot
}

type slot struct {
	held  chan struct{} // has room for the one holder
	users int           // the holder and those who wait
}

// lock waits for key and returns what gives it back.
func (k *keyed) lock(ctx context.Context, key string) (unlock func(), err error) {
	s := k.enter(key)
	select {
	case s.held <- struct{}{}:
		return func() { <-s.held; k.leave(key, s) }, nil
	case <-ctx.Done():
		k.leave(key, s)
		return nil, context.Cause(ctx)
	}
}

// tryLock is lock without the wait.
func (k *keyed) tryLock(key string) (unlock func(), ok bool) {
	s := k.enter(key)
	select {
	case s.held <- struct{}{}:
		return func() { <-s.held; k.leave(key, s) }, true
	default:
		k.leave(key, s)
		return nil, false
	}
}

func (k *keyed) enter(key string) *slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.slots[key]
	if s == nil {
		s = &slot{held: make(chan struct{}, 1)}
		if k.slots == nil {
			k.slots = map[string]*slot{}
		}
		k.slots[key] = s
	}
	s.users++
	return s
}

func (k *keyed) leave(key string, s *slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.users--
	if s.users == 0 {
		delete(k.slots, key)
	}
}
