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
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"multitenant/database"
)

const (
	// maxOpen bounds open files: a database opens two files for each connection and
	// one for shared memory, so 64 tenants and core need at most 64*9 + 17. The usual
	// limit is 1024.
	maxOpen         = 64
	coreConnections = 8
	// maxLocks bounds the files that are open for locks.
	maxLocks = 64
	// tenantConnections lets a few requests read side by side.
	tenantConnections = 4
	// idleLimit is the time after which an unused connection closes its files.
	idleLimit = 30 * time.Second

	driverName = "sqlite" // the scheme of the URL, the driver, and its format of times
	folderMode = 0o700
	fileMode   = 0o600
	extension  = ".db"
)

type backend struct {
	dir   string // absolute
	name  string // of the core database's file, without the extension if it has ours
	file  string // the core database's path
	core  *gorm.DB
	probe probe
	log   *slog.Logger
	keys  database.KeyLocks // locks inside this process, before those on files

	connections atomic.Int64 // open now
	copies      sync.Once    // that dead processes have left are cleared away
}

// Open opens the core database. It creates a missing file and its folder, unless
// o.Existing is set.
func Open(ctx context.Context, o database.Options) (database.Backend, error) {
	path, err := parseSQLiteURL(o.URL)
	if err != nil {
		return nil, err
	}
	b := &backend{dir: filepath.Dir(path), name: strings.TrimSuffix(filepath.Base(path), extension), file: path, log: o.Logger}
	if err := b.ensureCore(path, o.Existing); err != nil {
		return nil, err
	}
	c := b.newConnector(path, nil)
	b.probe.connector = c
	if b.core, err = b.open(ctx, c, coreConnections); err != nil {
		return nil, fmt.Errorf("open core database: %w", err)
	}
	return b, nil
}

// ensureCore makes the file of the core database when it is missing. With existing
// it returns an error instead.
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

// Place is the path of the core database's file.
func (b *backend) Place() string { return b.file }

// MaxOpen is bounded by the usual limit of open files.
func (b *backend) MaxOpen() int { return maxOpen }

// OpensEarly is false: opening a file is quick, and one that is open cannot be renamed.
func (*backend) OpensEarly() bool { return false }

// MaxLocks is large: a lock is an open file.
func (*backend) MaxLocks() int { return maxLocks }

// Close closes the core database.
func (b *backend) Close() error { return database.Close(b.core) }

// OpenDatabase opens a tenant's file.
func (b *backend) OpenDatabase(ctx context.Context, name string, check database.Check) (*gorm.DB, error) {
	if err := b.checkTenant(name); err != nil {
		return nil, err
	}
	c := b.newConnector(b.path(name), confined(check))
	db, err := b.open(ctx, c, tenantConnections)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return db, nil
}

// checkTenant refuses the core database and a missing one.
func (b *backend) checkTenant(name string) error {
	exists, err := b.exists(name)
	if err == nil && b.isCore(name) {
		err = fmt.Errorf("%w: it is the core database", database.ErrForeign)
	}
	if err == nil && !exists {
		err = database.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("open database %s: %w", name, err)
	}
	return nil
}

// OpenTenant is OpenDatabase, but for a database that was replaced: a file knows no roles.
func (b *backend) OpenTenant(ctx context.Context, name string, _ database.Login, check database.Check) (*gorm.DB, error) {
	return b.OpenDatabase(ctx, name, inPlace(check))
}

// Roles is nil: each database is a file, and a connection cannot attach another.
func (*backend) Roles() database.Roles { return nil }

// Stats counts connections; SQLite has no pool that databases share.
func (b *backend) Stats() database.Stats {
	return database.Stats{Connections: int(b.connections.Load())}
}

// exists reports whether there is a database of that name.
func (b *backend) exists(name string) (bool, error) {
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

// isCore ignores case, as some file systems do.
func (b *backend) isCore(name string) bool { return strings.EqualFold(name, b.name) }

// path is for names that passed database.CheckName: they have no separators.
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

// ensureWAL switches a database to write-ahead logging, which is permanent. Only a
// new core database, one whose creation was interrupted, and one that came from a
// backup still need it.
func (b *backend) ensureWAL(ctx context.Context, db *gorm.DB) error {
	mode, err := journalMode(ctx, db, "")
	if err != nil || mode == "wal" {
		return err
	}
	// Of two processes that switch at once, one would get SQLITE_BUSY.
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

// dialector is GORM's dialector with the error codes of another driver.
type dialector struct{ *sqlite.Dialector }

func newDialector(db *sql.DB) gorm.Dialector {
	return dialector{&sqlite.Dialector{DriverName: driverName, Conn: db}}
}

// Translate turns errors of the driver into those of GORM.
func (dialector) Translate(err error) error { return translate(err) }
