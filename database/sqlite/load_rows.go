package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"multitenant/database"
)

// rowLoader loads the rows of a copy of any engine, in one transaction.
type rowLoader struct {
	ctx     context.Context // of Load; the methods of a Fill are given none
	handles *sql.DB
	tx      *sql.Tx
	content *database.Content
	kinds   map[string]map[string]database.ValueKind // of the columns here, by the names of their tables
}

// loadRows begins to load rows. The caller must call end. Foreign keys are checked at the
// end, all else at once.
func (b *backend) loadRows(ctx context.Context, path string, content *database.Content) (*rowLoader, error) {
	handles, err := database.ConnectOnce(ctx, b.newConnector(path, nil), database.Limits{Connections: 1})
	if err != nil {
		return nil, err
	}
	l := &rowLoader{ctx: ctx, handles: handles, content: content, kinds: map[string]map[string]database.ValueKind{}}
	if err := l.begin(); err != nil {
		return nil, l.end(err)
	}
	return l, nil
}

func (l *rowLoader) begin() error {
	conn, err := l.handles.Conn(l.ctx)
	if err != nil {
		return err
	}
	for i := range l.content.Tables {
		if err := l.compare(conn, &l.content.Tables[i]); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	if err := conn.Close(); err != nil { // back to the pool, which has no other
		return err
	}
	if l.tx, err = l.handles.BeginTx(l.ctx, nil); err != nil {
		return err
	}
	statements := []string{"PRAGMA defer_foreign_keys = ON"}
	for i := range l.content.Tables {
		statements = append(statements, "DELETE FROM "+quoteName(l.content.Tables[i].Name))
	}
	for _, statement := range statements {
		if _, err := l.tx.ExecContext(l.ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// compare requires that the database has the columns of the copy.
func (l *rowLoader) compare(conn *sql.Conn, table *database.ContentTable) error {
	here, err := columnsOf(l.ctx, conn, table.Name)
	if err != nil {
		return err
	}
	kinds := map[string]database.ValueKind{}
	for _, column := range here {
		kinds[column.Name] = column.Kind
	}
	for _, column := range table.Columns {
		if kinds[column.Name] == "" {
			return fmt.Errorf("%w: no migration makes its column %s.%s", database.ErrUnloadable, table.Name, column.Name)
		}
	}
	l.kinds[table.Name] = kinds
	return nil
}

// table loads the rows of a table.
func (l *rowLoader) table(name string, rows io.Reader) (int64, error) {
	for i := range l.content.Tables {
		if l.content.Tables[i].Name == name {
			return l.insert(&l.content.Tables[i], rows)
		}
	}
	return 0, fmt.Errorf("%w: it does not describe its table %s", database.ErrUnloadable, name)
}

func (l *rowLoader) insert(table *database.ContentTable, rows io.Reader) (count int64, err error) {
	columns := len(table.Columns)
	kinds := make([]database.ValueKind, columns)
	for i, column := range table.Columns {
		kinds[i] = l.kinds[table.Name][column.Name]
	}
	places := strings.TrimSuffix(strings.Repeat("?, ", columns), ", ")
	query := "INSERT INTO " + quoteName(table.Name) + " (" + quoteColumns(table.Columns) + ") VALUES (" + places + ")" //nolint:gosec // all names are quoted
	statement, err := l.tx.PrepareContext(l.ctx, query)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	bound := make([]any, columns)
	return database.EachRow(rows, columns, func(values []*string) error {
		for i, value := range values {
			var err error
			if bound[i], err = valueOf(value, kinds[i]); err != nil {
				return fmt.Errorf("%w: table %s: column %s: %w", database.ErrUnloadable, table.Name, table.Columns[i].Name, err)
			}
		}
		_, err := statement.ExecContext(l.ctx, bound...)
		return unloadable("load table "+table.Name, err)
	})
}

// valueOf reads a value that PostgreSQL or textOf has written. An error repeats no value.
func valueOf(text *string, kind database.ValueKind) (any, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // it is NULL
	}
	var value any
	var err error
	switch kind {
	case database.ValueInteger:
		value, err = strconv.ParseInt(*text, 10, 64)
	case database.ValueBoolean:
		value, err = strconv.ParseBool(*text)
	case database.ValueTime:
		value, err = time.Parse(time.RFC3339Nano, *text)
	case database.ValueBytes:
		value, err = hex.DecodeString(strings.TrimPrefix(*text, `\x`))
	case database.ValueNumber, database.ValueText:
		value = *text // SQLite makes a number of it where the column has numbers
	}
	if err != nil {
		return nil, fmt.Errorf("a value is no %s", kind)
	}
	return value, nil
}

// unloadable says that SQLite refuses rows of a copy.
func unloadable(act string, err error) error {
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return fmt.Errorf("%w: %s: %w", database.ErrUnloadable, act, err)
	}
	return err
}

// end keeps the rows, unless there is an error, and closes the database.
func (l *rowLoader) end(err error) error {
	if err == nil {
		err = l.moveCounters()
	}
	switch {
	case l.tx == nil:
	case err != nil:
		err = errors.Join(err, l.tx.Rollback())
	default:
		err = unloadable("check keys", l.tx.Commit())
	}
	return errors.Join(err, l.handles.Close())
}

// moveCounters keeps the database from giving ids again that the copied one has given.
func (l *rowLoader) moveCounters() error {
	for i := range l.content.Tables {
		table := &l.content.Tables[i]
		for _, sequence := range l.content.Sequences {
			if sequence.Name != sequenceName(table.Name, "id") || !sequence.IsCalled {
				continue
			}
			if err := l.moveCounter(table.Name, sequence.LastValue); err != nil {
				return fmt.Errorf("set the last id of %s: %w", table.Name, err)
			}
		}
	}
	return nil
}

func (l *rowLoader) moveCounter(table string, last int64) error {
	counts, err := hasCounter(l.ctx, l.tx, table)
	if err != nil || !counts {
		return err
	}
	moved, err := l.tx.ExecContext(l.ctx, "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", last, table)
	if err != nil {
		return err
	}
	if rows, err := moved.RowsAffected(); err != nil || rows > 0 {
		return err
	}
	_, err = l.tx.ExecContext(l.ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, last)
	return err
}
