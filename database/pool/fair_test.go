package pool_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database/pool"
)

// stallTime is how long a slow statement takes.
const stallTime = 10 * time.Second

// stall uses a connection for stallTime, or until the pool ends that.
func stall(ctx context.Context, s *testShare) {
	w, give, err := s.Take(ctx)
	if err != nil {
		return
	}
	defer give()
	select {
	case <-w.Stopped:
	case <-time.After(stallTime):
	case <-ctx.Done():
	}
}

// TestFairPoolKeepsRoom: a database that holds many connections may have another only
// while more are free, so one that holds none finds room at once.
func TestFairPoolKeepsRoom(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int][]int{28: {14, 7, 4, 2, 1}, 4: {2, 1, 1}, 1: {1}} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			t.Parallel()
			poolTestWith(t, pool.Options{Limit: limit, IsFair: true}, func(t *testing.T, p *testPool, f *farEnd) {
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				defer group.Wait()
				defer cancel()
				before := 0
				for i, n := range want {
					s := join(t, p, f, strconv.Itoa(i))
					for range limit {
						group.Go(func() { stall(ctx, s) })
					}
					<-time.After(slowStart)
					require.Equal(t, before+n, p.Stats().InUse, "database %d", i)
					before += n
				}
			})
		})
	}
}

// slowStart is time enough to dial, and too short to become slow.
const slowStart = 15 * dialTime

// TestFairPoolSharesEqually: those who come later get as much as the first, which gives
// back what it holds.
func TestFairPoolSharesEqually(t *testing.T) {
	t.Parallel()
	poolTestWith(t, pool.Options{Limit: 28, IsFair: true}, func(t *testing.T, p *testPool, f *farEnd) {
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		served := make([]int, 6)
		for i := range served {
			s := join(t, p, f, strconv.Itoa(i))
			var mu sync.Mutex
			for range 40 {
				group.Go(func() {
					for ctx.Err() == nil {
						if use(ctx, s) == nil {
							mu.Lock()
							served[i]++
							mu.Unlock()
						}
					}
				})
			}
			<-time.After(slowStart)
		}
		<-time.After(10 * time.Second)
		cancel()
		group.Wait()
		for i, n := range served {
			require.InEpsilon(t, served[0], n, 0.3, "database %d: %v", i, served)
		}
	})
}

// TestFairPoolSurvivesSlowDatabases, however many there are: nobody else is refused.
func TestFairPoolSurvivesSlowDatabases(t *testing.T) {
	t.Parallel()
	for slow, longest := range map[int]time.Duration{2: 5 * dialTime, 28: busyAfter / 2, 60: busyAfter} {
		t.Run(strconv.Itoa(slow), func(t *testing.T) {
			t.Parallel()
			poolTestWith(t, pool.Options{Limit: 28, IsFair: true}, func(t *testing.T, p *testPool, f *farEnd) {
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				defer group.Wait()
				defer cancel()
				for i := range slow {
					s := join(t, p, f, "slow")
					for range 22 {
						group.Go(func() {
							for ctx.Err() == nil {
								stall(ctx, s)
								<-time.After(time.Duration(i) * time.Millisecond)
							}
						})
					}
				}
				<-time.After(slowStart)
				well := []*testShare{join(t, p, f, "well"), join(t, p, f, "well"), join(t, p, f, "well")}
				const rounds = 150
				waited := make([]time.Duration, 0, rounds*len(well))
				for range rounds {
					for _, s := range well {
						began := time.Now()
						require.NoError(t, use(t.Context(), s))
						waited = append(waited, time.Since(began))
					}
					<-time.After(100 * time.Millisecond)
				}
				for i, wait := range waited {
					require.Less(t, wait, longest, "use %d", i)
					if i >= len(waited)/4 {
						require.LessOrEqual(t, wait, 5*dialTime, "use %d: the slow ones are known by now", i)
					}
				}
			})
		})
	}
}

// TestFairPoolEndsNoStatementInVain: only when another database waits, which is not
// slow itself.
func TestFairPoolEndsNoStatementInVain(t *testing.T) {
	t.Parallel()
	poolTestWith(t, pool.Options{Limit: 4, IsFair: true}, func(t *testing.T, p *testPool, f *farEnd) {
		var group sync.WaitGroup
		for i := range 4 {
			s := join(t, p, f, strconv.Itoa(i))
			group.Go(func() { stall(t.Context(), s) })
		}
		<-time.After(pool.OverdueAfter + time.Second)
		require.Equal(t, 4, p.Stats().InUse)
		require.Zero(t, p.Stats().Interruptions, "nobody waits")
		require.NoError(t, use(t.Context(), join(t, p, f, "well")))
		require.Equal(t, 1, p.Stats().Interruptions)
		group.Wait()
	})
}
