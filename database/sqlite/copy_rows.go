package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"multitenant/database"
)

// copyRows hands on the rows of a copied file.
func (b *backend) copyRows(ctx context.Context, path string, content *database.Content, sink database.Sink) error {
	return b.onOwnConn(ctx, path, nil, func(conn *sql.Conn) error {
		for i := range content.Tables {
			if err := explain(ctx, conn, content, &content.Tables[i]); err != nil {
				return fmt.Errorf("describe table %s: %w", content.Tables[i].Name, err)
			}
		}
		if err := sink.Describe(content); err != nil {
			return err
		}
		for i := range content.Tables {
			table := &content.Tables[i]
			err := sink.Table(table.Name, func(w io.Writer) (int64, error) { return writeRows(ctx, conn, table, w) })
			if err != nil {
				return fmt.Errorf("table %s: %w", table.Name, err)
			}
		}
		return nil
	})
}

// explain adds the columns of a table and its keys, and the id that it has given last, as
// the sequence that PostgreSQL would have.
func explain(ctx context.Context, conn *sql.Conn, content *database.Content, table *database.ContentTable) error {
	var err error
	if table.Columns, err = columnsOf(ctx, conn, table.Name); err != nil {
		return err
	}
	table.PrimaryKey, err = listNames(ctx, conn, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", table.Name)
	if err != nil {
		return err
	}
	keys, err := conn.QueryContext(ctx, `SELECT "from", "table", coalesce("to", 'id') FROM pragma_foreign_key_list(?) ORDER BY id, seq`, table.Name)
	if err != nil {
		return err
	}
	defer func() { _ = keys.Close() }() // keys.Err says what is wrong
	for keys.Next() {
		var key database.ContentReference
		if err := keys.Scan(&key.Column, &key.Table, &key.ToColumn); err != nil {
			return err
		}
		table.References = append(table.References, key)
	}
	if err := keys.Err(); err != nil {
		return err
	}
	counts, err := hasCounter(ctx, conn, table.Name)
	if err != nil || !counts || len(table.PrimaryKey) != 1 {
		return err
	}
	sequence := database.ContentSequence{Name: sequenceName(table.Name, table.PrimaryKey[0])}
	err = conn.QueryRowContext(ctx, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)", table.Name).Scan(&sequence.LastValue)
	if sequence.IsCalled = sequence.LastValue > 0; !sequence.IsCalled {
		sequence.LastValue = 1
	}
	content.Sequences = append(content.Sequences, sequence)
	return err
}

// hasCounter reports whether a table gives no id twice.
func hasCounter(ctx context.Context, on database.Querier, table string) (has bool, err error) {
	err = on.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? AND sql LIKE '%AUTOINCREMENT%')", table).Scan(&has)
	return has, err
}

// sequenceName is how PostgreSQL names the sequence of a column.
func sequenceName(table, column string) string { return table + "_" + column + "_seq" }

func columnsOf(ctx context.Context, conn *sql.Conn, table string) (columns []database.ContentColumn, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT name, type FROM pragma_table_info(?) ORDER BY cid", table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	for rows.Next() {
		var column database.ContentColumn
		if err := rows.Scan(&column.Name, &column.Type); err != nil {
			return nil, err
		}
		column.Kind = kindOf(column.Type)
		columns = append(columns, column)
	}
	return columns, rows.Err()
}

// kindOf is the kind of a declared type. GORM declares a boolean as numeric.
func kindOf(declared string) database.ValueKind {
	if strings.EqualFold(declared, "numeric") {
		return database.ValueBoolean
	}
	return database.KindOf(declared)
}

func writeRows(ctx context.Context, conn *sql.Conn, table *database.ContentTable, w io.Writer) (count int64, err error) {
	query := "SELECT " + quoteColumns(table.Columns) + " FROM " + quoteName(table.Name) //nolint:gosec // all names are quoted
	if len(table.PrimaryKey) > 0 {
		order := slices.Clone(table.PrimaryKey)
		for i := range order {
			order[i] = quoteName(order[i])
		}
		query += " ORDER BY " + strings.Join(order, ", ")
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	columns := len(table.Columns)
	found, places, values := make([]any, columns), make([]any, columns), make([]*string, columns)
	for i := range found {
		places[i] = &found[i]
	}
	var line []byte
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return count, err
		}
		for i := range found {
			values[i] = textOf(found[i], table.Columns[i].Kind)
		}
		line = database.AppendRow(line[:0], values)
		if _, err := w.Write(line); err != nil {
			return count, err
		}
		count++
	}
	return count, rows.Err()
}

// textOf writes a value as PostgreSQL would. A column may hold a value of any kind.
func textOf(value any, kind database.ValueKind) *string {
	var text string
	switch value := value.(type) {
	case nil:
		return nil
	case int64:
		text = strconv.FormatInt(value, 10)
	case float64:
		text = strconv.FormatFloat(value, 'g', -1, 64)
		if math.IsInf(value, 0) {
			text = strings.Replace(strings.TrimPrefix(text, "+"), "Inf", "Infinity", 1)
		}
	case bool:
		text = strconv.FormatBool(value)[:1]
	case time.Time:
		text = value.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	case []byte:
		text = `\x` + hex.EncodeToString(value)
	case string:
		if text = value; kind == database.ValueBytes {
			text = `\x` + hex.EncodeToString([]byte(value))
		}
	default:
		text = fmt.Sprint(value)
	}
	return &text
}
