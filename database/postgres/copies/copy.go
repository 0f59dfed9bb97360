// Package copies reads and fills the databases of a PostgreSQL server, over a connection
// that finds names in pg_catalog alone.
package copies

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"multitenant/database"
)

// Engine is the name of the engine in copies.
const Engine = "postgres"

// snapshotStatements begin a copy. The tables are locked before the snapshot exists:
// rows that TRUNCATE or a rewrite of a table removes afterwards would silently be
// missing from it. With row security off, a table that hides rows is an error.
const snapshotStatements = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
	SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '30s';
	SET LOCAL row_security = off; SET LOCAL extra_float_digits = 1;`

// Layout returns what migrations have made in database.ScratchSchema of the transaction.
func Layout(ctx context.Context, tx *gorm.DB) (database.Layout, error) {
	rows, err := tx.Statement.ConnPool.QueryContext(ctx, objectsQuery, database.ScratchSchema)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // layoutOf says what is wrong
	return layoutOf(rows)
}

func layoutOf(rows *sql.Rows) (database.Layout, error) {
	layout := database.Layout{}
	for rows.Next() {
		var object database.Object
		if err := rows.Scan(&object.Name, &object.Definition); err != nil {
			return nil, err
		}
		object.Name = strings.ReplaceAll(object.Name, database.ScratchSchema+".", "public.")
		object.Definition = strings.ReplaceAll(object.Definition, database.ScratchSchema+".", "public.")
		layout[object] = true
	}
	return layout, rows.Err()
}

// Copy gives sink the content of the database that conn is connected to, in one snapshot,
// by COPY. It copies the tables that the layout of source explains; other objects are named
// only.
func Copy(ctx context.Context, conn *pgx.Conn, source *database.Source, sink database.Sink) error {
	c := &copier{conn: conn, source: source, sink: sink}
	return c.run(ctx)
}

// copier copies one database.
type copier struct {
	conn   *pgx.Conn
	source *database.Source
	sink   database.Sink
}

func (c *copier) run(ctx context.Context) error {
	tables, err := c.listTables(ctx)
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	if err := c.begin(ctx, tables); err != nil {
		return fmt.Errorf("lock tables: %w", err)
	}
	err = c.copy(ctx, tables)
	if c.conn.IsClosed() {
		return err
	}
	_, undone := c.conn.Exec(context.WithoutCancel(ctx), "ROLLBACK")
	return errors.Join(err, undone)
}

// listTables returns the tables that the layout explains, in the order of their names.
func (c *copier) listTables(ctx context.Context) ([]string, error) {
	all, err := collect(ctx, c.conn, pgx.RowTo[string], tablesQuery)
	if err != nil {
		return nil, err
	}
	tables := make([]string, 0, len(all))
	for _, table := range all {
		if c.source.Layout.Names("table " + table) {
			tables = append(tables, table)
		}
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("%w: it has no table of ours", database.ErrForeign)
	}
	return tables, nil
}

func (c *copier) begin(ctx context.Context, tables []string) error {
	names := make([]string, 0, len(tables))
	for _, table := range tables {
		names = append(names, pgx.Identifier{"public", table}.Sanitize())
	}
	if c.source.Dump != nil {
		others, err := collect(ctx, c.conn, pgx.RowTo[string], dumpedQuery)
		if err != nil {
			return err
		}
		names = append(names, others...)
	}
	begin := snapshotStatements + " LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE"
	return c.conn.PgConn().Exec(ctx, begin).Close()
}

func (c *copier) copy(ctx context.Context, tables []string) error {
	content, err := c.describe(ctx, tables)
	if err != nil {
		return err
	}
	if err := c.sink.Describe(content); err != nil {
		return err
	}
	for i := range content.Tables {
		table := &content.Tables[i]
		err := c.sink.Table(table.Name, func(w io.Writer) (int64, error) {
			tag, err := c.conn.PgConn().CopyTo(ctx, w, copyStatement(table, "TO STDOUT"))
			return tag.RowsAffected(), err
		})
		if err != nil {
			return fmt.Errorf("table %s: %w", table.Name, err)
		}
	}
	if c.source.Dump == nil || len(content.Unexplained) == 0 {
		return nil
	}
	return c.dump(ctx)
}

func copyStatement(table *database.ContentTable, direction string) string {
	columns := make([]string, len(table.Columns))
	for i, column := range table.Columns {
		columns[i] = pgx.Identifier{column.Name}.Sanitize()
	}
	return "COPY public." + pgx.Identifier{table.Name}.Sanitize() + " (" + strings.Join(columns, ", ") + ") " + direction
}
