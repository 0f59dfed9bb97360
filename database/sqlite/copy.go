package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/database"
)

// copyPrefix begins the name of a file that a database is copied to, before it is read
// from there. A dot keeps it clear of databases.
const copyPrefix = ".copy-"

// Layout is empty: a copy of a file has all that the file has.
func (*backend) Layout(context.Context, []*gormigrate.Migration) (database.Layout, error) {
	return database.Layout{}, nil
}

// CheckDump refuses: a copy of a file has all that the file has.
func (*backend) CheckDump(context.Context, string) error {
	return fmt.Errorf("%w: pg_dump is for PostgreSQL, and backups of SQLite have everything", database.ErrNoDump)
}

// ReadDump lets feed write to nothing, since there is no dump.
func (*backend) ReadDump(_ context.Context, _ string, feed func(io.Writer) error) error {
	return feed(io.Discard)
}

// LoadDump refuses: no copy of a file has a dump.
func (b *backend) LoadDump(ctx context.Context, _, program string, _ func(io.Writer) error) error {
	return b.CheckDump(ctx, program)
}

// Copy copies the database to a file beside it by VACUUM INTO, which others do not
// wait for, and hands that file on. It needs a connection of its own: those that
// serve a tenant are kept from attaching files, and VACUUM INTO attaches one.
func (b *backend) Copy(ctx context.Context, source *database.Source, sink database.Sink) error {
	if !source.Outside.IsNone() {
		return b.copyOutside(ctx, source, sink)
	}
	name := source.Name
	if name == "" {
		name = b.name
	} else if exists, err := b.exists(name); err != nil || !exists {
		return fmt.Errorf("open database %s: %w", name, errors.Join(err, missing(exists)))
	}
	path := b.path(name)
	if source.Name == "" {
		path = b.file
	}
	err := b.copyFile(ctx, source, sink, func(target string) error { return b.vacuumInto(ctx, path, target, source.Check) })
	if fault, ok := errors.AsType[*copyError](err); ok {
		err = errors.New(fault.Error()) // its kind says nothing of the database itself
	}
	if err != nil {
		return fmt.Errorf("copy database %s: %w", name, err)
	}
	return nil
}

func missing(exists bool) error {
	if exists {
		return nil
	}
	return database.ErrNotExist
}

// copyFile hands on the file that fill has filled. The file is removed afterwards.
func (b *backend) copyFile(
	ctx context.Context, source *database.Source, sink database.Sink, fill func(target string) error,
) (err error) {
	b.copies.Do(b.clearCopies)
	target := filepath.Join(b.dir, copyPrefix+rand.Text()+extension)
	unlock, err := b.lockFile(ctx, copyLock(target)) // before there is a file that could be cleared away
	if err != nil {
		return err
	}
	defer unlock()
	defer func() { err = errors.Join(err, removeDatabase(target)) }()
	// VACUUM INTO takes an empty file, and would make one that others can read.
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode) //nolint:gosec // a random name in our folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := fill(target); err != nil {
		return err
	}
	content, err := b.describe(ctx, target, source.Check)
	if err != nil {
		return &copyError{err}
	}
	if source.AsRows {
		return b.copyRows(ctx, target, content, sink)
	}
	if err := sink.Describe(content); err != nil {
		return err
	}
	found, err := file.Stat()
	if err != nil {
		return err
	}
	return sink.File(found.Size(), file)
}

// copyError says why a copy is no good.
type copyError struct{ cause error }

// Error says so.
func (e *copyError) Error() string { return "examine the copy: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *copyError) Unwrap() error { return e.cause }

// copyLock is the key of the lock that is held while a copy is in use.
func copyLock(path string) string { return "copy " + path }

// clearCopies removes the copies that dead processes have left.
func (b *backend) clearCopies() {
	entries, err := os.ReadDir(b.dir)
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, copyPrefix) {
			for _, suffix := range companions() {
				name = strings.TrimSuffix(name, suffix)
			}
			err = errors.Join(err, b.clearCopy(filepath.Join(b.dir, name)))
		}
	}
	if err != nil {
		b.log.Warn("clear away copies that were left", "error", err)
	}
}

func (b *backend) clearCopy(path string) error {
	lock, err := b.tryFile(copyLock(path))
	if err != nil || lock == nil {
		return err // it is in use
	}
	defer removeLock(lock)
	return removeDatabase(path)
}

func (b *backend) vacuumInto(ctx context.Context, path, target string, check database.Check) error {
	return b.onOwnConn(ctx, path, check, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "VACUUM INTO ?", target)
		return err
	})
}

// describe examines a copy: a broken one can pass the check of its integrity, but
// then it has no stamp and no tables.
func (b *backend) describe(ctx context.Context, path string, check database.Check) (*database.Content, error) {
	content := &database.Content{Engine: driverName, Sequences: []database.ContentSequence{}, Unexplained: []string{}}
	err := b.onOwnConn(ctx, path, check, func(conn *sql.Conn) error {
		var verdict string
		if err := conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("it is damaged: %s", verdict)
		}
		if err := conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&content.EngineVersion); err != nil {
			return err
		}
		var err error
		if content.Applied, err = listNames(ctx, conn, "SELECT id FROM schema_migrations ORDER BY id"); err != nil {
			return err
		}
		content.Tables, err = countRows(ctx, conn)
		return err
	})
	return content, err
}

func countRows(ctx context.Context, conn *sql.Conn) ([]database.ContentTable, error) {
	names, err := listNames(ctx, conn, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, err
	}
	tables := make([]database.ContentTable, len(names))
	for i, name := range names {
		tables[i].Name = name
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quoteName(name)).Scan(&tables[i].Rows); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

func listNames(ctx context.Context, conn *sql.Conn, query string, args ...any) (names []string, err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// onOwnConn lends use a connection that is confined by nothing but check.
func (b *backend) onOwnConn(ctx context.Context, path string, check database.Check, use func(*sql.Conn) error) error {
	handles, err := database.ConnectOnce(ctx, b.newConnector(path, check), database.Limits{Connections: 1})
	if err != nil {
		return err
	}
	conn, err := handles.Conn(ctx)
	if err != nil {
		return errors.Join(err, handles.Close())
	}
	return errors.Join(use(conn), conn.Close(), handles.Close())
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteColumns lists the names of columns for a statement.
func quoteColumns(columns []database.ContentColumn) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = quoteName(column.Name)
	}
	return strings.Join(names, ", ")
}
