package database

import (
	"context"
	"errors"
	"time"
)

// Limits of the pool, for tests of it.
const (
	BusyAfter    = busyAfter
	Moment       = moment
	Worth        = worth
	SlowDial     = slowDial
	DialsOfOne   = dialsOfOne
	PermitsOfOne = permitsOfOne
	PingAfter    = pingAfter
)

// Wire is what a connection must do.
type Wire struct {
	Fit, Quiet func() bool
	PingIt     func(ctx context.Context) error
	Leave      func() // once, when the far end has ended
	permit     *permit
}

func (w *Wire) isFit() bool   { return w.Fit() }
func (w *Wire) isQuiet() bool { return w.Quiet() }

// Ping pings.
func (w *Wire) Ping(ctx context.Context) error { return w.PingIt(ctx) }

// Close ends it.
func (w *Wire) Close() error {
	w.Leave()
	w.permit.leave()
	return nil
}

func (w *Wire) ended() <-chan struct{} { return w.permit.done }

// Pool is a pool of connections that a test makes.
type Pool struct{ pool *pool }

// Share is a database's part of it.
type Share struct{ share *share }

// NewPool makes a pool.
func NewPool(limit int, idle, patience time.Duration) *Pool {
	return &Pool{newPool(limit, idle, patience)}
}

// Stats returns the figures.
func (p *Pool) Stats() (stats Stats) {
	p.pool.stats(&stats)
	return stats
}

// Join adds a database, whose connections dial makes.
func (p *Pool) Join(dial func(ctx context.Context) (*Wire, error)) *Share {
	return &Share{p.pool.join(func(ctx context.Context, permit *permit) (wire, error) {
		w, err := dial(ctx)
		if err != nil {
			permit.leave()
			return nil, err
		}
		w.permit = permit
		return w, nil
	})}
}

// Take takes a connection, and returns it and what gives it back.
func (s *Share) Take(ctx context.Context) (w *Wire, give func(), err error) {
	c, err := s.share.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, _ = c.wire.(*Wire)
	return w, func() { s.share.give(c) }, nil
}

// Close closes the database.
func (s *Share) Close() error { return s.share.Close() }

// CrossUnconfined makes the trials of statements on a connection to a file that
// nothing was taken from.
func CrossUnconfined(ctx context.Context, backend Backend, c *Crossing) (trials []Trial, err error) {
	b, ok := backend.(*sqliteBackend)
	if !ok {
		return nil, errors.New("only SQLite confines its connections")
	}
	db, err := b.open(ctx, b.newConnector(b.path(c.From.Name), nil), 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, Close(db)) }()
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return b.tryStatements(ctx, conn, c.Others), conn.Close()
}
