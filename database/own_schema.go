package database

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

const (
	publicSchema = "public"
	// ownSchema exists only inside a transaction that migrates.
	ownSchema = "multitenant_migration"
)

// inOwnSchemaKey marks the context of such a transaction.
type inOwnSchemaKey struct{}

// Qualified is the name of a table with its schema, where the engine has schemas.
func Qualified(db *gorm.DB, table string) string {
	if !isPostgres(db) {
		return table
	}
	return publicSchema + "." + table
}

// HasTable reports whether the database has a table of that name. It does not read
// the table, which may be a view that another role has put there.
func HasTable(ctx context.Context, db *gorm.DB, name string) (bool, error) {
	query := "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)"
	if isPostgres(db) {
		query = `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname = ?)`
	}
	var found bool
	if err := db.WithContext(ctx).Raw(query, name).Scan(&found).Error; err != nil {
		return false, fmt.Errorf("look for table %s: %w", name, err)
	}
	return found, nil
}

// IsInOwnSchema reports whether tx migrates in a schema of its own.
func IsInOwnSchema(tx *gorm.DB) bool {
	return tx.Statement.Context.Value(inOwnSchemaKey{}) != nil
}

// inOwnSchema runs do while all our objects are in a schema where no other role can
// make anything. Migrations name tables, functions and operators as they like, so
// schema public must not be searched: a tenant's role may have made a better match
// there. Nothing of this is seen outside the transaction.
//
// In sessions that search schema public, as those of core do, it only runs do.
func inOwnSchema(ctx context.Context, tx *gorm.DB, do func(tx *gorm.DB) error) error {
	searches := true
	if isPostgres(tx) {
		if err := tx.Raw("SELECT current_schema() IS DISTINCT FROM 'pg_catalog'").Scan(&searches).Error; err != nil {
			return err
		}
	}
	if searches {
		return do(tx)
	}
	if err := tx.Exec("CREATE SCHEMA " + ownSchema).Error; err != nil {
		return err
	}
	if err := moveOwn(tx, publicSchema, ownSchema); err != nil {
		return err
	}
	if err := tx.Exec("SET LOCAL search_path = " + ownSchema + ", pg_temp").Error; err != nil {
		return err
	}
	if err := do(tx.WithContext(context.WithValue(ctx, inOwnSchemaKey{}, true))); err != nil {
		return err
	}
	if err := tx.Exec("SET LOCAL search_path = pg_catalog, pg_temp").Error; err != nil {
		return err
	}
	if err := moveOwn(tx, ownSchema, publicSchema); err != nil {
		return err
	}
	return tx.Exec("DROP SCHEMA " + ownSchema).Error
}

// moveOwn moves all our objects from one schema to another. An object of a table, such as
// an index or the sequence of its key, goes with the table.
func moveOwn(tx *gorm.DB, from, to string) error {
	var moves []string
	err := tx.Raw(`
		WITH ours AS (
			SELECT o.relowner AS role FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
			WHERE n.nspname = @from AND o.relname IN ('schema_migrations', 'tenant_users')
			UNION SELECT oid FROM pg_roles WHERE rolname = current_user
		), objects AS (
			SELECT 'pg_class'::regclass AS class, c.oid, relnamespace AS namespace, relowner AS owner, CASE relkind WHEN 'S' THEN 'SEQUENCE'
				WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind, c.oid::regclass::text AS name
			FROM pg_class c WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
			UNION ALL
			SELECT 'pg_proc'::regclass, oid, pronamespace, proowner, 'ROUTINE', oid::regprocedure::text FROM pg_proc
			UNION ALL
			SELECT 'pg_type'::regclass, oid, typnamespace, typowner, 'TYPE', oid::regtype::text FROM pg_type WHERE typtype IN ('d', 'e')
		)
		SELECT format('ALTER %s %s SET SCHEMA %I', kind, name, CAST(@to AS text)) FROM objects x
		WHERE namespace = (SELECT oid FROM pg_namespace WHERE nspname = @from) AND owner IN (SELECT role FROM ours)
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = x.class AND d.objid = x.oid AND d.deptype IN ('a', 'i', 'e'))
		ORDER BY name`, map[string]any{"from": from, "to": to}).Scan(&moves).Error
	if err != nil || len(moves) == 0 {
		return err
	}
	return tx.Exec(strings.Join(moves, "; ")).Error
}

func isPostgres(db *gorm.DB) bool { return db.Name() == "postgres" }
