package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"multitenant/database"
)

// newConnector opens the file at path, which must be there.
func (b *backend) newConnector(path string, check database.Check) *connector {
	dial := dialFile(path)
	counted := func(ctx context.Context, gone func()) (database.Physical, error) {
		b.connections.Add(1)
		return dial(ctx, func() {
			b.connections.Add(-1)
			b.clearAway(path)
			gone()
		})
	}
	return &connector{driver: noDriver{}, dial: counted, check: check}
}

// noDriver is what database/sql may ask a pool for; nobody opens by it.
type noDriver struct{}

// Open refuses: connections come from a connector.
func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("open by a connector")
}

func dialFile(path string) dialer {
	dsn := dsnOf(path)
	return func(ctx context.Context, gone func()) (database.Physical, error) {
		conn, err := connectFile(ctx, path, dsn, gone)
		if err != nil {
			gone()
			return nil, err
		}
		return conn, nil
	}
}

func connectFile(ctx context.Context, path, dsn string, gone func()) (database.Physical, error) {
	// Looked at before, so that a file put in its place meanwhile is found out later.
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, database.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("find database file: %w", err)
	}
	base, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database file: %w", err)
	}
	conn, err := base.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open database file: %w", err)
	}
	made, ok := conn.(database.Physical)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open database file: driver made a %T", conn), conn.Close())
	}
	return &fileConn{Physical: made, path: path, file: file, gone: gone}, nil
}

// dsnOf says how a connection is to behave. The driver applies the
// parameters in an order of its own, busy_timeout first.
func dsnOf(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/…
	}
	query := url.Values{
		"mode":          {"rw"}, // opening never makes a file
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"on"},
		"_synchronous":  {"NORMAL"},
		"_txlock":       {"immediate"},
		"_timezone":     {"UTC"},
		"_time_format":  {driverName},
		"_defensive":    {"1"},
		"_pragma":       {"trusted_schema(0)"},
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query.Encode()}).String()
}

// fileConn is modernc's connection, except that it notices when its file is no
// longer the one at the path: it would go on with a deleted or renamed one.
type fileConn struct {
	database.Physical
	path string
	file fs.FileInfo
	gone func()
	once sync.Once
}

// ResetSession is called before a connection is used again.
func (c *fileConn) ResetSession(ctx context.Context) error {
	file, err := os.Lstat(c.path)
	if err != nil || !os.SameFile(file, c.file) {
		return driver.ErrBadConn
	}
	return c.Physical.ResetSession(ctx)
}

// Unwrap is how modernc.org/sqlite finds its own connection.
func (c *fileConn) Unwrap() driver.Conn { return c.Physical }

// Close closes the files.
func (c *fileConn) Close() error {
	err := c.Physical.Close()
	c.once.Do(c.gone)
	return err
}

// confined adds to a check that the connection can reach no other file.
func confined(check database.Check) database.Check {
	return func(ctx context.Context, q database.Querier) error {
		conn, ok := q.(*sql.Conn)
		if !ok {
			return fmt.Errorf("confine connection: got a %T", q)
		}
		if _, err := sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_ATTACHED, 0); err != nil {
			return fmt.Errorf("confine connection: %w", err)
		}
		if check == nil {
			return nil
		}
		return check(ctx, q)
	}
}
