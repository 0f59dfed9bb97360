package pool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database/pool"
)

func TestPoolDiscardsWhatIsUnfit(t *testing.T) {
	t.Parallel()
	poolTest(t, 1, func(t *testing.T, p *testPool, f *farEnd) {
		s := join(t, p, f, "a")
		w, give, err := s.Take(t.Context())
		require.NoError(t, err)
		w.Fit = func() bool { return false }
		give()
		require.NoError(t, use(t.Context(), s))
		require.Equal(t, 2, f.dialed("a"))
		require.Equal(t, []string{"a"}, f.gone())
	})
}

// TestPoolPingsWhatIsSuspect: what has something to read, and after that was
// found to be dead, all that was last used before.
func TestPoolPingsWhatIsSuspect(t *testing.T) {
	t.Parallel()
	poolTest(t, 4, func(t *testing.T, p *testPool, f *farEnd) {
		a, b := join(t, p, f, "a"), join(t, p, f, "b")
		require.NoError(t, use(t.Context(), a))
		require.NoError(t, use(t.Context(), b))
		require.NoError(t, use(t.Context(), b))
		require.Zero(t, f.pinged())

		f.with(func() { f.noisy["a"] = true })
		require.NoError(t, use(t.Context(), a))
		require.Equal(t, 1, f.pinged())
		require.Equal(t, 1, f.dialed("a"), "it had something to say, no more")

		f.with(func() { f.dead = true })
		require.NoError(t, use(t.Context(), a))
		require.Equal(t, 2, f.dialed("a"))
		require.NoError(t, use(t.Context(), b))
		require.Equal(t, 3, f.pinged())
		require.Equal(t, 2, f.dialed("b"), "older than the dead one")
		require.NoError(t, use(t.Context(), b))
		require.Equal(t, 3, f.pinged(), "made since")

		f.with(func() { f.dead = false })
		<-time.After(pool.PingAfter + 1)
		require.NoError(t, use(t.Context(), b))
		require.Equal(t, 4, f.pinged(), "idle for long")
	})
}

func TestPoolClosesWhatNobodyUses(t *testing.T) {
	t.Parallel()
	poolTest(t, 4, func(t *testing.T, p *testPool, f *farEnd) {
		a, b := join(t, p, f, "a"), join(t, p, f, "b")
		give := take(t, b)
		require.NoError(t, use(t.Context(), a))
		<-time.After(50 * time.Second)
		require.NoError(t, use(t.Context(), a))
		<-time.After(50 * time.Second)
		require.Equal(t, 1, p.Stats().Idle, "used meanwhile")
		<-time.After(30 * time.Second)
		require.Equal(t, []string{"a"}, f.gone())
		give()
	})
}

// TestPoolClosingADatabase ends what is idle, those who wait and what is being
// dialed at once, and what is in use when it is given back, and waits for all.
func TestPoolClosingADatabase(t *testing.T) {
	t.Parallel()
	poolTest(t, 3, func(t *testing.T, p *testPool, f *farEnd) {
		s := p.Join(f.dialer("a"))
		give, idle := take(t, s), take(t, s)
		idle()
		require.Equal(t, 2, p.Stats().Connections)
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		<-time.After(2 * closeTime)
		require.Equal(t, 1, p.Stats().Connections, "the idle one has gone")
		_, _, err := s.Take(t.Context())
		require.ErrorContains(t, err, "closed")
		synctest.Wait()
		require.Empty(t, closed, "one is in use")

		began := time.Now()
		give()
		require.NoError(t, <-closed)
		require.Equal(t, closeTime, time.Since(began))
		require.Zero(t, p.Stats().Connections)
	})
}
