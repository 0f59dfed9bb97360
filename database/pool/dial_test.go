package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/pool"
)

func TestPoolDialOutlivesWhoAskedForIt(t *testing.T) {
	t.Parallel()
	poolTest(t, 1, func(t *testing.T, p *testPool, f *farEnd) {
		s := join(t, p, f, "a")
		ctx, cancel := context.WithTimeout(t.Context(), dialTime/2)
		defer cancel()
		_, _, err := s.Take(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, use(t.Context(), s))
		require.Equal(t, 1, f.dialed("a"))
	})
}

// TestPoolUnreachableHarmsNoOther, although a hundred want it: it holds few
// permits, and those who wait for it learn that it is it that is out of reach.
func TestPoolUnreachableHarmsNoOther(t *testing.T) {
	t.Parallel()
	poolTest(t, 12, func(t *testing.T, p *testPool, f *farEnd) {
		f.with(func() { f.silent["gone"] = true })
		gone, well := join(t, p, f, "gone"), join(t, p, f, "well")
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				_, _, err := gone.Take(t.Context())
				if !database.IsUnavailable(err) || errors.Is(err, database.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
			})
		}
		<-time.After(2 * pool.SlowDial)
		for range 100 {
			began := time.Now()
			require.NoError(t, use(t.Context(), well))
			require.LessOrEqual(t, time.Since(began), dialTime+useTime)
			require.LessOrEqual(t, p.Stats().Connections, pool.DialsOfOne+1)
			<-time.After(10 * time.Millisecond)
		}
		group.Wait()
	})
}

func TestPoolFailedDialIsEverybodysAnswer(t *testing.T) {
	t.Parallel()
	poolTest(t, 12, func(t *testing.T, p *testPool, _ *farEnd) {
		var dials atomic.Int32
		s := p.Join(func(context.Context) (*testWire, error) {
			dials.Add(1)
			<-time.After(dialTime)
			return nil, database.ErrNotExist
		})
		var group sync.WaitGroup
		began := time.Now()
		for range 50 {
			group.Go(func() {
				if _, _, err := s.Take(t.Context()); !errors.Is(err, database.ErrNotExist) {
					t.Errorf("%v", err)
				}
			})
		}
		group.Wait()
		require.LessOrEqual(t, time.Since(began), dialTime)
		require.LessOrEqual(t, int(dials.Load()), pool.DialsOfOne)
		require.NoError(t, s.Close())
		require.Zero(t, p.Stats().Connections)
	})
}
