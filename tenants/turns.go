package tenants

import (
	"context"
	"sync"

	"multitenant/models"
)

// turns lets those who want the same slug go one after the other.
type turns struct {
	mu    sync.Mutex // guards taken
	taken map[models.Slug]chan struct{}
}

// enter waits for the turn, at most makingWait, and returns what ends it.
func (t *turns) enter(ctx context.Context, slug models.Slug) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, makingWait)
	defer cancel()
	for {
		ended, mine := t.take(slug)
		if mine {
			return func() { t.end(slug) }, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take takes the turn if it is free; else it returns what is closed at its end.
func (t *turns) take(slug models.Slug) (ended <-chan struct{}, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ended, found := t.taken[slug]; found {
		return ended, false
	}
	if t.taken == nil {
		t.taken = make(map[models.Slug]chan struct{})
	}
	t.taken[slug] = make(chan struct{})
	return nil, true
}

func (t *turns) end(slug models.Slug) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.taken[slug])
	delete(t.taken, slug)
}
