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

// newConnector makes connections to the file at path, which must exist.
func (b *backend) newConnector(path string, check database.Check) *connector {
	return b.connectorTo(path, dsnOf(path, "rw"), check)
}

func (b *backend) connectorTo(path, dsn string, check database.Check) *connector {
	dial := dialFile(path, dsn)
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

// noDriver satisfies database/sql, which asks each pool for its driver.
type noDriver struct{}

// Open refuses: connections come from a connector.
func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("open by a connector")
}

func dialFile(path, dsn string) dialer {
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
	// Read first, so that a later check notices a file that replaced this one.
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

// dsnOf returns the settings of a connection in a mode of SQLite's, which must not be one
// that makes a file. The driver applies busy_timeout first.
func dsnOf(path, mode string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/…
	}
	query := url.Values{
		"mode":          {mode},
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

// fileConn is a connection that notices when its file is no longer the one at the
// path. The driver alone would go on with a deleted or renamed file. It also notices that
// it may not write, which it never could again.
type fileConn struct {
	database.Physical
	path       string
	file       fs.FileInfo
	isReadOnly bool
	gone       func()
	once       sync.Once
}

// IsValid is asked by database/sql, which closes the connection if it is not.
func (c *fileConn) IsValid() bool { return !c.isReadOnly && c.Physical.IsValid() }

// ExecContext calls the driver.
func (c *fileConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Physical.ExecContext(ctx, query, args)
	return result, c.note(err)
}

// QueryContext calls the driver.
func (c *fileConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Physical.QueryContext(ctx, query, args)
	return rows, c.note(err)
}

// BeginTx calls the driver.
func (c *fileConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Physical.BeginTx(ctx, opts)
	return tx, c.note(err)
}

func (c *fileConn) note(err error) error {
	c.isReadOnly = c.isReadOnly || hasCode(err, sqlite3.SQLITE_READONLY)
	return err
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

// confined returns a check that also keeps the connection from attaching other
// files.
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
