// Package sqlite is the embedded engine: a file for each database, in one folder.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"multitenant/database"
)

const (
	// maxOpen keeps open files low: an open database costs a file for each
	// connection, one for each connection's log and one for the shared memory, so
	// 64 tenants and core need at most 64*9 + 17, below the usual limit of 1024.
	maxOpen         = 64
	coreConnections = 8
	// tenantConnections lets a few requests read side by side.
	tenantConnections = 4
	// idleLimit lets files of databases nobody uses be closed.
	idleLimit = 30 * time.Second

	driverName = "sqlite" // of the URL's scheme, the driver and its way to write times
	folderMode = 0o700
	fileMode   = 0o600
	extension  = ".db"
)

type backend struct {
	dir  string // absolute
	name string // of the core database's file, without the extension if it has ours
	core *gorm.DB
	log  *slog.Logger
	keys database.KeyLocks // locks inside this process, before those on files

	connections atomic.Int64 // open now
}

// Open opens the core database. It creates a missing file and its folder, unless
// o.Existing is set.
func Open(ctx context.Context, o database.Options) (database.Backend, error) {
	path, err := parseSQLiteURL(o.URL)
	if err != nil {
		return nil, err
	}
	b := &backend{dir: filepath.Dir(path), name: strings.TrimSuffix(filepath.Base(path), extension), log: o.Logger}
	if err := b.ensureCore(path, o.Existing); err != nil {
		return nil, err
	}
	c := b.newConnector(path, nil)
	if b.core, err = b.open(ctx, c, coreConnections); err != nil {
		return nil, fmt.Errorf("open core database: %w", err)
	}
	return b, nil
}

// ensureCore makes the core database's file where it is missing, unless it must
// be there already.
func (b *backend) ensureCore(path string, existing bool) error {
	if existing {
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("core %w: %s: run migrate or serve first", database.ErrNotExist, b.name)
		}
		return err
	}
	if err := os.MkdirAll(b.dir, folderMode); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode) //nolint:gosec // the path is a setting
	switch {
	case err == nil:
		err = file.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("make core database: %w", err)
	}
	return nil
}

func parseSQLiteURL(raw string) (string, error) {
	path := strings.TrimPrefix(raw, "sqlite://")
	if path == "" || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "?\x00") || strings.Contains(path, ":memory:") {
		return "", errors.New("database URL must be sqlite:// and the path of a file, without parameters")
	}
	absolute, err := filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return "", fmt.Errorf("find core database: %w", err)
	}
	return absolute, nil
}

// Core returns the core database.
func (b *backend) Core() *gorm.DB { return b.core }

// MaxOpen is what the usual limit of open files has room for.
func (b *backend) MaxOpen() int { return maxOpen }

// Close closes the core database.
func (b *backend) Close() error { return database.Close(b.core) }

// OpenDatabase opens a tenant's file.
func (b *backend) OpenDatabase(ctx context.Context, name string, check database.Check) (*gorm.DB, error) {
	exists, err := b.Exists(ctx, name)
	if err == nil && b.isCore(name) {
		err = fmt.Errorf("%w: it is the core database", database.ErrForeign)
	}
	if err == nil && !exists {
		err = database.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	c := b.newConnector(b.path(name), confined(check))
	db, err := b.open(ctx, c, tenantConnections)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return db, nil
}

// OpenTenant is OpenDatabase: a file knows no roles.
func (b *backend) OpenTenant(ctx context.Context, name string, _ database.Login, check database.Check) (*gorm.DB, error) {
	return b.OpenDatabase(ctx, name, check)
}

// Stats counts connections; nobody waits for one of another database.
func (b *backend) Stats() database.Stats {
	return database.Stats{Connections: int(b.connections.Load())}
}

// Exists looks for the file.
func (b *backend) Exists(_ context.Context, name string) (bool, error) {
	if err := database.CheckName(name); err != nil {
		return false, err
	}
	found, err := os.Lstat(b.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for database %s: %w", name, err)
	}
	if !found.Mode().IsRegular() {
		// A link could lead out of the folder.
		return false, fmt.Errorf("%w: %s is no plain file", database.ErrForeign, name)
	}
	return true, nil
}

// isCore compares as file systems do that know no case.
func (b *backend) isCore(name string) bool { return strings.EqualFold(name, b.name) }

// path is only for names that passed checkName: they have no separators.
func (b *backend) path(name string) string { return filepath.Join(b.dir, name+extension) }

func (b *backend) open(ctx context.Context, c *connector, connections int) (*gorm.DB, error) {
	handles, err := database.ConnectOnce(ctx, c, database.Limits{Connections: connections, IdleConnections: connections, Idle: idleLimit})
	if err != nil {
		return nil, err
	}
	db, err := database.OpenGORM(handles, newDialector(handles), b.log)
	if err != nil {
		return nil, err
	}
	if err := b.ensureWAL(ctx, db); err != nil {
		return nil, errors.Join(err, database.Close(db))
	}
	return db, nil
}

// ensureWAL switches a database to write-ahead logging once, for ever. Usually
// it is by now; not so the core database at its first start, one whose making
// was cut short, and one that came from a backup.
func (b *backend) ensureWAL(ctx context.Context, db *gorm.DB) error {
	mode, err := journalMode(ctx, db, "")
	if err != nil || mode == "wal" {
		return err
	}
	// Two processes that switch at once would tell each other to go away.
	unlock, err := b.lockFile(ctx, "write-ahead log of "+b.dir)
	if err != nil {
		return err
	}
	defer unlock()
	mode, err = journalMode(ctx, db, " = WAL")
	if err == nil && mode != "wal" {
		err = fmt.Errorf("switch to write-ahead logging: database stays in mode %s", mode)
	}
	return err
}

func journalMode(ctx context.Context, db *gorm.DB, assignment string) (mode string, err error) {
	err = db.WithContext(ctx).Raw("PRAGMA journal_mode" + assignment).Row().Scan(&mode)
	if err != nil {
		return "", fmt.Errorf("journal mode: %w", translate(err))
	}
	return mode, nil
}

// dialector is GORM's for another driver, whose errors it does not know.
type dialector struct{ *sqlite.Dialector }

func newDialector(db *sql.DB) gorm.Dialector {
	return dialector{&sqlite.Dialector{DriverName: driverName, Conn: db}}
}

// Translate makes GORM's errors of the driver's.
func (dialector) Translate(err error) error { return translate(err) }
