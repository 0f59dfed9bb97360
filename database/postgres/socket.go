package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database/pool"
)

const (
	// drainTimeout bounds the wait for a server that does not close its end.
	drainTimeout = 3 * time.Second
	// closePatience is how long closing a socket holds up its caller. Draining goes
	// on in the background.
	closePatience = 100 * time.Millisecond

	// The system asks the far end of an idle socket for a sign of life after
	// keepAliveIdle, and takes it for gone keepAliveCount times keepAliveInterval later.
	keepAliveIdle     = 3 * time.Second
	keepAliveInterval = time.Second
	keepAliveCount    = 3
	// unacknowledged is how long the far end may leave what was sent unacknowledged.
	unacknowledged = 4 * time.Second
)

// newDialer makes plain connections.
func newDialer(timeout time.Duration) pgconn.DialFunc {
	dialer := &net.Dialer{
		Timeout: timeout, Control: boundUnacknowledged,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
	}
	return dialer.DialContext
}

// countingDial makes sockets that count as users of the permit.
func (h *hosts) countingDial(p *pool.Permit) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !p.Use() {
			return nil, net.ErrClosed
		}
		far := h.peers.at(network, addr)
		conn, err := far.connect(ctx)
		if err != nil {
			p.Leave()
			return nil, err
		}
		s := &socket{Conn: conn, peer: far, gone: p.Leave, drained: make(chan struct{})}
		far.join(s) //nolint:contextcheck // a socket outlives its dial
		return s, nil
	}
}

// socket is a connection that reports when the server has closed its end. The server
// does so when the session's process ends, so the session has left the database.
type socket struct {
	net.Conn
	peer    *peer
	gone    func()
	drained chan struct{}
	once    sync.Once
	waiting atomic.Int64              // since when a read waits; zero: none does
	era     atomic.Int64              // of its session, see history; zero: not known
	end     atomic.Pointer[time.Time] // until when it may be drained, once that is known
}

// socketOf returns the socket below a connection, or below its TLS.
func socketOf(conn net.Conn) (*socket, bool) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	mine, ok := conn.(*socket)
	return mine, ok
}

// peekerOf returns a peeker on the socket below a connection; nil when there is none.
func peekerOf(conn net.Conn) *peeker {
	mine, ok := socketOf(conn)
	if !ok {
		return nil
	}
	system, ok := mine.Conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	return newPeeker(raw)
}

// Read notes that the peer owes an answer meanwhile.
func (s *socket) Read(b []byte) (int, error) {
	s.waiting.Store(int64(s.peer.now()))
	n, err := s.Conn.Read(b)
	s.waiting.Store(0)
	if n > 0 || errors.Is(err, io.EOF) {
		s.peer.heard.Store(int64(s.peer.now()))
	}
	return n, err
}

// SetDeadline keeps pgx from waiting for a server that does not end a session: pgx sets
// a time to come only for that.
func (s *socket) SetDeadline(t time.Time) error {
	if now := time.Now(); t.After(now) {
		t = now.Add(drainTimeout)
		s.end.Store(&t)
	}
	return s.Conn.SetDeadline(t)
}

// Close closes our end and reads until the server has closed its own.
func (s *socket) Close() error {
	s.once.Do(func() {
		if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // draining finds the error
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
	defer s.peer.leave(s)
	defer func() { _ = s.Conn.Close() }() // there is no caller to tell
	end := time.Now().Add(drainTimeout)
	if known := s.end.Load(); known != nil {
		end = *known
	}
	if err := s.Conn.SetDeadline(end); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{s}) // any end is an end
}
