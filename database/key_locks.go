package database

import (
	"context"
	"sync"
)

// KeyLocks is a set of locks by name inside this process. With it, many goroutines
// that want one key pin one connection, or poll one file, between them. The zero
// KeyLocks is ready for use.
type KeyLocks struct {
	mu    sync.Mutex // guards slots, and users of every slot
	slots map[string]*slot
}

type slot struct {
	held  chan struct{} // has room for the one holder
	users int           // the holder and the waiters
}

// Lock waits for key. The caller must call unlock. It fails when ctx ends.
func (k *KeyLocks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	s := k.claim(key)
	select {
	case s.held <- struct{}{}:
		return func() { <-s.held; k.leave(key, s) }, nil
	case <-ctx.Done():
		k.leave(key, s)
		return nil, context.Cause(ctx)
	}
}

// TryLock is Lock without the wait; ok is false when the key is taken.
func (k *KeyLocks) TryLock(key string) (unlock func(), ok bool) {
	s := k.claim(key)
	select {
	case s.held <- struct{}{}:
		return func() { <-s.held; k.leave(key, s) }, true
	default:
		k.leave(key, s)
		return nil, false
	}
}

func (k *KeyLocks) claim(key string) *slot {
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

func (k *KeyLocks) leave(key string, s *slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.users--
	if s.users == 0 {
		delete(k.slots, key)
	}
}
