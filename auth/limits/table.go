package limits

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// shardCount spreads the keys, so that requests seldom wait for one another.
	shardCount = 32
	// maxEntries bounds what is remembered of one kind: about 10 MB.
	maxEntries = 65_536
	// sampled is how many entries are looked at to find one that may go.
	sampled = 8
	// sweepInterval is how often what has become idle is removed.
	sweepInterval = time.Minute
)

// key stands for the caller that is counted. It is of a fixed size, so that a longer
// name takes no more memory.
type key [16]byte

// entry is what is remembered of a key.
type entry interface {
	// idle reports whether the entry says no more than a new one would.
	idle(now time.Time) bool
	// worth is how much would be lost with the entry; of two that compete for
	// room the lesser goes.
	worth(now time.Time) float64
}

// table remembers an entry for each of a bounded number of keys. When it is
// full, a new key takes the place of an entry that is worth little: a flood of
// keys that come once pushes out its own, and not those that are being refused.
type table[E entry] struct {
	fresh  func() E
	seed   maphash.Seed
	shards [shardCount]shard[E]
}

type shard[E entry] struct {
	mu      sync.Mutex // guards what follows, and the entries themselves
	entries map[key]E
	swept   time.Time
}

func newTable[E entry](fresh func() E) *table[E] {
	return &table[E]{fresh: fresh, seed: maphash.MakeSeed()}
}

// with lends the entry of that key, or a fresh one, to do, which must not wait.
func (t *table[E]) with(k key, now time.Time, do func(e E)) {
	s := &t.shards[maphash.Comparable(t.seed, k)%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	e, known := s.entries[k]
	if !known {
		e = t.fresh()
	}
	do(e)
	switch {
	case e.idle(now):
		delete(s.entries, k)
	case !known:
		s.makeRoom(now)
		s.entries[k] = e
	}
}

// sweep removes what is idle, from time to time. A map never gives memory back,
// so an empty one is replaced. s.mu must be held.
func (s *shard[E]) sweep(now time.Time) {
	if s.entries != nil && now.Sub(s.swept) < sweepInterval {
		return
	}
	s.swept = now
	for k, e := range s.entries {
		if e.idle(now) {
			delete(s.entries, k)
		}
	}
	if len(s.entries) == 0 {
		s.entries = make(map[key]E)
	}
}

// makeRoom removes, where there is no room for another entry, the one of least
// worth among a few: a map is gone through from a place of its own choice. s.mu
// must be held.
func (s *shard[E]) makeRoom(now time.Time) {
	if len(s.entries) < maxEntries/shardCount {
		return
	}
	var least key
	var worth float64
	looked := 0
	for k, e := range s.entries {
		if w := e.worth(now); looked == 0 || w < worth {
			least, worth = k, w
		}
		if looked++; looked == sampled {
			break
		}
	}
	delete(s.entries, least)
}

// size counts the entries.
func (t *table[E]) size() int {
	var total int
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		total += len(s.entries)
		s.mu.Unlock()
	}
	return total
}
