package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database/pool"
)

// gormPool is a database/sql pool with a shorter way for queries of one row, which
// run at every request.
type gormPool struct {
	*sql.DB
	share   *pool.Share
	lookups *lookups
}

func newGORMPool(handles *sql.DB, s *pool.Share) gormPool {
	p := gormPool{DB: handles, share: s}
	p.lookups = newLookups(s.Context(), p.answer)
	return p
}

// GetDBConn returns the pool itself; GORM asks for it.
func (p gormPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// ScanRow runs a query for one row and scans it into dest; no row is sql.ErrNoRows.
// pgx reads the row directly, since database/sql starts a goroutine for each query.
// Concurrent queries may go in one message, see lookups.
func (p gormPool) ScanRow(ctx context.Context, dest []any, query string, args ...any) error {
	l := p.lookups.join(dest, query, args)
	if l != nil {
		return l.await(ctx)
	}
	began := time.Now()
	defer func() { p.lookups.leave(time.Since(began)) }() //nolint:contextcheck // those who wait have time of their own
	conn, taken, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.share.Give(taken)
	return conn.QueryRow(ctx, query, args...).Scan(dest...)
}

// answer sends queries in one message and reads their answers. The server skips all
// queries after one that fails, so answer sends those again, each by itself.
func (p gormPool) answer(ctx context.Context, all []*lookup) error {
	conn, taken, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.share.Give(taken)
	batch := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, 0, len(all))}
	for _, l := range all {
		batch.Queue(l.query, l.args...)
	}
	answers := conn.SendBatch(ctx, batch)
	var alone []*lookup
	for i, l := range all {
		rows, _ := answers.Query() // rows.Err returns it as well
		if err := l.scan(rows); isServerError(err) {
			alone = all[i+1:]
			break
		}
	}
	err = answers.Close()
	for _, l := range alone {
		rows, _ := conn.Query(ctx, l.query, l.args...)
		_ = l.scan(rows) // scan has told the caller
	}
	return err
}

func isServerError(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok
}

// take returns a connection, and the pool's own value for it to give back.
func (p gormPool) take(ctx context.Context) (*pgx.Conn, *pool.Conn, error) {
	taken, err := p.share.Take(ctx)
	if err != nil {
		return nil, nil, err
	}
	mine, err := connOf(taken)
	if err != nil {
		return nil, nil, err
	}
	return mine.Conn.Conn(), taken, nil
}
