package database

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
)

// newConnector opens the file at path, which must be there.
func (b *sqliteBackend) newConnector(path string, check Check) *connector {
	dial := dialSQLite(path)
	counted := func(ctx context.Context, gone func()) (physical, error) {
		b.connections.Add(1)
		return dial(ctx, func() {
			b.connections.Add(-1)
			b.clearAway(path)
			gone()
		})
	}
	return &connector{driver: sqliteDriver{}, dial: counted, check: check}
}

// sqliteDriver is what database/sql may ask a pool for; nobody opens by it.
type sqliteDriver struct{}

// Open refuses: connections come from a connector.
func (sqliteDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("open by a connector")
}

func dialSQLite(path string) dialer {
	dsn := sqliteDSN(path)
	return func(ctx context.Context, gone func()) (physical, error) {
		conn, err := connectSQLite(ctx, path, dsn, gone)
		if err != nil {
			gone()
			return nil, err
		}
		return conn, nil
	}
}

func connectSQLite(ctx context.Context, path, dsn string, gone func()) (physical, error) {
	// Looked at before, so that a file put in its place meanwhile is found out later.
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotExist
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
	made, ok := conn.(physical)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open database file: driver made a %T", conn), conn.Close())
	}
	return &sqliteConn{physical: made, path: path, file: file, gone: gone}, nil
}

// sqliteDSN says how a connection is to behave. The driver applies the
// parameters in an order of its own, busy_timeout first.
func sqliteDSN(path string) string {
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
		"_time_format":  {sqliteName},
		"_defensive":    {"1"},
		"_pragma":       {"trusted_schema(0)"},
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query.Encode()}).String()
}

// sqliteConn is modernc's connection, except that it notices when its file is no
// longer the one at the path: it would go on with a deleted or renamed one.
type sqliteConn struct {
	physical
	path string
	file fs.FileInfo
	gone func()
	once sync.Once
}

// ResetSession is called before a connection is used again.
func (c *sqliteConn) ResetSession(ctx context.Context) error {
	file, err := os.Lstat(c.path)
	if err != nil || !os.SameFile(file, c.file) {
		return driver.ErrBadConn
	}
	return c.physical.ResetSession(ctx)
}

// Unwrap is how modernc.org/sqlite finds its own connection.
func (c *sqliteConn) Unwrap() driver.Conn { return c.physical }

// Close closes the files.
func (c *sqliteConn) Close() error {
	err := c.physical.Close()
	c.once.Do(c.gone)
	return err
}

// confined adds to a check that the connection can reach no other file.
func confined(check Check) Check {
	return func(ctx context.Context, q Querier) error {
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
