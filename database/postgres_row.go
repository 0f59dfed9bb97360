package database

import (
	"context"
	"database/sql"
	"fmt"
)

// postgresPool is database/sql's pool with a short way for what runs at every
// request: a statement that answers one row.
type postgresPool struct{ *sql.DB }

// GetDBConn returns the pool itself; GORM asks for it.
func (p postgresPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// ScanRow runs a query that answers one row and scans it into dest; no row is
// sql.ErrNoRows. The connection is the pool's, but the row is read by pgx
// itself: database/sql would start a goroutine and make a closure for each
// column of each answer.
func (p postgresPool) ScanRow(ctx context.Context, dest []any, query string, args ...any) error {
	conn, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(physical any) error {
		made, ok := physical.(*postgresConn)
		if !ok {
			return fmt.Errorf("read row: driver made a %T", physical)
		}
		return made.Conn.Conn().QueryRow(ctx, query, args...).Scan(dest...)
	})
	_ = conn.Close() // it goes back into the pool, which closes it if it is broken
	return err
}
