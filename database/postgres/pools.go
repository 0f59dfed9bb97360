package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"multitenant/database"
	"multitenant/database/pool"
)

const (
	// Of database.MinConnections, core gets minCore, databases being made or
	// migrated makingConnections, and tenants the rest.
	minCore = 4
	maxCore = 16
	// minLocks is how many locks a process may hold where core has a connection more.
	minLocks = 4
	// coreShare gives core one connection in five.
	coreShare = 5
	// makingConnections is for databases being made or migrated, one each.
	makingConnections = 4

	// coreIdle and tenantIdle are how long a connection may wait for work. A
	// tenant's is short: there are many tenants.
	coreIdle   = 5 * time.Minute
	tenantIdle = time.Minute
	// busyAfter is how long a request waits for a connection to its tenant, and
	// coreBusyAfter for one to core, which every request needs for a short time.
	busyAfter     = 4 * time.Second
	coreBusyAfter = 2 * time.Second
)

// pools share out the connections of the process. No pool takes connections from
// another, or they could wait for each other: a request may hold a tenant's
// connection while it needs core, and so may the code that makes or migrates a
// database.
//
// Of 40: 8 for core, half of which locks may pin, 4 for databases being made or
// migrated, and 28 for tenants, which share them fairly. ofRole bounds what one may
// have: the server refuses more to its role.
type pools struct{ core, making, tenants *pool.Pool }

func newPools(connections, ofRole int) pools {
	core := min(max(connections/coreShare, minCore), maxCore)
	tenants := connections - core - makingConnections
	return pools{
		core: pool.New(pool.Options{Limit: core, IdleLimit: coreIdle, Patience: coreBusyAfter}),
		// The idle ones are to spares.
		making: pool.New(pool.Options{Limit: makingConnections}),
		tenants: pool.New(pool.Options{
			Limit: tenants, MostOfOne: ofRole, IsFair: true, IdleLimit: tenantIdle, Patience: busyAfter,
		}),
	}
}

// locks is how many connections of core the locks may pin: half, and with few connections
// up to four, but never all. Long work waits for a lock, and each query of core is short.
func (p pools) locks() int { return max(p.core.Limit()/2, min(p.core.Limit()-1, minLocks)) }

func (p pools) stats() (sum database.Stats) {
	for _, part := range []*pool.Pool{p.core, p.making, p.tenants} {
		part.Stats(&sum)
	}
	return sum
}

// pooledConnector makes database/sql take each connection from a pool and give it
// back; database/sql keeps none itself.
type pooledConnector struct{ *pool.Share }

// Connect takes a connection.
func (c pooledConnector) Connect(ctx context.Context) (driver.Conn, error) {
	taken, err := c.Take(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := connOf(taken)
	if err != nil {
		return nil, err
	}
	return &lease{serverConn: conn, taken: taken}, nil
}

// Driver is asked for by database/sql.
func (pooledConnector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// lease is a connection in the hands of database/sql.
type lease struct {
	*serverConn
	taken   *pool.Conn
	isGiven atomic.Bool
}

// Close gives the connection back.
func (l *lease) Close() error {
	if !l.isGiven.Swap(true) {
		l.taken.Share().Give(l.taken)
	}
	return nil
}

// connOf returns the connection that a pool has lent. It gives back a connection of
// another type, with an error.
func connOf(taken *pool.Conn) (*serverConn, error) {
	conn, ok := taken.Wire.(*serverConn)
	if !ok {
		taken.Share().Give(taken)
		return nil, fmt.Errorf("take connection: the pool has a %T", taken.Wire)
	}
	return conn, nil
}

// target says which database to connect to, and as whom.
type target struct {
	*server // of which the rest is taken

	name  string
	login database.Login
	check database.Check

	path     string // of the sessions
	isPooled bool   // whether a pooler may stand between
}

// dial connects, and closes a connection that check refuses.
func (t *target) dial(ctx context.Context, p *pool.Permit) (pool.Wire, error) {
	config := *t.config
	config.Database = t.name
	if t.login != (database.Login{}) {
		config.User, config.Password = t.login.Role, t.login.Password
	}
	config.AfterConnect = t.setUp
	conn, err := t.hosts.dial(ctx, config, p)
	if err != nil {
		return nil, err
	}
	err = database.Lend(ctx, conn, func(q *sql.Conn) error { return t.examine(ctx, q) })
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// examine refuses a database that the sessions must not use.
func (t *target) examine(ctx context.Context, q *sql.Conn) error {
	if t.path == catalogPath && t.login == (database.Login{}) {
		if err := checkOwners(ctx, q); err != nil {
			return err
		}
	}
	if t.check == nil {
		return nil
	}
	return t.check(ctx, q)
}
