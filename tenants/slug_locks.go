package tenants

import (
	"context"
	"sync"

	"multitenant/models"
)

// slugLocks are locks within this process, one for each slug. The zero value is
// ready for use.
type slugLocks struct {
	mu    sync.Mutex // guards taken
	taken map[models.Slug]chan struct{}
}

// lock waits for the slug's lock for at most makingWait. The caller must call
// unlock.
func (l *slugLocks) lock(ctx context.Context, slug models.Slug) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, makingWait)
	defer cancel()
	for {
		ended, mine := l.take(slug)
		if mine {
			return func() { l.release(slug) }, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take takes the lock if it is free. Otherwise it returns a channel that is closed
// when the holder releases the lock.
func (l *slugLocks) take(slug models.Slug) (ended <-chan struct{}, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended, found := l.taken[slug]; found {
		return ended, false
	}
	if l.taken == nil {
		l.taken = make(map[models.Slug]chan struct{})
	}
	l.taken[slug] = make(chan struct{})
	return nil, true
}

func (l *slugLocks) release(slug models.Slug) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.taken[slug])
	delete(l.taken, slug)
}
