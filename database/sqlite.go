package database

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
)

const (
	// sqliteTenants keeps open files low: an open database costs a file for each
	// connection, one for each connection's log and one for the shared memory, so
	// 64 tenants and core need at most 64*9 + 17, below the usual limit of 1024.
	sqliteTenants         = 64
	sqliteCoreConnections = 8
	// sqliteTenantConnections lets a few requests read side by side.
	sqliteTenantConnections = 4
	// sqliteIdle lets files of databases nobody uses be closed.
	sqliteIdle = 30 * time.Second

	sqliteName = "sqlite" // of the URL's scheme, the driver and its way to write times
	folderMode = 0o700
	fileMode   = 0o600
	extension  = ".db"
)

type sqliteBackend struct {
	dir  string // absolute
	name string // of the core database's file, without the extension if it has ours
	core *gorm.DB
	log  *slog.Logger
	keys keyed // locks inside this process, before those on files

	connections atomic.Int64 // open now
}

func openSQLite(ctx context.Context, o Options) (Backend, error) {
	path, err := parseSQLiteURL(o.URL)
	if err != nil {
		return nil, err
	}
	b := &sqliteBackend{dir: filepath.Dir(path), name: strings.TrimSuffix(filepath.Base(path), extension), log: o.Logger}
	if err := b.ensureCore(path, o.Existing); err != nil {
		return nil, err
	}
	c := b.newConnector(path, nil)
	if b.core, err = b.open(ctx, c, sqliteCoreConnections); err != nil {
		return nil, fmt.Errorf("open core database: %w", err)
	}
	return b, nil
}

// ensureCore makes the core database's file where it is missing, unless it must
// be there already.
func (b *sqliteBackend) ensureCore(path string, existing bool) error {
	if existing {
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("core %w: %s: run migrate or serve first", ErrNotExist, b.name)
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
func (b *sqliteBackend) Core() *gorm.DB { return b.core }

// MaxOpen is what the usual limit of open files has room for.
func (b *sqliteBackend) MaxOpen() int { return sqliteTenants }

// Close closes the core database.
func (b *sqliteBackend) Close() error { return Close(b.core) }

// OpenDatabase opens a tenant's file.
func (b *sqliteBackend) OpenDatabase(ctx context.Context, name string, check Check) (*gorm.DB, error) {
	exists, err := b.Exists(ctx, name)
	if err == nil && b.isCore(name) {
		err = fmt.Errorf("%w: it is the core database", ErrForeign)
	}
	if err == nil && !exists {
		err = ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	c := b.newConnector(b.path(name), confined(check))
	db, err := b.open(ctx, c, sqliteTenantConnections)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return db, nil
}

// OpenTenant is OpenDatabase: a file knows no roles.
func (b *sqliteBackend) OpenTenant(ctx context.Context, name string, _ Login, check Check) (*gorm.DB, error) {
	return b.OpenDatabase(ctx, name, check)
}

// Stats counts connections; nobody waits for one of another database.
func (b *sqliteBackend) Stats() Stats { return Stats{Connections: int(b.connections.Load())} }

// Exists looks for the file.
func (b *sqliteBackend) Exists(_ context.Context, name string) (bool, error) {
	if err := checkName(name); err != nil {
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
		return false, fmt.Errorf("%w: %s is no plain file", ErrForeign, name)
	}
	return true, nil
}

// isCore compares as file systems do that know no case.
func (b *sqliteBackend) isCore(name string) bool { return strings.EqualFold(name, b.name) }

// path is only for names that passed checkName: they have no separators.
func (b *sqliteBackend) path(name string) string { return filepath.Join(b.dir, name+extension) }

func (b *sqliteBackend) open(ctx context.Context, c *connector, connections int) (*gorm.DB, error) {
	handles, err := connectOnce(ctx, c, limits{connections, connections, sqliteIdle})
	if err != nil {
		return nil, err
	}
	db, err := openGORM(handles, newSQLiteDialector(handles), b.log)
	if err != nil {
		return nil, err
	}
	if err := b.ensureWAL(ctx, db); err != nil {
		return nil, errors.Join(err, Close(db))
	}
	return db, nil
}

// ensureWAL switches a database to write-ahead logging once, for ever. Usually
// it is by now; not so the core database at its first start, one whose making
// was cut short, and one that came from a backup.
func (b *sqliteBackend) ensureWAL(ctx context.Context, db *gorm.DB) error {
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
		return "", fmt.Errorf("journal mode: %w", translateSQLite(err))
	}
	return mode, nil
}

// sqliteDialector is GORM's for another driver, whose errors it does not know.
type sqliteDialector struct{ *sqlite.Dialector }

func newSQLiteDialector(db *sql.DB) gorm.Dialector {
	return sqliteDialector{&sqlite.Dialector{DriverName: sqliteName, Conn: db}}
}

// Translate makes GORM's errors of the driver's.
func (sqliteDialector) Translate(err error) error { return translateSQLite(err) }
