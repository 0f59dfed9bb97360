package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"multitenant/database"
	"multitenant/database/pool"
)

const (
	// drainTimeout bounds the wait for a server that does not close its end.
	drainTimeout = 10 * time.Second
	// closePatience is how long closing a socket holds up its caller; the rest
	// of the wait goes on behind its back.
	closePatience = 100 * time.Millisecond
	// outsideTransaction is what the server calls a session that is in none.
	outsideTransaction = 'I'
)

// connect makes a connection as config says, for which it has a permit.
func connect(ctx context.Context, config pgx.ConnConfig, p *pool.Permit) (*serverConn, error) {
	config.DialFunc = countingDial(config.DialFunc, p)
	conn, err := stdlib.GetConnector(config).Connect(ctx)
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
	peeker   *peeker // nil where there is none to be had
	isBroken bool    // whatever pgx thinks of it
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

// ExecContext is the driver's, except that a context that ended is called that,
// and not a bad connection.
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
	if err == nil || !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.isBroken = true
	return err
}

// Close ends the connection and waits for the server's end of it, unless pgx is
// at that already: then a statement was cancelled, and nobody should wait.
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

// countingDial makes sockets that count as users of the permit.
func countingDial(next pgconn.DialFunc, p *pool.Permit) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !p.Use() {
			return nil, net.ErrClosed
		}
		conn, err := next(ctx, network, addr)
		if err != nil {
			p.Leave()
			return nil, err
		}
		return &socket{Conn: conn, gone: p.Leave, drained: make(chan struct{})}, nil
	}
}

// socket is a connection to the server that says when the server has closed its
// end. A backend does so by ending, so it is out of the database by then.
type socket struct {
	net.Conn
	gone    func()
	drained chan struct{}
	once    sync.Once
}

// peekerOf looks at the socket under a connection, which TLS may lie on; nil where
// there is none.
func peekerOf(conn net.Conn) *peeker {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if mine, ok := conn.(*socket); ok {
		conn = mine.Conn
	}
	system, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	return newPeeker(raw)
}

// Close says good-bye and reads until the server has done the same.
func (s *socket) Close() error {
	s.once.Do(func() {
		if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // the reading below finds out what is wrong
		}
		go s.drain()
	})
	timer := time.NewTimer(closePatience)
	defer timer.Stop()
	select {
	case <-s.drained:
	case <-timer.C:
	}
	return nil
}

func (s *socket) drain() {
	defer close(s.drained)
	defer s.gone()
	defer func() { _ = s.Conn.Close() }() // nothing can be done about it
	if err := s.SetDeadline(time.Now().Add(drainTimeout)); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, s.Conn) // any end is an end
}
