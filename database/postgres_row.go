package database

import (
	"context"
	"database/sql"
)

// postgresPool is database/sql's pool with a short way for what runs at every
// request: a statement that answers one row.
type postgresPool struct {
	*sql.DB
	share *share
}

// GetDBConn returns the pool itself; GORM asks for it.
func (p postgresPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// ScanRow runs a query that answers one row and scans it into dest; no row is
// sql.ErrNoRows. The row is read by pgx itself: database/sql would start a
// goroutine and make a closure for each column of each answer.
func (p postgresPool) ScanRow(ctx context.Context, dest []any, query string, args ...any) error {
	taken, err := p.share.take(ctx)
	if err != nil {
		return err
	}
	conn, err := postgresOf(taken)
	if err != nil {
		return err
	}
	defer p.share.give(taken)
	return conn.Conn.Conn().QueryRow(ctx, query, args...).Scan(dest...)
}
