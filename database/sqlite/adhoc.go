package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"multitenant/database"
)

// printedTime is how SQLite's own functions print a time.
const printedTime = "2006-01-02 15:04:05.999999999-07:00"

// Execute runs the statement on a connection of its own: to read it opens the file for
// reading only. A watch on the connection lets nothing else be compiled, so that no other
// file is read or written either.
func (b *backend) Execute(ctx context.Context, e *database.Entry, s *database.Statement) (isCut bool, err error) {
	if err := s.Check(); err != nil {
		return false, err
	}
	if !isAlone(s.SQL) {
		return false, database.ErrNotAlone
	}
	if err := b.checkTenant(e.Name); err != nil {
		return false, err
	}
	mode, check := "ro", confined(e.Check)
	if s.Write {
		mode, check = "rw", confined(inPlace(e.Check))
	}
	path := b.path(e.Name)
	conn, err := b.connectorTo(path, dsnOf(path, mode), check).connect(ctx)
	if err != nil {
		return false, fmt.Errorf("open database %s: %w", e.Name, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }() // changes that are not committed are taken back
	err = database.Lend(ctx, conn, func(q *sql.Conn) error {
		isCut, err = runAlone(ctx, conn, q, &watch{entry: e, statement: s})
		return err
	})
	return isCut, err
}

// runAlone runs the statement of the watch in a transaction.
func runAlone(ctx context.Context, conn database.Physical, q *sql.Conn, w *watch) (isCut bool, err error) {
	s := w.statement
	begin := "PRAGMA query_only = 1; BEGIN"
	if s.Write {
		begin = "BEGIN IMMEDIATE"
	}
	if _, err := q.ExecContext(ctx, begin); err != nil {
		return false, translate(err)
	}
	if err := w.set(conn, w.judge); err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	isCut, err = read(limited, q, s)
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return false, fmt.Errorf("the statement was cancelled after %s", s.Timeout)
	case err != nil:
		return false, w.explain(err)
	case !s.Write:
		return isCut, nil
	}
	if err := s.BeforeCommit(ctx); err != nil {
		return false, err
	}
	if err := w.set(conn, nil); err != nil {
		return false, err
	}
	_, err = q.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	return isCut, translate(err)
}

// read hands the rows on. When SQLite gives the first row of a statement that writes, all is
// written.
func read(ctx context.Context, q *sql.Conn, s *database.Statement) (isCut bool, err error) {
	rows, err := q.QueryContext(ctx, s.SQL)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return false, err
	}
	if len(names) == 0 {
		return false, errors.Join(rows.Close(), readChanges(ctx, q, s))
	}
	if err := s.Columns(names); err != nil {
		return false, err
	}
	values, places := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		places[i] = &values[i]
	}
	for count := 0; rows.Next(); count++ {
		if count == s.MaxRows {
			return true, nil
		}
		if err := rows.Scan(places...); err != nil {
			return false, err
		}
		if err := s.Row(newCells(values)); err != nil {
			return false, err
		}
	}
	return false, rows.Err()
}

func readChanges(ctx context.Context, q *sql.Conn, s *database.Statement) error {
	var changes int64
	if err := q.QueryRowContext(ctx, "SELECT changes()").Scan(&changes); err != nil {
		return err
	}
	if err := s.Columns([]string{database.RowsAffected}); err != nil {
		return err
	}
	return s.Row([]database.Cell{{Text: strconv.FormatInt(changes, 10), IsJSON: true}})
}

func newCells(values []any) []database.Cell {
	cells := make([]database.Cell, len(values))
	for i, value := range values {
		switch value := value.(type) {
		case nil:
			cells[i].IsNull = true
		case []byte:
			cells[i].Text = `\x` + hex.EncodeToString(value)
		case time.Time:
			cells[i].Text = value.Format(printedTime)
		case int64, float64:
			cells[i].Text = fmt.Sprint(value)
			cells[i].IsJSON = json.Valid([]byte(cells[i].Text)) // not +Inf
		default:
			cells[i].Text = fmt.Sprint(value)
		}
	}
	return cells
}

// isAlone reports whether nothing follows the first statement. It need not be right about
// what SQLite would refuse: the watch judges every statement.
func isAlone(text string) bool {
	text = database.SkipBlank(text, ";")
	for text != "" {
		switch text[0] {
		case ';':
			return database.SkipBlank(text, ";") == ""
		case '\'', '"', '`':
			_, text, _ = strings.Cut(text[1:], text[:1]) // a doubled one begins another text
		case '[':
			_, text, _ = strings.Cut(text[1:], "]")
		default:
			rest := database.SkipBlank(text, "")
			if len(rest) == len(text) {
				rest = text[1:]
			}
			text = rest
		}
	}
	return true
}

// Client says how the shell of SQLite is started. In its safe mode it opens no other file
// and starts no program, but a user of the machine who may start it can do both without it.
func (b *backend) Client(e *database.Entry, write bool) (database.Client, error) {
	if err := b.checkTenant(e.Name); err != nil {
		return database.Client{}, err
	}
	args := []string{"-safe", "-cmd", "PRAGMA foreign_keys = ON", "-cmd", ".timeout 5000"}
	if !write {
		args = append(args, "-readonly")
	}
	return database.Client{Program: "sqlite3", Package: "sqlite3", Args: append(args, b.path(e.Name))}, nil
}
