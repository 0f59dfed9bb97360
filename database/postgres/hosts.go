package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// server holds the connection settings of a URL, and its hosts.
type server struct {
	config *pgx.ConnConfig
	hosts  *hosts
}

func newServer(config *pgx.ConnConfig) *server {
	return &server{config: config, hosts: newHosts(config)}
}

// hosts are the servers that a URL names. All pools ask the one that served last first,
// and go on to the next whatever it answers: a standby says of a database that it does
// not have yet that there is none, and knows no role that was just made.
type hosts struct {
	ways    [][]*pgconn.FallbackConfig // to each server, in the order of the URL
	last    atomic.Int32
	peers   *peers
	history history
}

// errNotPrimary says that a server is not the one that the URL wants.
var errNotPrimary = errors.New("not the primary")

func newHosts(config *pgx.ConnConfig) *hosts {
	return &hosts{ways: waysOf(config), peers: newPeers(newDialer(config.ConnectTimeout))}
}

// waysOf returns the ways to each host: with TLS, without, or first one and then the other.
func waysOf(config *pgx.ConnConfig) (all [][]*pgconn.FallbackConfig) {
	first := &pgconn.FallbackConfig{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}
	for _, way := range append([]*pgconn.FallbackConfig{first}, config.Fallbacks...) {
		at := slices.IndexFunc(all, func(ways []*pgconn.FallbackConfig) bool {
			return ways[0].Host == way.Host && ways[0].Port == way.Port
		})
		if at < 0 {
			all = append(all, []*pgconn.FallbackConfig{way})
		} else {
			all[at] = append(all[at], way)
		}
	}
	return all
}

// connect connects to the first host that takes the connection.
func (h *hosts) connect(ctx context.Context, config pgx.ConnConfig) (driver.Conn, error) {
	if validate := config.ValidateConnect; validate != nil {
		config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			if err := validate(ctx, conn); err != nil {
				return fmt.Errorf("%w: %w", errNotPrimary, err)
			}
			return nil
		}
	}
	last := int(h.last.Load())
	var refusal error
	for i := range h.ways {
		at := (last + i) % len(h.ways)
		ways := h.ways[at]
		config.Host, config.Port, config.TLSConfig, config.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
		conn, err := stdlib.GetConnector(config).Connect(ctx)
		if err == nil {
			h.last.Store(int32(at)) //nolint:gosec // a URL has few hosts
			return conn, nil
		}
		if at == last && !isAnswer(err) { // another is asked first then
			h.last.CompareAndSwap(int32(last), int32((last+1)%len(h.ways))) //nolint:gosec // as above
		}
		refusal = moreTelling(refusal, err)
	}
	return nil, refusal
}

// isAnswer reports whether a server refused a connection, a standby included.
func isAnswer(err error) bool {
	_, isRefusal := errors.AsType[*pgconn.PgError](err)
	return isRefusal || errors.Is(err, errNotPrimary)
}

// moreTelling chooses between the errors of two hosts. One that did not answer may be
// the primary, so the answer of another proves nothing. A standby knows least.
func moreTelling(one, other error) error {
	weight := func(err error) int {
		switch {
		case err == nil:
			return 0
		case errors.Is(err, errNotPrimary):
			return 1
		case isAnswer(err):
			return 2
		}
		return 3
	}
	if weight(other) > weight(one) {
		return other
	}
	return one
}
