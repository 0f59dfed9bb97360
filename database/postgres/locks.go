package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// lockRounds is how often locks are tried at start: a pooler that is busy with others
// may give a connection the same session several times.
const lockRounds = 5

// errLocks says that a lock does not belong to one connection.
var errLocks = errors.New("this address does not keep the locks of two connections apart: it leads to a pooler in transaction mode, " +
	"to several servers that take turns, or to no PostgreSQL; name the server itself, or a pooler in session mode")

// checkLocks refuses an address by which two processes could hold the same lock.
func (b *backend) checkLocks(ctx context.Context) error {
	handles, err := b.core.DB()
	if err != nil {
		return fmt.Errorf("try locks: %w", err)
	}
	one, err := handles.Conn(ctx)
	if err != nil {
		return fmt.Errorf("try locks: %w", err)
	}
	defer func() { _ = one.Close() }() // it is the pool's
	two, err := handles.Conn(ctx)
	if err != nil {
		return fmt.Errorf("try locks: %w", err)
	}
	defer func() { _ = two.Close() }() // it is the pool's
	for range lockRounds {
		if err := tryLocks(ctx, one, two); err != nil {
			return fmt.Errorf("try locks: %w", err)
		}
	}
	return nil
}

// tryLocks finds a pooler that gives out the session used last, since two then gets
// the lock of one, and a pooler that gives out another session each time, since one
// then does not have its own lock any more.
func tryLocks(ctx context.Context, one, two *sql.Conn) error {
	const take, leave = "SELECT pg_catalog.pg_try_advisory_lock($1)", "SELECT pg_catalog.pg_advisory_unlock($1)"
	key := advisoryKey("trial " + rand.Text())
	for _, step := range []struct {
		conn      *sql.Conn
		statement string
		succeeds  bool
	}{
		{one, take, true},
		{one, leave, true},
		{one, take, true},
		{two, take, false},
		{one, leave, true},
	} {
		var succeeded bool
		// A pooler may not know a prepared statement.
		err := step.conn.QueryRowContext(ctx, step.statement, pgx.QueryExecModeSimpleProtocol, key).Scan(&succeeded)
		if err != nil {
			return err
		}
		if succeeded != step.succeeds {
			return errLocks
		}
	}
	return nil
}
