package pool_test

import (
	"context"
	"time"

	"multitenant/database"
	"multitenant/database/pool"
)

// busyAfter is how long a caller waits in the pools of these tests.
const busyAfter = 4 * time.Second

// testWire is a connection that does what a test says.
type testWire struct {
	Fit, Quiet func() bool
	PingIt     func(ctx context.Context) error
	Stop       func()          // ends what the connection is used for
	Stopped    <-chan struct{} // closed then
	Leave      func()          // once, when the far end has ended
	permit     *pool.Permit
}

func (w *testWire) IsFit() bool   { return w.Fit() }
func (w *testWire) IsQuiet() bool { return w.Quiet() }

func (w *testWire) Interrupt() { w.Stop() }

func (w *testWire) Ping(ctx context.Context) error { return w.PingIt(ctx) }

func (w *testWire) Close() error {
	w.Leave()
	w.permit.Leave()
	return nil
}

func (w *testWire) Ended() <-chan struct{} { return w.permit.Done() }

// testPool is a pool of such connections.
type testPool struct {
	pool   *pool.Pool
	isFair bool
}

// testShare is the part of one database.
type testShare struct{ share *pool.Share }

func newTestPool(o pool.Options) *testPool {
	o.IdleLimit, o.Patience = time.Minute, busyAfter
	return &testPool{pool.New(o), o.IsFair}
}

func (p *testPool) Stats() (stats database.Stats) {
	p.pool.Stats(&stats)
	return stats
}

// Join adds a database, whose connections dial makes.
func (p *testPool) Join(dial func(ctx context.Context) (*testWire, error)) *testShare {
	return &testShare{p.pool.Join(func(ctx context.Context, permit *pool.Permit) (pool.Wire, error) {
		w, err := dial(ctx)
		if err != nil {
			permit.Leave()
			return nil, err
		}
		w.permit = permit
		return w, nil
	})}
}

// Take takes a connection, and returns it and a function that gives it back.
func (s *testShare) Take(ctx context.Context) (w *testWire, give func(), err error) {
	c, err := s.share.Take(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, _ = c.Wire.(*testWire)
	return w, func() { s.share.Give(c) }, nil
}

func (s *testShare) Close() error { return s.share.Close() }
