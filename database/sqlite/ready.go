package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"multitenant/database"
)

// probeEvery is the least time between two probes: each opens core's files and takes the
// lock on writing.
const probeEvery = time.Second

// probe asks whether core can be written. It asks on a new connection, since the rights
// of an open one are those that its file had when it was opened.
type probe struct {
	connector *connector
	asking    singleflight.Group
	last      atomic.Pointer[probed]
}

// probed is the result of a probe.
type probed struct {
	at  time.Time
	err error
}

// Ready waits for a connection to core. About once a second it also asks whether core can
// be written.
func (b *backend) Ready(ctx context.Context) error {
	pool, err := b.core.DB()
	if err != nil {
		return err
	}
	if err := pool.PingContext(ctx); err != nil {
		return err
	}
	return b.probe.check(ctx)
}

func (p *probe) check(ctx context.Context) error {
	if last := p.last.Load(); last != nil && time.Since(last.at) < probeEvery {
		return last.err
	}
	// Other callers get the answer as well, and it does not wait.
	_, err, _ := p.asking.Do("", func() (any, error) {
		err := p.ask(context.WithoutCancel(ctx))
		p.last.Store(&probed{at: time.Now(), err: err})
		return nil, err
	})
	return err
}

// ask changes core in a transaction that it takes back, so that nothing reaches the file.
// BEGIN IMMEDIATE alone succeeds on a read-only file. Another transaction that writes
// meanwhile shows that core can be written.
func (p *probe) ask(ctx context.Context) (err error) {
	conn, err := p.connector.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, statement := range []string{
		"PRAGMA busy_timeout = 0", "BEGIN IMMEDIATE", "PRAGMA user_version = 0", "ROLLBACK",
	} {
		_, err := conn.ExecContext(ctx, statement, nil)
		if hasCode(err, sqlite3.SQLITE_BUSY) {
			return nil
		}
		if hasCode(err, sqlite3.SQLITE_READONLY) {
			return fmt.Errorf("%w: %w", database.ErrReadOnly, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hasCode reports whether SQLite failed with that primary code.
func hasCode(err error, primary int) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code()&0xff == primary
}
