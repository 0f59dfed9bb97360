package tests_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// halfLogin sends one half of a login and returns what sends the other and
// reads the status.
func halfLogin(t *testing.T, p *program) (finish func() (string, error)) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	body := fmt.Sprintf(`{"email":"ada@example.com","password":%q}`, testkit.Password)
	_, err = fmt.Fprintf(conn, "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(body), body[:10])
	require.NoError(t, err)
	return func() (string, error) {
		if _, err := conn.Write([]byte(body[10:])); err != nil {
			return "", err
		}
		answer := make([]byte, 64)
		n, err := conn.Read(answer)
		status, _, _ := strings.Cut(string(answer[:n]), "\r\n")
		return status, err
	}
}

func finishesWhatIsUnderWay(t *testing.T, binary string) {
	t.Helper()
	p := run(t, binary, t.TempDir())
	token := p.Token("", "ada@example.com")
	finish := halfLogin(t, p)

	p.signal(t, syscall.SIGTERM)
	testkit.Await(t, time.Second, func() error {
		if ready := p.Get("/ready", ""); ready.Code != http.StatusServiceUnavailable {
			return errors.New("readiness is not off")
		}
		return nil
	})
	require.Equal(t, http.StatusOK, p.Get("/api/users/me", token).Code, "requests are still served after readiness is off")
	testkit.Await(t, 5*time.Second, func() error {
		if _, err := p.Try(testkit.Request{Method: http.MethodGet, Path: "/health"}); err == nil {
			return errors.New("new requests are still served")
		}
		return nil
	})
	status, err := finish()
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 200 OK", status)
	p.requireExit(t, 0)
	require.NotRegexp(t, `level=ERROR msg="?(close|stop)`, p.Log.String())
}

func endsAtOnceWhenToldTwice(t *testing.T, binary string) {
	t.Helper()
	p := run(t, binary, t.TempDir())
	p.Token("", "ada@example.com")
	halfLogin(t, p)

	p.signal(t, os.Interrupt)
	testkit.Await(t, 5*time.Second, func() error {
		if !strings.Contains(p.Log.String(), "msg=stopping") {
			return errors.New(p.Log.String())
		}
		return nil
	})
	told := time.Now()
	p.signal(t, os.Interrupt)
	<-p.exited
	require.Less(t, time.Since(told), 3*time.Second)
	status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGINT, status.Signal(), p.command.ProcessState)
}

// keepAliveClients are as many as a small load balancer keeps.
const keepAliveClients = 48

// caller is a client that uses its connection for as long as the server lets it.
type caller struct {
	conn   net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, p *program) (*caller, error) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, reader: bufio.NewReader(conn)}, nil
}

// ask sends a request and reports whether the server wants the connection closed.
func (c *caller) ask() (isLast bool, err error) {
	if _, err := fmt.Fprint(c.conn, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return false, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.Close, err
}

// resetsNoConnection has clients that ask all the time, that are idle, and that ask again
// after the signal.
func resetsNoConnection(t *testing.T, binary string) {
	t.Helper()
	p := run(t, binary, t.TempDir())
	idle, late := mustDial(t, p), mustDial(t, p)
	var stopping atomic.Bool
	var clients sync.WaitGroup
	failures := make(chan error, keepAliveClients) // nil is none
	for range keepAliveClients {
		clients.Go(func() { failures <- askUntilRefused(t, p, &stopping) })
	}

	p.signal(t, syscall.SIGTERM)
	testkit.Await(t, 5*time.Second, func() error {
		if !strings.Contains(p.Log.String(), "msg=stopping") {
			return errors.New(p.Log.String())
		}
		return nil
	})
	stopping.Store(true)
	isLast, err := late.ask()
	require.NoError(t, err, "a connection that was idle at the signal is served once more")
	require.True(t, isLast)
	_, err = idle.reader.ReadByte()
	require.ErrorIs(t, err, io.EOF, "an idle connection is closed, not reset")
	_, err = idle.ask()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a request that crosses the end of the connection meets no reset")
	require.NoError(t, idle.conn.Close())

	clients.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	p.requireExit(t, 0)
}

// mustDial returns a client whose connection is idle.
func mustDial(t *testing.T, p *program) *caller {
	t.Helper()
	c, err := dial(t, p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.conn.Close() })
	isLast, err := c.ask()
	require.NoError(t, err)
	require.False(t, isLast)
	return c
}

// askUntilRefused asks on one connection after the other, until no new one is accepted.
func askUntilRefused(t *testing.T, p *program, stopping *atomic.Bool) error {
	t.Helper()
	for {
		c, err := dial(t, p)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := askUntilLast(c, stopping); err != nil {
			return err
		}
	}
}

// askUntilLast returns nil once an answer has said that it is the last. All that are
// asked for after the program says that it stops must say so.
func askUntilLast(c *caller, stopping *atomic.Bool) error {
	defer c.conn.Close()
	for {
		late := stopping.Load()
		isLast, err := c.ask()
		if err != nil || isLast {
			return err
		}
		if late {
			return errors.New("an answer after the signal does not say Connection: close")
		}
	}
}

// endsWithoutSlowReaders has a client that reads no answer.
func endsWithoutSlowReaders(t *testing.T, binary string) {
	t.Helper()
	p := run(t, binary, t.TempDir())
	slow := mustDial(t, p)
	requests := strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 1000)
	var err error
	for err == nil { // the server reads no more once it cannot write
		require.NoError(t, slow.conn.SetWriteDeadline(time.Now().Add(time.Second)))
		_, err = io.WriteString(slow.conn, requests)
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	p.signal(t, syscall.SIGTERM)
	p.requireExit(t, 0)
	require.Contains(t, p.Log.String(), `level=WARN msg=stop error="requests under way: context deadline exceeded"`)
}
