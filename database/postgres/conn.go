package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/pool"
)

const (
	// outsideTransaction is what the server calls a session that is in none.
	outsideTransaction = 'I'
	// readOnlyState is the server's answer to a write that it does not allow.
	readOnlyState = "25006"
)

// dial makes a connection with a permit. It leaves the permit when it fails.
func (h *hosts) dial(ctx context.Context, config pgx.ConnConfig, p *pool.Permit) (*serverConn, error) {
	config.DialFunc = h.countingDial(p)
	conn, err := h.connect(ctx, config)
	if err != nil {
		p.Leave()
		switch {
		case isMissing(err):
			return nil, database.ErrNotExist
		case database.HasState(err, "55000"): // "cannot connect to invalid database"
			return nil, fmt.Errorf("%w: %w", database.ErrHalfDropped, err)
		}
		return nil, err
	}
	made, ok := conn.(*stdlib.Conn)
	if !ok {
		p.Leave()
		return nil, fmt.Errorf("connect: driver made a %T", conn)
	}
	return &serverConn{Conn: made, permit: p, peeker: peekerOf(made.Conn().PgConn().Conn())}, nil
}

// serverConn is pgx's connection, except that closing it waits for the server.
type serverConn struct {
	*stdlib.Conn
	permit   *pool.Permit
	peeker   *peeker // nil when the socket cannot be polled
	isBroken bool    // even if pgx still takes it for good
	once     sync.Once
	err      error
}

// IsValid is asked by database/sql, which returns the connection either way.
func (c *serverConn) IsValid() bool { return c.IsFit() }

func (c *serverConn) IsFit() bool {
	server := c.Conn.Conn().PgConn()
	return !c.isBroken && !server.IsClosed() && !server.IsBusy() && server.TxStatus() == outsideTransaction
}

func (c *serverConn) IsQuiet() bool { return c.peeker == nil || !c.peeker.isReadable() }

func (c *serverConn) Ended() <-chan struct{} { return c.permit.Done() }

// Interrupt lets the next read and write time out. pgx then cancels the statement on
// the server and closes the connection.
func (c *serverConn) Interrupt() {
	_ = c.Conn.Conn().PgConn().Conn().SetDeadline(time.Now()) // a closed connection needs none
}

// ExecContext calls the driver. It returns the error of a context that ended, and
// not driver.ErrBadConn.
func (c *serverConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.ExecContext(ctx, query, args)
	return result, c.classify(ctx, err)
}

// QueryContext is like ExecContext.
func (c *serverConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, query, args)
	return rows, c.classify(ctx, err)
}

// BeginTx is like ExecContext.
func (c *serverConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, opts)
	return tx, c.classify(ctx, err)
}

func (c *serverConn) classify(ctx context.Context, err error) error {
	if database.HasState(err, readOnlyState) {
		// A later session may write again, this one may not.
		c.isBroken = true
	}
	if err == nil || !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.isBroken = true
	return err
}

// Close ends the connection and waits until the server has ended its session. It
// does not wait when pgx has closed it already, after a cancelled statement.
func (c *serverConn) Close() error {
	c.once.Do(func() {
		abandoned := c.Conn.Conn().IsClosed()
		c.err = c.Conn.Close()
		c.permit.Leave()
		if abandoned {
			return
		}
		timer := time.NewTimer(database.CloseTimeout)
		defer timer.Stop()
		select {
		case <-c.permit.Done():
		case <-timer.C:
		}
	})
	return c.err
}

// translate wraps GORM's own errors around those of the server.
func translate(err error) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch server.Code {
	case "23505":
		return database.NewDuplicate(server.TableName, server.ConstraintName, err)
	case "23503":
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case "23514":
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	}
	return err
}
