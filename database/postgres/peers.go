package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// silentAfter is how long a socket waits before its peer is asked for a sign of life,
	// and watchEvery is how often that is looked at.
	silentAfter = time.Second
	watchEvery  = 500 * time.Millisecond
	// probeTimeout is how long a peer has for that sign.
	probeTimeout = 3 * time.Second
	// shunFor is how long no connection to a silent peer is tried.
	shunFor = time.Second
	// encryptionRequest asks a server whether it speaks TLS. It answers with one byte, and
	// counts no session.
	encryptionRequest = 80877103
)

// errSilent says that a server has not answered a moment ago.
var errSilent = errors.New("the server is silent")

// peers are the servers to which the sockets of a URL lead, by their address.
type peers struct {
	log  *slog.Logger
	dial pgconn.DialFunc
	born time.Time // all times are counted from here: the clock may be set

	mu  sync.Mutex // guards all
	all map[string]*peer
}

func newPeers(dial pgconn.DialFunc) *peers {
	return &peers{log: slog.New(slog.DiscardHandler), dial: dial, born: time.Now(), all: make(map[string]*peer)}
}

// at returns the peer at an address.
func (ps *peers) at(network, address string) *peer {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[address]
	if p == nil {
		p = &peer{peers: ps, network: network, address: address, sockets: make(map[*socket]struct{})}
		ps.all[address] = p
	}
	return p
}

func (ps *peers) now() time.Duration { return time.Since(ps.born) }

// closeBefore closes the sockets whose session began in an earlier era.
func (ps *peers) closeBefore(era int64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		p.closeIf(func(s *socket) bool { began := s.era.Load(); return began != 0 && began < era })
	}
}

// peer is a server at one address. When its machine or its network fails, it may say
// nothing at all: no answer comes, and no socket ends. Then each statement would use up
// its time, and its connection would stay taken for longer. So a peer that owes an answer
// is asked for a sign of life, and its sockets are closed when there is none.
type peer struct {
	*peers

	network, address string
	heard            atomic.Int64 // when it last said something
	shunned          atomic.Int64 // until when it is not dialed

	mu      sync.Mutex // guards what follows
	sockets map[*socket]struct{}
	unwatch context.CancelFunc // nil without sockets
}

// connect dials, except while the peer is known to be silent.
func (p *peer) connect(ctx context.Context) (net.Conn, error) {
	if int64(p.now()) < p.shunned.Load() {
		return nil, errSilent
	}
	return p.dial(ctx, p.network, p.address)
}

// join adds a socket. While there is one, the peer is watched.
func (p *peer) join(s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sockets[s] = struct{}{}
	if p.unwatch == nil {
		var ctx context.Context
		ctx, p.unwatch = context.WithCancel(context.Background())
		go p.watch(ctx)
	}
}

func (p *peer) leave(s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sockets, s)
	if len(p.sockets) == 0 && p.unwatch != nil {
		p.unwatch()
		p.unwatch = nil
	}
}

func (p *peer) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked := p.now()
		if !p.owes(asked) || p.isAlive(ctx) || p.heard.Load() > int64(asked) || ctx.Err() != nil {
			continue
		}
		p.shunned.Store(int64(p.now() + shunFor))
		closed := p.closeIf(func(*socket) bool { return true })
		p.log.WarnContext(ctx, "database server is silent: its connections are closed", "address", p.address, "connections", closed)
	}
}

// owes reports whether a socket waits for the peer, and the peer says nothing to others
// either.
func (p *peer) owes(now time.Duration) bool {
	before := int64(now - silentAfter)
	if p.heard.Load() > before {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sockets {
		if since := s.waiting.Load(); since != 0 && since <= before {
			return true
		}
	}
	return false
}

// isAlive asks for a sign of life. Only silence is none: a refusal is an answer, too.
func (p *peer) isAlive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := p.dial(ctx, p.network, p.address)
	if err == nil {
		defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
		defer func() { _ = conn.Close() }() // it has done its work
		message := binary.BigEndian.AppendUint32(nil, 8)
		_, err = conn.Write(binary.BigEndian.AppendUint32(message, encryptionRequest))
	}
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if failure, ok := errors.AsType[net.Error](err); ok && failure.Timeout() {
		return false
	}
	p.heard.Store(int64(p.now()))
	return true
}

// closeIf closes the sockets for which condition holds, without a word to the peer, and
// counts them.
func (p *peer) closeIf(condition func(*socket) bool) (closed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sockets {
		if condition(s) {
			closed++
			_ = s.Conn.Close() // its user finds out
		}
	}
	return closed
}
