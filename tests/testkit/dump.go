package testkit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Dump returns all that a database holds, table by table in the order of their
// names and rows in the order of their first column, for a comparison.
func (s *Settings) Dump(tb testing.TB, name string) string {
	tb.Helper()
	db := s.session(tb, name)
	defer func() { require.NoError(tb, db.Close()) }()
	tables, err := column(tb.Context(), db, s.tables())
	require.NoError(tb, err)
	var dump strings.Builder
	for _, table := range tables {
		rows, err := records(tb.Context(), db, "SELECT * FROM "+quote(table)+" ORDER BY 1")
		require.NoError(tb, err)
		fmt.Fprintf(&dump, "%s\n%s\n", table, strings.Join(rows, "\n"))
	}
	return dump.String()
}

func (s *Settings) tables() string {
	if s.Engine == Postgres {
		return "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"
	}
	return "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
}

// records returns each row of a query as a line of text.
func records(ctx context.Context, db querier, query string) ([]string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var lines []string
	for rows.Next() {
		values, places := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		var line strings.Builder
		for i, value := range values {
			fmt.Fprintf(&line, " %s=%v", columns[i], value)
		}
		lines = append(lines, line.String())
	}
	return lines, rows.Err()
}

// Query returns what a query finds, row by row, for a comparison.
func (s *Settings) Query(tb testing.TB, name, query string) string {
	tb.Helper()
	rows, err := records(tb.Context(), s.SQL(tb, name), query)
	require.NoError(tb, err, query)
	return strings.Join(rows, "\n") + "\n"
}
