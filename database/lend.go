package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// Physical is one connection with every optional interface of database/sql. A wrapper
// that hid one would silently lose cancellation.
type Physical interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// Lend lets use query a connection through database/sql, and keeps the connection
// open afterwards.
func Lend(ctx context.Context, conn Physical, use func(*sql.Conn) error) (err error) {
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
type lender struct{ conn Physical }

// Connect gives the connection.
func (l lender) Connect(context.Context) (driver.Conn, error) { return lent{l.conn}, nil }

// Driver is never asked for.
func (lender) Driver() driver.Driver { return nil }

// lent is a connection that outlives the pool it is lent to.
type lent struct{ Physical }

// Close leaves the connection to its owner.
func (lent) Close() error { return nil }

// Unwrap is how modernc.org/sqlite finds its own connection.
func (l lent) Unwrap() driver.Conn { return l.Physical }
