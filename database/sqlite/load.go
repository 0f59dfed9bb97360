package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"multitenant/database"
)

// Load puts the file of a copy in the place of a database.
func (b *backend) Load(ctx context.Context, name string, feed func(database.Fill) error) error {
	exists, err := b.exists(name)
	if err == nil && b.isCore(name) {
		err = fmt.Errorf("%w: it is the core database", database.ErrForeign)
	}
	if err = errors.Join(err, missing(exists)); err != nil {
		return fmt.Errorf("open database %s: %w", name, err)
	}
	l := &loader{ctx: ctx, backend: b, path: b.path(name)}
	if err = b.load(ctx, l, feed); err == nil {
		err = b.reopen(ctx, name) // the original may have been closed by a killed process
	}
	if err != nil {
		return fmt.Errorf("load database %s: %w", name, err)
	}
	return nil
}

func (b *backend) load(ctx context.Context, l *loader, feed func(database.Fill) error) error {
	// A log that is left would be applied to the new content.
	if err := b.checkpoint(ctx, l.path); err != nil {
		return err
	}
	if err := l.feed(feed); err != nil {
		return err
	}
	if l.content == nil || !l.hasFile && l.rows == nil {
		return fmt.Errorf("%w: it has no file", database.ErrUnloadable)
	}
	found, err := b.describe(ctx, l.path, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", database.ErrUnloadable, err)
	}
	if !slices.Equal(found.Applied, l.content.Applied) {
		return fmt.Errorf("%w: its migrations are not as it says", database.ErrUnloadable)
	}
	if l.rows == nil && !slices.EqualFunc(found.Tables, l.content.Tables, isLike) {
		return fmt.Errorf("%w: its tables do not have as many rows as it says", database.ErrUnloadable)
	}
	return b.onOwnConn(ctx, l.path, nil, func(conn *sql.Conn) error { return checkKeys(ctx, conn) })
}

func isLike(a, b database.ContentTable) bool { return a.Name == b.Name && a.Rows == b.Rows }

// checkKeys requires that each foreign key leads to a row.
func checkKeys(ctx context.Context, conn *sql.Conn) error {
	tables, err := listNames(ctx, conn, `SELECT DISTINCT "table" FROM pragma_foreign_key_check`)
	if err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("%w: a foreign key of table %s leads nowhere", database.ErrUnloadable, tables[0])
	}
	return nil
}

// loader takes one copy.
type loader struct {
	ctx     context.Context // of Load; the methods of a Fill are given none
	backend *backend
	path    string
	content *database.Content
	hasFile bool
	rows    *rowLoader // of a copy of any engine
}

// feed fills the database, and keeps the rows that were loaded.
func (l *loader) feed(feed func(database.Fill) error) error {
	err := feed(l)
	if l.rows != nil {
		err = l.rows.end(err)
	}
	return err
}

// Describe notes what the file must have.
func (l *loader) Describe(content *database.Content) (err error) {
	if content.Engine == database.AnyEngine {
		l.content = content
		l.rows, err = l.backend.loadRows(l.ctx, l.path, content)
		return err
	}
	if content.Engine != driverName {
		return fmt.Errorf("%w: of %s", database.ErrOtherEngine, content.Engine)
	}
	l.content = content
	return nil
}

// Table loads the rows of a copy of any engine. One of this engine is a file.
func (l *loader) Table(name string, rows io.Reader) (int64, error) {
	if l.rows != nil {
		return l.rows.table(name, rows)
	}
	return 0, fmt.Errorf("%w: it has rows of table %s beside its file", database.ErrUnloadable, name)
}

// File writes the file.
func (l *loader) File(content io.Reader) error {
	if l.hasFile || l.rows != nil {
		return fmt.Errorf("%w: it has two files", database.ErrUnloadable)
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	l.hasFile = true
	return errors.Join(err, file.Close())
}
