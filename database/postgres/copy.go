package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"multitenant/database"
)

// snapshotStatements begin a copy. The tables are locked before the snapshot exists:
// rows that TRUNCATE or a rewrite of a table removes afterwards would silently be
// missing from it. With row security off, a table that hides rows is an error.
const snapshotStatements = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
	SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '30s';
	SET LOCAL row_security = off; SET LOCAL extra_float_digits = 1;`

// Layout runs the migrations in a transaction of core that is undone.
func (b *backend) Layout(ctx context.Context, list []*gormigrate.Migration) (database.Layout, error) {
	db, err := b.open(ctx, b.pools.making, &target{server: b.server, name: b.config.Database, path: catalogPath})
	if err != nil {
		return nil, fmt.Errorf("look what migrations make: %w", err)
	}
	layout := database.Layout{}
	err = database.TryMigrations(ctx, db, list, func(tx *gorm.DB) error {
		rows, err := tx.Statement.ConnPool.QueryContext(ctx, objectsQuery, database.ScratchSchema)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // layoutOf says what is wrong
		return layoutOf(rows, layout)
	})
	if err = errors.Join(err, database.Close(db)); err != nil {
		return nil, fmt.Errorf("look what migrations make: %w", err)
	}
	return layout, nil
}

func layoutOf(rows *sql.Rows, layout database.Layout) error {
	for rows.Next() {
		var object database.Object
		if err := rows.Scan(&object.Name, &object.Definition); err != nil {
			return err
		}
		object.Name = strings.ReplaceAll(object.Name, database.ScratchSchema+".", "public.")
		object.Definition = strings.ReplaceAll(object.Definition, database.ScratchSchema+".", "public.")
		layout[object] = true
	}
	return rows.Err()
}

// Copy reads all tables in one snapshot, by COPY. It copies the tables that the layout
// explains; other objects are named only.
func (b *backend) Copy(ctx context.Context, source *database.Source, sink database.Sink) error {
	name := source.Name
	if name == "" {
		name = b.config.Database
	} else if err := b.checkTenant(name); err != nil {
		return err
	}
	db, err := b.open(ctx, b.pools.making, &target{server: b.server, name: name, check: source.Check, path: catalogPath})
	if err != nil {
		return fmt.Errorf("open database %s: %w", name, err)
	}
	err = onServerConn(ctx, db, func(conn *pgx.Conn) error {
		c := &copier{conn: conn, source: source, sink: sink}
		return c.run(ctx)
	})
	if err = errors.Join(err, database.Close(db)); err != nil {
		return fmt.Errorf("copy database %s: %w", name, err)
	}
	return nil
}

// onServerConn lends a connection of pgx to use.
func onServerConn(ctx context.Context, db *gorm.DB, use func(*pgx.Conn) error) error {
	handles, err := db.DB()
	if err != nil {
		return err
	}
	conn, err := handles.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(driverConn any) error {
		held, ok := driverConn.(*lease)
		if !ok {
			return fmt.Errorf("take connection: the pool has a %T", driverConn)
		}
		return use(held.Conn.Conn())
	})
	return errors.Join(err, conn.Close())
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
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = "public." + quoteIdentifier(table)
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
	return nil
}

func copyStatement(table *database.ContentTable, direction string) string {
	columns := make([]string, len(table.Columns))
	for i, column := range table.Columns {
		columns[i] = quoteIdentifier(column.Name)
	}
	return "COPY public." + quoteIdentifier(table.Name) + " (" + strings.Join(columns, ", ") + ") " + direction
}
