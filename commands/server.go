package commands

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

// server answers requests on one address and ends without resetting a connection. A
// connection that comes before serve waits for it.
type server struct {
	listener *drainListener
	drain    *drain
	http     *http.Server
	ended    chan struct{} // closed when no more connections are accepted
	err      error         // why; set before ended is closed
}

func listen(ctx context.Context, addr string) (*server, error) {
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
	return &server{
		listener: &drainListener{TCPListener: tcp, drain: ending},
		drain:    ending,
		ended:    make(chan struct{}),
	}, nil
}

// close closes the port of a server that does not serve. After stop it does nothing.
func (s *server) close() { _ = s.listener.Close() }

// url is where the server is reached.
func (s *server) url() string { return "http://" + s.listener.Addr().String() }

// serve begins to answer requests. The caller must call stop.
func (s *server) serve(handler http.Handler, logger *slog.Logger) {
	s.http = NewServer(s.drain.handler(handler), logger)
	s.http.ConnState, s.http.ConnContext = noteState, withConn
	go func() {
		defer close(s.ended)
		s.err = s.http.Serve(s.listener)
	}()
}

// stop closes the port and lets requests under way finish, for as long as limit. Its
// error says that some did not.
func (s *server) stop(ctx context.Context, limit time.Duration) error {
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

// NewServer returns a server that gives clients the time they may take.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
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
