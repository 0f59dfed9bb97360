package copies

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"multitenant/database"
)

// describe reads the catalogs. Its first query takes the snapshot. The sequences are
// read after it, since they stand outside of it: later values do no harm, earlier ones
// would give out ids of the copied rows again.
func (c *copier) describe(ctx context.Context, tables []string) (*database.Content, error) {
	content := &database.Content{Engine: Engine, EngineVersion: c.conn.PgConn().ParameterStatus("server_version")}
	var err error
	if content.Unexplained, err = c.unexplained(ctx); err != nil {
		return nil, fmt.Errorf("list the objects that migrations do not explain: %w", err)
	}
	if c.source.Dump != nil {
		if content.Owners, err = collect(ctx, c.conn, pgx.RowTo[string], ownersQuery); err != nil {
			return nil, fmt.Errorf("list owners: %w", err)
		}
	}
	if content.Applied, err = collect(ctx, c.conn, pgx.RowTo[string], "SELECT id FROM public.schema_migrations ORDER BY id"); err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	for _, table := range tables {
		columns, err := collect(ctx, c.conn, pgx.RowToStructByPos[database.ContentColumn], columnsQuery, table)
		if err != nil {
			return nil, fmt.Errorf("list columns of %s: %w", table, err)
		}
		content.Tables = append(content.Tables, database.ContentTable{Name: table, Columns: columns})
	}
	if c.source.AsRows {
		if err := c.explain(ctx, content.Tables); err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
	}
	if content.Sequences, err = c.sequences(ctx); err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	return content, nil
}

// explain adds the kinds of the columns, and the keys.
func (c *copier) explain(ctx context.Context, tables []database.ContentTable) (err error) {
	for i := range tables {
		table := &tables[i]
		for j := range table.Columns {
			table.Columns[j].Kind = database.KindOf(table.Columns[j].Type)
		}
		if table.PrimaryKey, err = collect(ctx, c.conn, pgx.RowTo[string], primaryKeyQuery, table.Name); err != nil {
			return err
		}
		table.References, err = collect(ctx, c.conn, pgx.RowToStructByPos[database.ContentReference], referencesQuery, table.Name)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) unexplained(ctx context.Context) ([]string, error) {
	inside, err := collect(ctx, c.conn, pgx.RowToStructByPos[database.Object], objectsQuery, "public")
	if err != nil {
		return nil, err
	}
	beside, err := collect(ctx, c.conn, pgx.RowTo[string], besideQuery, c.source.Role)
	if err != nil {
		return nil, err
	}
	return append(c.source.Layout.Unexplained(inside), beside...), nil
}

// sequences reads those that the layout explains.
func (c *copier) sequences(ctx context.Context) ([]database.ContentSequence, error) {
	names, err := collect(ctx, c.conn, pgx.RowTo[string], sequencesQuery)
	if err != nil {
		return nil, err
	}
	sequences := make([]database.ContentSequence, 0, len(names))
	for _, name := range names {
		if !c.source.Layout.Names("sequence " + name) {
			continue
		}
		sequence := database.ContentSequence{Name: name}
		err := c.conn.QueryRow(ctx, "SELECT last_value, is_called FROM public."+pgx.Identifier{name}.Sanitize()).
			Scan(&sequence.LastValue, &sequence.IsCalled)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sequences = append(sequences, sequence)
	}
	return sequences, nil
}

func collect[T any](ctx context.Context, conn *pgx.Conn, scan pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	rows, _ := conn.Query(ctx, query, args...) // CollectRows returns its error
	return pgx.CollectRows(rows, scan)
}
