package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// acceptDelay is how long connections may take that clients have begun to make.
	acceptDelay = 300 * time.Millisecond
	// waitDelay is how long the connections are kept on which the server waits for a request.
	waitDelay = time.Second
	// lingerTimeout is how long a client may take to close its end of a connection.
	lingerTimeout = time.Second
)

// drain ends the connections of a server without resetting one. A connection that is
// closed while a request arrives is reset, and the client does not know whether its
// request was answered. http.Server.Shutdown closes so.
//
// From begin on every answer says that it is the last of its connection. When the server
// accepts no more connections, wait ends the others. An end is a close for writing alone;
// the connection is read until the client has closed it too.
type drain struct {
	leaving atomic.Bool
	left    sync.WaitGroup // counts the connections

	mu   sync.Mutex // guards open
	open map[*drainConn]bool
}

func newDrain() *drain { return &drain{open: make(map[*drainConn]bool)} }

func (d *drain) begin() { d.leaving.Store(true) }

// wait returns nil when all connections have ended, or the error of ctx. The caller must
// have called begin, and must accept no more connections.
func (d *drain) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		d.left.Wait()
		close(ended)
	}()
	defer time.AfterFunc(waitDelay, d.endWaiting).Stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *drain) endWaiting() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.open {
		conn.endIfWaiting()
	}
}

func (d *drain) add(conn *drainConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left.Add(1)
	d.open[conn] = true
}

// remove may be called more than once.
func (d *drain) remove(conn *drainConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[conn] {
		d.left.Done()
	}
	delete(d.open, conn)
}

// handler returns next with answers that say whether they are the last.
func (d *drain) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noteRequest(r.Context())
		next.ServeHTTP(&drainAnswer{ResponseWriter: w, drain: d}, r)
	})
}

// drainAnswer says whether it is the last when it begins, since requests are under way
// when the drain begins.
type drainAnswer struct {
	http.ResponseWriter

	drain    *drain
	hasBegun bool
}

// WriteHeader writes the status and the headers.
func (a *drainAnswer) WriteHeader(status int) {
	if !a.hasBegun && a.drain.leaving.Load() {
		a.Header().Set("Connection", "close")
	}
	a.hasBegun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (a *drainAnswer) Write(part []byte) (int, error) {
	if !a.hasBegun {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(part)
}

// Unwrap is for http.ResponseController.
func (a *drainAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// drainListener accepts connections for a drain.
type drainListener struct {
	*net.TCPListener

	drain *drain
}

// Accept returns the next connection.
func (l *drainListener) Accept() (net.Conn, error) {
	accepted, err := l.AcceptTCP()
	for errors.Is(err, os.ErrDeadlineExceeded) {
		if !isWaiting(l.TCPListener) {
			return nil, net.ErrClosed // http.Server would try again after a deadline
		}
		_ = l.SetDeadline(time.Time{}) // AcceptTCP fails where this does
		accepted, err = l.AcceptTCP()
		_ = l.SetDeadline(time.Now())
	}
	if err != nil {
		return nil, err
	}
	conn := &drainConn{TCPConn: accepted, drain: l.drain}
	l.drain.add(conn)
	return conn, nil
}

// finish makes Accept fail once it has returned the connections that have come.
func (l *drainListener) finish() error {
	ignoreNew(l.TCPListener)
	return l.SetDeadline(time.Now().Add(acceptDelay))
}
