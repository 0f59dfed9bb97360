package testkit

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Proxy stands between the application and PostgreSQL, and can hold up all that
// passes, as a network does that drops packets: nobody is told anything. It can do
// worse to the connections of one database, see Afflict.
type Proxy struct {
	listener net.Listener
	ending   chan struct{} // closed at the end

	mu     sync.Mutex // guards what follows
	server string
	open   *sync.Cond // signals that held may be false
	held   bool
	closed bool
	victim string // the database that fault is about
	fault  Fault
	conns  map[net.Conn]string // with the database they are to, as far as known
	all    sync.WaitGroup
}

// Fault is what happens to the connections of one database.
type Fault struct {
	Delay  time.Duration // of all that the server says
	Refuse bool          // new ones are closed at once
	Cut    bool          // those there are now are closed
}

// StartProxy puts a proxy before the settings' PostgreSQL, until the end of the
// test, and returns settings that lead through it.
func StartProxy(tb testing.TB, settings Settings) (*Proxy, Settings) {
	tb.Helper()
	p, address := startProxy(tb, settings)
	settings.Database.URL = address
	return p, settings
}

// StartTenantProxy is StartProxy for the connections by which tenants are served:
// all others pass by it.
func StartTenantProxy(tb testing.TB, settings Settings) (*Proxy, Settings) {
	tb.Helper()
	p, address := startProxy(tb, settings)
	settings.Database.TenantURL = address
	return p, settings
}

func startProxy(tb testing.TB, settings Settings) (p *Proxy, through string) {
	tb.Helper()
	address, err := url.Parse(settings.Database.URL)
	require.NoError(tb, err)
	var listening net.ListenConfig
	listener, err := listening.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p = &Proxy{listener: listener, server: address.Host, ending: make(chan struct{}), conns: make(map[net.Conn]string)}
	p.open = sync.NewCond(&p.mu)
	p.all.Go(p.accept)
	tb.Cleanup(p.close)
	address.Host = listener.Addr().String()
	return p, address.String()
}

// Hold lets nothing pass any more; connections stay open, and new ones are
// accepted as a full backlog is.
func (p *Proxy) Hold() { p.set(true) }

// Release lets everything pass again, what was held up first.
func (p *Proxy) Release() { p.set(false) }

// Lead sends new connections to another server, as a balancer does after a failover.
// Those there are stay where they are.
func (p *Proxy) Lead(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

func (p *Proxy) current() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

func (p *Proxy) set(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	p.open.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.all.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.forget(client)
	if !p.keep(client, "") || !p.pass() {
		return
	}
	first, database, err := readStartup(client)
	if err != nil || p.faultOf(database).Refuse || !p.keep(client, database) {
		return
	}
	server, err := net.Dial("tcp", p.current()) //nolint:noctx // it is on this machine
	if err != nil {
		return
	}
	defer p.forget(server)
	if !p.keep(server, database) || !p.pass() {
		return
	}
	if _, err := server.Write(first); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client, "") })
	both.Go(func() { p.copy(client, server, database) })
	both.Wait()
}

// copy passes on what one end says to the other; what a database says may take
// its time.
func (p *Proxy) copy(to, from net.Conn, database string) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !p.pass() || !p.linger(p.faultOf(database).Delay) {
			return
		}
		if n > 0 {
			if _, writing := to.Write(buffer[:n]); writing != nil {
				err = errors.Join(err, writing)
			}
		}
		if err == nil {
			continue
		}
		if half, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
			_ = half.CloseWrite() // the other direction goes on
			return
		}
		_ = to.Close()
		return
	}
}

// pass waits while everything is held up, and reports whether the proxy is
// still at work.
func (p *Proxy) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held && !p.closed {
		p.open.Wait()
	}
	return !p.closed
}

func (p *Proxy) keep(conn net.Conn, database string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = database
	return !p.closed
}

func (p *Proxy) forget(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	_ = conn.Close()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.open.Broadcast()
	p.mu.Unlock()
	close(p.ending)
	_ = p.listener.Close()
	p.all.Wait()
}
