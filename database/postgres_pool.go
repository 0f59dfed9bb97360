package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// MinConnections is the least a PostgreSQL process can work with: a small
	// pool for core, databases being made and migrated, and a few for tenants.
	MinConnections = minCore + makingConnections + minTenants

	minCore    = 4
	maxCore    = 16
	minTenants = 4
	// coreShare is core's part of all connections: one in five.
	coreShare = 5
	// othersShare is what no tenant may take from the others: one in four.
	othersShare = 4
	// makingConnections is kept for databases being made or migrated, one each.
	makingConnections = 4

	// coreIdle and tenantIdle are how long a connection may wait for work. A
	// tenant's is short: there are many tenants.
	coreIdle   = 5 * time.Minute
	tenantIdle = time.Minute
	// busyAfter is how long a request waits for a connection.
	busyAfter = 2 * time.Second
)

// pools share out the connections of the process. Those of one pool are out of
// reach for the others, or they would wait for each other: a request may hold a
// tenant's connection while it needs core, and so does whoever makes or migrates
// a database, who may also need it to be served.
//
// Of 40: 8 for core, half of which locks may pin, 4 for databases being made or
// migrated, and 28 for tenants, of which one alone may have 21: when its
// statements take long, the others still find room.
type pools struct{ core, making, tenants *pool }

func newPools(connections int) pools {
	core := min(max(connections/coreShare, minCore), maxCore)
	tenants := newPool(connections-core-makingConnections, tenantIdle, busyAfter)
	tenants.mostOfOne = tenants.limit - tenants.limit/othersShare
	return pools{
		core:    newPool(core, coreIdle, busyAfter),
		making:  newPool(makingConnections, tenantIdle, 0), // no request waits for these
		tenants: tenants,
	}
}

// locks is how many connections of core may be pinned by locks.
func (p pools) locks() int { return p.core.limit / 2 }

func (p pools) stats() (sum Stats) {
	for _, pool := range []*pool{p.core, p.making, p.tenants} {
		pool.stats(&sum)
	}
	return sum
}

// pooledConnector makes database/sql, which keeps nothing itself, take its
// connections from a pool and give them back.
type pooledConnector struct{ *share }

// Connect takes a connection.
func (c pooledConnector) Connect(ctx context.Context) (driver.Conn, error) {
	taken, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := postgresOf(taken)
	if err != nil {
		return nil, err
	}
	return &lease{postgresConn: conn, taken: taken}, nil
}

// Driver is asked for by database/sql.
func (pooledConnector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// lease is a connection in the hands of database/sql.
type lease struct {
	*postgresConn
	taken   *pooled
	isGiven atomic.Bool
}

// Close gives the connection back.
func (l *lease) Close() error {
	if !l.isGiven.Swap(true) {
		l.taken.share.give(l.taken)
	}
	return nil
}

// postgresOf returns the connection a pool has lent, and gives back what is none
// of ours.
func postgresOf(taken *pooled) (*postgresConn, error) {
	conn, ok := taken.wire.(*postgresConn)
	if !ok {
		taken.share.give(taken)
		return nil, fmt.Errorf("take connection: the pool has a %T", taken.wire)
	}
	return conn, nil
}

// target says which database to connect to, and as whom.
type target struct {
	config *pgx.ConnConfig // of which the rest is taken
	name   string
	login  Login
	check  Check
}

// dial connects, and lets nobody use what check does not agree to.
func (t *target) dial(ctx context.Context, p *permit) (wire, error) {
	config := *t.config
	config.Database = t.name
	if t.login != (Login{}) {
		config.User, config.Password = t.login.Role, t.login.Password
	}
	conn, err := connectPostgres(ctx, config, p)
	if err != nil {
		return nil, err
	}
	if t.check == nil {
		return conn, nil
	}
	err = lend(ctx, conn, func(q *sql.Conn) error { return t.check(ctx, q) })
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
