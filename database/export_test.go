package database

import (
	"context"
	"errors"
)

// CrossUnconfined makes the trials of statements on a connection to a file that
// nothing was taken from.
func CrossUnconfined(ctx context.Context, backend Backend, c *Crossing) (trials []Trial, err error) {
	b, ok := backend.(*sqliteBackend)
	if !ok {
		return nil, errors.New("only SQLite confines its connections")
	}
	db, err := b.open(ctx, newSQLiteConnector(b.path(c.From.Name), nil), 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, Close(db)) }()
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return b.tryStatements(ctx, conn, c.Others), conn.Close()
}
