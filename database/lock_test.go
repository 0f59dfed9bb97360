package database_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
)

func TestLockExcludes(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		backends := []database.Backend{open(t, url), open(t, url)} // as two processes would
		var group sync.WaitGroup
		var inside, turns atomic.Int32
		for i := range 24 {
			group.Go(func() {
				s, err := backends[i%2].Lock(t.Context(), "k")
				if !assertNoError(t, err) {
					return
				}
				defer s.Unlock()
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				turns.Add(1)
				inside.Add(-1)
			})
		}
		group.Wait()
		require.EqualValues(t, 24, turns.Load())
	})
}

// assertNoError is for goroutines, which must not end the test.
func assertNoError(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Errorf("unexpected: %v", err)
	}
	return err == nil
}

func TestTryLock(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		mine, other := open(t, url), open(t, url)
		s := lock(t, mine, "k")
		for _, b := range []database.Backend{mine, other} {
			_, ok, err := b.TryLock(t.Context(), "k")
			require.NoError(t, err)
			require.False(t, ok)

			free, ok, err := b.TryLock(t.Context(), "another")
			require.NoError(t, err)
			require.True(t, ok, "one process may hold several keys")
			free.Unlock()
		}
		s.Unlock()
		s.Unlock()

		taken, ok, err := other.TryLock(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, ok)
		name := newName()
		require.NoError(t, taken.Create(t.Context(), name))
		require.NoError(t, taken.Drop(t.Context(), name, ""))
		taken.Unlock()
	})
}

func TestWaitForLockEndsWithContext(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		mine, other := open(t, url), open(t, url)
		s := lock(t, mine, "k")
		for _, b := range []database.Backend{mine, other} {
			for range 6 { // more often than there are sessions to lose
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				began := time.Now()
				_, err := b.Lock(ctx, "k")
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Less(t, time.Since(began), 5*time.Second)
				require.False(t, database.IsUnavailable(err))
			}
		}
		s.Unlock()
		lock(t, other, "k").Unlock()
		lock(t, mine, "k").Unlock()
	})
}

func TestLockDiesWithItsProcess(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		kill := startHolder(t, url, "k")
		_, ok, err := b.TryLock(t.Context(), "k")
		require.NoError(t, err)
		require.False(t, ok, "the other process has it")

		got := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		go func() {
			s, err := b.Lock(ctx, "k")
			if err == nil {
				s.Unlock()
			}
			got <- err
		}()
		kill()

		require.NoError(t, <-got)
		lock(t, b, "k").Unlock() // what the dead left behind is harmless
	})
}

func TestCreationRaceHasOneWinner(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		backends := []database.Backend{open(t, url), open(t, url)}
		name := newName()
		results := make(chan error, 4)
		for i := range 4 {
			s := lock(t, backends[i%2], string(rune('a'+i))) // different keys: only the name is the same
			go func() { results <- s.Create(t.Context(), name) }()
		}
		created := 0
		for range 4 {
			if err := <-results; err == nil {
				created++
			} else {
				require.ErrorIs(t, err, database.ErrExist)
			}
		}
		require.Equal(t, 1, created)
		mark(t, backends[0], name, "one")
	})
}

func TestManyLocksLeaveCoreUsable(t *testing.T) {
	eachEngine(t, func(t *testing.T, _, url string) {
		b := open(t, url)
		s := lock(t, b, "k")
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 30 {
			group.Go(func() {
				waiting, err := b.Lock(ctx, []string{"k", "l", "m"}[i%3])
				if err == nil {
					<-ctx.Done()
					waiting.Unlock()
				}
			})
		}
		quick, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		require.NoError(t, b.Core().WithContext(quick).Exec("SELECT 1").Error)
		cancel()
		group.Wait()
		s.Unlock()
	})
}
