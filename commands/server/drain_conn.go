package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The states of a drainConn.
const (
	connWaits int32 = iota // for the first byte of a request
	connWorks
	connEnds // it is closed for writing
)

// drainConn is a connection of a drain.
type drainConn struct {
	*net.TCPConn

	drain   *drain
	state   atomic.Int32
	reading sync.Mutex // held by the one that reads: the server, then linger
}

// drainConnKey is the key of a request's drainConn in its context.
type drainConnKey struct{}

// withConn is http.Server's hook ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, drainConnKey{}, conn)
}

// noteRequest is for a request that was read together with the one before.
func noteRequest(ctx context.Context) {
	if c, ok := ctx.Value(drainConnKey{}).(*drainConn); ok {
		c.state.CompareAndSwap(connWaits, connWorks)
	}
}

// noteState is http.Server's hook ConnState.
func noteState(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(*drainConn); ok && state == http.StateIdle {
		c.state.CompareAndSwap(connWorks, connWaits)
	}
}

// Read reads. What arrives after the end is not read: it could not be answered.
func (c *drainConn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		c.state.CompareAndSwap(connWaits, connWorks)
	}
	if c.state.Load() == connEnds {
		return 0, net.ErrClosed
	}
	return n, err
}

// Close returns at once.
func (c *drainConn) Close() error {
	if !c.drain.leaving.Load() {
		return c.close()
	}
	if c.state.Swap(connEnds) == connEnds {
		return net.ErrClosed
	}
	return c.end()
}

// endIfWaiting ends the connection unless a request has begun on it.
func (c *drainConn) endIfWaiting() {
	if c.state.CompareAndSwap(connWaits, connEnds) {
		_ = c.end() // the client may be gone
	}
}

// end may be called once, by the caller that has set the state.
func (c *drainConn) end() error {
	err := errors.Join(c.CloseWrite(), c.SetReadDeadline(time.Now())) // which interrupts Read
	go c.linger()
	return err
}

// linger reads what the client still sends, until it has closed the connection.
func (c *drainConn) linger() {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.Copy(io.Discard, c.TCPConn) // it ends with the deadline
	}
	_ = c.close() // the client may be gone
}

func (c *drainConn) close() error {
	defer c.drain.remove(c)
	return c.TCPConn.Close()
}
