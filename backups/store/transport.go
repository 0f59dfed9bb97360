package store

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// settled is a transport that has let go of a request's body when the answer is closed or
// has failed. The library sends the same reader again after a failure, and net/http may
// still be reading from it: "Callers wanting to reuse the body must wait for the Close
// call" (http.RoundTripper).
type settled struct{ http.RoundTripper }

// RoundTrip sends a request. Without an answer it returns when the body is let go of.
func (t settled) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.RoundTripper.RoundTrip(r)
	}
	sent := r.WithContext(r.Context()) // a copy
	closed := make(chan struct{})
	sent.Body = &body{r.Body, sync.OnceFunc(func() { close(closed) })}
	answer, err := t.RoundTripper.RoundTrip(sent)
	if err != nil {
		<-closed
		return nil, err
	}
	answer.Body = &body{answer.Body, func() { <-closed }}
	return answer, nil
}

// body is one end of a request, with something to do after it is closed.
type body struct {
	io.ReadCloser

	after func()
}

// Close closes it.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.after()
	return err
}

// stallTimeout is how long a connection may stand still.
const stallTimeout = 2 * time.Minute

// dialRestless connects as the standard library does, but the connection fails when it
// stands still: a backup holds a lock meanwhile.
func dialRestless(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &restless{conn}, nil
}

// restless is a connection that fails when nothing was read or written for a while.
type restless struct{ net.Conn }

// Read reads.
func (c *restless) Read(piece []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(piece)
}

// Write writes.
func (c *restless) Write(piece []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(piece)
}
