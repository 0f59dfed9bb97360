package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/pool"
)

// Tests of the pool run on a clock of their own, against a server that takes a
// known time for everything.
const (
	dialTime  = 5 * time.Millisecond
	closeTime = 2 * time.Millisecond
	useTime   = time.Millisecond
)

// farEnd is the server.
type farEnd struct {
	mu         sync.Mutex // guards what follows
	open, most int
	dials      map[string]int
	closed     []string
	pings      int
	noisy      map[string]bool // databases whose connections have something to read
	dead       bool            // answers no ping
	silent     map[string]bool // databases that are never reached
}

func newFarEnd() *farEnd {
	return &farEnd{dials: map[string]int{}, noisy: map[string]bool{}, silent: map[string]bool{}}
}

func (f *farEnd) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *farEnd) dialed(name string) (n int) {
	f.with(func() { n = f.dials[name] })
	return n
}

func (f *farEnd) gone() (names []string) {
	f.with(func() { names = slices.Clone(f.closed) })
	return names
}

func (f *farEnd) pinged() (n int) {
	f.with(func() { n = f.pings })
	return n
}

func (f *farEnd) dialer(name string) func(context.Context) (*testWire, error) {
	return func(ctx context.Context) (*testWire, error) {
		isSilent := false
		f.with(func() { f.dials[name]++; isSilent = f.silent[name] })
		if isSilent {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		f.with(func() { f.open++; f.most = max(f.most, f.open) })
		<-time.After(dialTime)
		return f.wire(name), nil
	}
}

func (f *farEnd) wire(name string) *testWire {
	stopped := make(chan struct{})
	return &testWire{
		Fit: func() bool {
			select {
			case <-stopped:
				return false
			default:
				return true
			}
		},
		Stopped: stopped,
		Stop:    func() { close(stopped) },
		Quiet:   func() bool { f.mu.Lock(); defer f.mu.Unlock(); return !f.noisy[name] },
		PingIt: func(context.Context) (err error) {
			f.with(func() {
				f.pings++
				if f.dead {
					err = errors.New("dead")
				}
			})
			return err
		},
		Leave: func() {
			<-time.After(closeTime)
			f.with(func() { f.open--; f.closed = append(f.closed, name) })
		},
	}
}

// poolTest is a pool of so many connections in a bubble.
func poolTest(t *testing.T, limit int, test func(t *testing.T, p *testPool, f *farEnd)) {
	t.Helper()
	poolTestWith(t, pool.Options{Limit: limit}, test)
}

func poolTestWith(t *testing.T, o pool.Options, test func(t *testing.T, p *testPool, f *farEnd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		p, f := newTestPool(o), newFarEnd()
		test(t, p, f)
		synctest.Wait()
		require.LessOrEqual(t, f.most, o.Limit)
	})
}

// eachKind runs the test on a pool of each kind.
func eachKind(t *testing.T, limit int, test func(t *testing.T, p *testPool, f *farEnd)) {
	t.Helper()
	for name, isFair := range map[string]bool{"fair": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			poolTestWith(t, pool.Options{Limit: limit, IsFair: isFair}, test)
		})
	}
}

func join(t *testing.T, p *testPool, f *farEnd, name string) *testShare {
	t.Helper()
	s := p.Join(f.dialer(name))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func take(t *testing.T, s *testShare) (give func()) {
	t.Helper()
	_, give, err := s.Take(t.Context())
	require.NoError(t, err)
	return give
}

// use takes a connection for a moment.
func use(ctx context.Context, s *testShare) error {
	_, give, err := s.Take(ctx)
	if err != nil {
		return err
	}
	defer give()
	<-time.After(useTime)
	return nil
}

func TestPoolIsOnesAloneWhoIsAlone(t *testing.T) {
	t.Parallel()
	poolTest(t, 6, func(t *testing.T, p *testPool, f *farEnd) {
		s := join(t, p, f, "a")
		gives := make([]func(), 6)
		for i := range gives {
			gives[i] = take(t, s)
		}
		began := time.Now()

		_, _, err := s.Take(t.Context())

		require.ErrorIs(t, err, database.ErrBusy)
		require.True(t, database.IsUnavailable(err))
		require.Equal(t, busyAfter, time.Since(began))
		require.Equal(t, 1, p.Stats().BusyRefusals)
		for _, give := range gives {
			give()
		}
		require.NoError(t, use(t.Context(), s))
		require.Equal(t, 6, f.dialed("a"))
		require.Equal(t, 6, p.Stats().Idle)
	})
}

func TestPoolTakesFromTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	poolTest(t, 3, func(t *testing.T, p *testPool, f *farEnd) {
		a, b, c, d := join(t, p, f, "a"), join(t, p, f, "b"), join(t, p, f, "c"), join(t, p, f, "d")
		give := take(t, c)
		require.NoError(t, use(t.Context(), a))
		require.NoError(t, use(t.Context(), b))
		require.NoError(t, use(t.Context(), a))
		<-time.After(pool.IdleGrace)

		require.NoError(t, use(t.Context(), d))

		require.Equal(t, []string{"b"}, f.gone(), "neither what is in use nor what was used last")
		require.Equal(t, 1, p.Stats().Evictions)
		give()
	})
}

// TestPoolTurns: a cold database has its turn although a hot one has two hundred
// in the queue, and the hot one is not made to dial all the time.
func TestPoolTurns(t *testing.T) {
	t.Parallel()
	eachKind(t, 10, func(t *testing.T, p *testPool, f *farEnd) {
		hot, cold := join(t, p, f, "hot"), join(t, p, f, "cold")
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var served atomic.Int64
		for range 200 {
			group.Go(func() {
				for ctx.Err() == nil {
					if err := use(ctx, hot); err == nil {
						served.Add(1)
					} else if ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		<-time.After(time.Second)
		before := served.Load()
		for range 20 {
			began := time.Now()
			require.NoError(t, use(t.Context(), cold))
			require.Less(t, time.Since(began), pool.Worth+closeTime+2*dialTime+pool.IdleGrace+20*time.Millisecond)
			<-time.After(50 * time.Millisecond)
		}
		require.Greater(t, served.Load(), before*8/10, "the hot one must hardly notice")
		cancel()
		group.Wait()
		want := 10
		if p.isFair {
			want = 5 + 1 // half for the hot one
		}
		require.Equal(t, want, p.Stats().Connections)
	})
}

// TestPoolServesAThousand: nobody is refused.
func TestPoolServesAThousand(t *testing.T) {
	t.Parallel()
	eachKind(t, 28, func(t *testing.T, p *testPool, f *farEnd) {
		shares := make([]*testShare, 1000)
		for i := range shares {
			shares[i] = p.Join(f.dialer("cold"))
		}
		hot := join(t, p, f, "hot")
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				for ctx.Err() == nil {
					if err := use(ctx, hot); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		var cold sync.WaitGroup
		var longest atomic.Int64
		for worker := range 60 {
			cold.Go(func() {
				for i := range 50 {
					began := time.Now()
					if err := use(ctx, shares[(worker*7919+i*104729)%len(shares)]); err != nil {
						t.Error(err)
					}
					longest.Store(max(longest.Load(), int64(time.Since(began))))
				}
			})
		}
		cold.Wait()
		cancel()
		group.Wait()
		t.Logf("%+v, longest wait %s", p.Stats(), time.Duration(longest.Load()))
		require.Less(t, time.Duration(longest.Load()), busyAfter/2)
		require.Less(t, f.dialed("hot"), f.dialed("cold")/10, "the hot one keeps what it has")
		for _, s := range shares {
			require.NoError(t, s.Close())
		}
	})
}
