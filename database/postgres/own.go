package postgres

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"multitenant/database"
)

const (
	schemaPublic = "schema public" // as Lacking lists it
	// inPublic is the condition that a relation c is in schema public.
	inPublic = `c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')`
	// own is the condition that it is also ours: its owner owns a table that this
	// program reads before it trusts a database. Superusers are members of every role,
	// so membership alone does not say it.
	own = inPublic + ` AND c.relowner IN (SELECT o.relowner FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
		WHERE n.nspname = 'public' AND o.relname IN ('schema_migrations', 'tenant_users'))`
)

// checkOwners refuses a database where a relation that is read before the database is
// trusted belongs to another role. A view, or a table with a policy, runs functions
// of its owner as the role that reads it.
func checkOwners(ctx context.Context, q database.Querier) error {
	var foreign string
	err := q.QueryRowContext(ctx, `SELECT coalesce(string_agg(c.relname, ', '), '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relname IN ('tenant_stamp', 'schema_migrations', 'tenant_users')
			AND NOT (c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE'))`).Scan(&foreign)
	if err != nil {
		return fmt.Errorf("look who owns the tables: %w", err)
	}
	if foreign != "" {
		return fmt.Errorf("%w: another role owns %s", database.ErrForeign, foreign)
	}
	return nil
}

// qualifyTables makes GORM name the schema of our tables, for sessions whose search
// path has no schema with tables.
func qualifyTables(db *gorm.DB) error {
	const name = "postgres:qualify"
	all := db.Callback()
	for _, err := range []error{
		all.Create().Before("gorm:create").Register(name, qualify),
		all.Query().Before("gorm:query").Register(name, qualify),
		all.Update().Before("gorm:update").Register(name, qualify),
		all.Delete().Before("gorm:delete").Register(name, qualify),
		all.Row().Before("gorm:row").Register(name, qualify),
	} {
		if err != nil {
			return fmt.Errorf("open database: %w", err)
		}
	}
	return nil
}

func qualify(tx *gorm.DB) {
	statement := tx.Statement
	isBare := statement.TableExpr == nil || statement.TableExpr.SQL == statement.Quote(statement.Table)
	if statement.Table == "" || strings.Contains(statement.Table, ".") || !isBare || database.IsInOwnSchema(tx) {
		return
	}
	statement.TableExpr = &clause.Expr{SQL: "public." + statement.Quote(statement.Table)}
}
