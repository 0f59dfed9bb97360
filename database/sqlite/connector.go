package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"multitenant/database"
)

// dialer makes one connection. It calls gone once: when the connection has ended, or
// when dialing failed.
type dialer func(ctx context.Context, gone func()) (database.Physical, error)

// connector makes the connections of one database and closes those that check
// refuses.
type connector struct {
	driver     driver.Driver
	dial       dialer
	check      database.Check
	live       database.Tracker
	skipsDrain bool // no connection came about, so Close has nothing to wait for
}

// Connect makes a connection and checks it.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, database.ConnectTimeout)
	defer cancel()
	conn, err := c.connect(bounded)
	if err != nil && ctx.Err() == nil && database.IsContextError(err) {
		// The caller still had time, so the database took too long.
		return nil, database.NewTimeout(err)
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
	if c.skipsDrain {
		return nil
	}
	return c.live.Wait(database.CloseTimeout)
}

// SkipDrain makes Close return at once.
func (c *connector) SkipDrain() { c.skipsDrain = true }

func (c *connector) connect(ctx context.Context) (database.Physical, error) {
	c.live.Add()
	conn, err := c.dial(ctx, c.live.Done)
	if err != nil {
		return nil, err
	}
	if c.check == nil {
		return conn, nil
	}
	err = database.Lend(ctx, conn, func(q *sql.Conn) error { return c.check(ctx, q) })
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
