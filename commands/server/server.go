// Package server answers requests on one address, and ends without resetting a connection.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10
)

// Server answers requests on one address and ends without resetting a connection. A
// connection that comes before Serve waits for it.
type Server struct {
	listener *drainListener
	drain    *drain
	http     *http.Server
	ended    chan struct{} // closed when no more connections are accepted
	err      error         // why; set before ended is closed
}

// Listen opens a port. The caller must call Close or, once it has called Serve, Stop.
func Listen(ctx context.Context, addr string) (*Server, error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errors.New("listener is not one of TCP"), listener.Close())
	}
	ending := newDrain()
	return &Server{
		listener: &drainListener{TCPListener: tcp, drain: ending},
		drain:    ending,
		ended:    make(chan struct{}),
	}, nil
}

// Close closes the port of a server that does not serve. After Stop it does nothing.
func (s *Server) Close() { _ = s.listener.Close() }

// URL is where the server is reached from this machine.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err == nil && net.ParseIP(host).IsUnspecified() { // it listens on all addresses
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Serve begins to answer requests. The caller must call Stop.
func (s *Server) Serve(handler http.Handler, logger *slog.Logger) {
	s.http = New(s.drain.handler(handler), logger)
	s.http.ConnState, s.http.ConnContext = noteState, withConn
	go func() {
		defer close(s.ended)
		s.err = s.http.Serve(s.listener)
	}()
}

// Stop closes the port and lets requests under way finish, for as long as limit. Its
// error says that some did not.
func (s *Server) Stop(ctx context.Context, limit time.Duration) error {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	s.drain.begin()
	if err := s.listener.finish(); err != nil {
		return errors.Join(err, s.http.Close())
	}
	<-s.ended
	err := s.drain.wait(closing)
	if err != nil {
		err = fmt.Errorf("requests under way: %w", err)
	}
	return errors.Join(err, s.http.Close())
}

// Ended is closed when no more connections are accepted. Err says why then.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Err is the reason why no more connections are accepted.
func (s *Server) Err() error { return s.err }

// Leave says with every answer from now on that it is the last of its connection.
func (s *Server) Leave() { s.drain.begin() }

// IsLeaving reports whether Leave or Stop was called.
func (s *Server) IsLeaving() bool { return s.drain.leaving.Load() }

// New returns an HTTP server that gives clients the time they may take.
func New(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
