package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"
)

// physical is one connection with every optional interface database/sql asks
// for; a wrapper that hid one would silently lose cancellation.
type physical interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// dialer makes one connection. It calls gone once when the connection has ended
// at the far end too, and also when no connection came about.
type dialer func(ctx context.Context, gone func()) (physical, error)

// connector makes the connections of one database, and lets none be used that
// check did not agree to.
type connector struct {
	driver driver.Driver
	dial   dialer
	check  Check
	live   tracker
	hasty  bool // set when nothing came about that is worth a wait at the end
}

// Connect makes a connection and checks it.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := c.connect(bounded)
	if err != nil && ctx.Err() == nil && isContextError(err) {
		// The caller still had time: it is the database that took too long.
		return nil, &timeoutError{cause: err}
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Driver is asked for by database/sql.
func (c *connector) Driver() driver.Driver { return c.driver }

// Close waits until every connection has ended. database/sql calls it when the
// pool is closed, after having closed the idle ones.
func (c *connector) Close() error {
	if c.hasty {
		return nil
	}
	return c.live.wait(closeTimeout)
}

// hurry makes Close wait for nobody.
func (c *connector) hurry() { c.hasty = true }

func (c *connector) connect(ctx context.Context) (physical, error) {
	c.live.add()
	conn, err := c.dial(ctx, c.live.done)
	if err != nil {
		return nil, err
	}
	if c.check == nil {
		return conn, nil
	}
	err = lend(ctx, conn, func(q *sql.Conn) error { return c.check(ctx, q) })
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// tracker counts connections that have not ended.
type tracker struct {
	mu    sync.Mutex // guards n and empty
	n     int
	empty chan struct{} // closed when n falls to zero; nil while nobody waits
}

func (t *tracker) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tracker) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.n == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

func (t *tracker) wait(limit time.Duration) error {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	empty := t.empty
	t.mu.Unlock()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-empty:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: connections have not ended after %s", ErrInUse, limit)
	}
}

// lend lets use query a connection through database/sql, which knows how to scan
// and convert, and keeps the connection open afterwards.
func lend(ctx context.Context, conn physical, use func(*sql.Conn) error) (err error) {
	pool := sql.OpenDB(lender{conn})
	defer func() { err = errors.Join(err, pool.Close()) }()
	borrowed, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, borrowed.Close()) }()
	return use(borrowed)
}

// lender is a driver.Connector with one connection to give.
type lender struct{ conn physical }

// Connect gives the connection.
func (l lender) Connect(context.Context) (driver.Conn, error) { return lent{l.conn}, nil }

// Driver is never asked for.
func (lender) Driver() driver.Driver { return nil }

// lent is a connection that outlives the pool it is lent to.
type lent struct{ physical }

// Close leaves the connection to its owner.
func (lent) Close() error { return nil }

// Unwrap is how modernc.org/sqlite finds its own connection.
func (l lent) Unwrap() driver.Conn { return l.physical }
