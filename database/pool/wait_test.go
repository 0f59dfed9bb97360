package pool_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"multitenant/database"
)

func TestPoolKeepsTheOrder(t *testing.T) {
	t.Parallel()
	poolTest(t, 1, func(t *testing.T, p *testPool, f *farEnd) {
		s := join(t, p, f, "a")
		give := take(t, s)
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				_, give, err := s.Take(t.Context())
				if err == nil {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					give()
				}
			})
			synctest.Wait()
		}
		give()
		group.Wait()
		for i := range 20 {
			require.Equal(t, i, order[i])
		}
	})
}

// TestPoolGrantAfterCancellation: what was granted to somebody who has gone is
// the next one's.
func TestPoolGrantAfterCancellation(t *testing.T) {
	t.Parallel()
	poolTest(t, 1, func(t *testing.T, p *testPool, f *farEnd) {
		s := join(t, p, f, "a")
		for range 200 {
			give := take(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- use(ctx, s) }()
			synctest.Wait()
			go give()
			cancel()
			if err := <-ended; err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
		}
		synctest.Wait()
		require.NoError(t, use(t.Context(), s))
		require.Equal(t, database.Stats{Connections: 1, Idle: 1, MaxConnections: 1, Dials: 1}, p.Stats())
	})
}
