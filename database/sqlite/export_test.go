package sqlite

import (
	"context"
	"errors"

	"multitenant/database"
)

// CrossUnconfined makes the trials of statements on a connection to a file that is
// not confined.
func CrossUnconfined(ctx context.Context, engine database.Backend, c *database.Crossing) (trials []database.Trial, err error) {
	b, ok := engine.(*backend)
	if !ok {
		return nil, errors.New("the engine is not SQLite")
	}
	db, err := b.open(ctx, b.newConnector(b.path(c.From.Name), nil), 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, database.Close(db)) }()
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
