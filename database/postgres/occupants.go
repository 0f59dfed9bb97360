package postgres

import (
	"context"
	"fmt"
	"time"

	"multitenant/database"
)

const (
	// endWait bounds the wait for the end of sessions, in milliseconds, as the server
	// takes it.
	endWait = int64(database.CloseTimeout / time.Millisecond)
	// leaveTries and leavePause are for the session of a client that has closed it: the
	// server ends it a moment later.
	leaveTries = 10
	leavePause = 25 * time.Millisecond
)

// InUse looks for sessions and for prepared transactions, several times.
func (s *session) InUse(ctx context.Context, name string) (bool, error) {
	for range leaveTries {
		inUse, err := s.isInUse(ctx, name)
		if err != nil || !inUse {
			return false, err
		}
		select {
		case <-time.After(leavePause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// isInUse does not count the server's own workers: they have no role, and the server
// ends them for a rename.
func (s *session) isInUse(ctx context.Context, name string) (bool, error) {
	var inUse bool
	err := s.conn.QueryRowContext(ctx, `SELECT
		EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND usesysid IS NOT NULL) OR
		EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = $1)`, name).Scan(&inUse)
	if err != nil {
		return false, fmt.Errorf("look for sessions in database %s: %w", name, err)
	}
	return inUse, nil
}

// EndOwn ends sessions as any role may end its own.
func (s *session) EndOwn(ctx context.Context, name string) error {
	err := s.exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid, $2) FROM pg_catalog.pg_stat_activity
		WHERE datname = $1 AND usename = current_user`, name, endWait)
	if err != nil {
		return fmt.Errorf("end sessions in database %s: %w", name, err)
	}
	return nil
}
