package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
)

// GrantTables lets a role change rows, and nothing about the tables. It names each of
// our tables: what others have put into schema public is theirs to grant.
func (b roles) GrantTables(tx *gorm.DB, role string, guarded database.Guarded) error {
	tables, sequences, err := listOwn(tx)
	if err != nil {
		return err
	}
	name := quoteIdentifier(role)
	grant := func(privileges, kind string, names []string) string {
		if len(names) == 0 {
			return ""
		}
		return "GRANT " + privileges + " ON " + kind + " " + strings.Join(names, ", ") + " TO " + name + ";"
	}
	revoke := func(privileges string, names []string) string {
		if len(names) == 0 {
			return ""
		}
		return "REVOKE " + privileges + " ON TABLE " + strings.Join(names, ", ") + " FROM " + name + ";"
	}
	readOnly, appendOnly := pick(tables, guarded.ReadOnly), pick(tables, guarded.AppendOnly)
	statements := "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO " + name + ";" +
		grant("SELECT, INSERT, UPDATE, DELETE", "TABLE", tables) + grant("USAGE, SELECT", "SEQUENCE", sequences) +
		revoke("INSERT, UPDATE, DELETE", readOnly) + revoke("UPDATE, DELETE", appendOnly)
	if err := execIn(tx, statements); err != nil {
		return fmt.Errorf("grant tables to %s: %w", role, err)
	}
	return b.warnOfOpenSchema(tx, role)
}

// listOwn lists our tables and sequences, quoted and with their schema.
func listOwn(tx *gorm.DB) (tables, sequences []string, err error) {
	var found []struct {
		Name       string
		IsSequence bool
	}
	err = tx.Raw("SELECT c.relname AS name, c.relkind = 'S' AS is_sequence FROM pg_class c " +
		"WHERE c.relkind IN ('r', 'p', 'S') AND " + inPublic +
		" AND (pg_get_userbyid(c.relowner) = current_user OR " + own + ") ORDER BY 1").Scan(&found).Error
	if err != nil {
		return nil, nil, fmt.Errorf("list our tables: %w", err)
	}
	for _, relation := range found {
		name := "public." + quoteIdentifier(relation.Name)
		if relation.IsSequence {
			sequences = append(sequences, name)
		} else {
			tables = append(tables, name)
		}
	}
	return tables, sequences, nil
}

// pick returns those of the quoted tables that have one of these names.
func pick(tables, names []string) []string {
	var picked []string
	for _, name := range names {
		if quoted := "public." + quoteIdentifier(name); slices.Contains(tables, quoted) {
			picked = append(picked, quoted)
		}
	}
	return picked
}

// warnOfOpenSchema warns once when a role may make tables. The schema public of a
// server that was upgraded from PostgreSQL 14 may belong to the administrator, and
// only its owner can revoke that.
func (b roles) warnOfOpenSchema(tx *gorm.DB, role string) error {
	open, err := b.MayMake(tx.Statement.Context, tx, role)
	if err != nil {
		return err
	}
	if open {
		b.openSchema.Do(func() {
			b.log.Warn("tenants' roles may make tables and functions in their own databases: schema public does not belong " +
				"to this application, and only the server's administrator can keep them from it, as docs/postgresql.md says")
		})
	}
	return nil
}

// MayMake reads the catalogs.
func (roles) MayMake(ctx context.Context, db *gorm.DB, role string) (may bool, err error) {
	err = db.WithContext(ctx).Raw(`
		SELECT coalesce(pg_catalog.bool_or(pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')), false)
		FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.rolname = ? WHERE n.nspname = 'public'`, role).Scan(&may).Error
	if err != nil {
		return false, fmt.Errorf("look what %s may make: %w", role, err)
	}
	return may, nil
}

// Lacking asks for each privilege by itself, because PostgreSQL answers a list of
// privileges with yes when the role has one of them.
func (roles) Lacking(ctx context.Context, db *gorm.DB, role string, guarded database.Guarded) ([]string, error) {
	lacking, err := listFromCatalogs(ctx, db, `
		SELECT '`+schemaPublic+`' FROM pg_namespace WHERE nspname = 'public' AND NOT has_schema_privilege(@role, oid, 'USAGE')
		UNION ALL
		SELECT c.relname::text FROM pg_class c WHERE `+own+` AND (
			c.relkind IN ('r', 'p') AND NOT (has_table_privilege(@role, c.oid, 'SELECT')
				AND (c.relname IN @readonly OR has_table_privilege(@role, c.oid, 'INSERT')
				AND (c.relname IN @appendonly OR has_table_privilege(@role, c.oid, 'UPDATE')
				AND has_table_privilege(@role, c.oid, 'DELETE'))))
			OR c.relkind = 'S' AND NOT (has_sequence_privilege(@role, c.oid, 'USAGE')
				AND has_sequence_privilege(@role, c.oid, 'SELECT')))`,
		sql.Named("role", role), sql.Named("readonly", append(guarded.ReadOnly, "")),
		sql.Named("appendonly", append(guarded.AppendOnly, "")))
	if err != nil {
		return nil, fmt.Errorf("look what %s may use: %w", role, err)
	}
	return lacking, nil
}

// lackingOwn is Lacking for the application's role, in core or in a tenant's database.
func (b roles) lackingOwn(ctx context.Context, db *gorm.DB) ([]string, error) {
	return b.Lacking(ctx, db, b.config.User, database.Guarded{AppendOnly: []string{"audit_events"}})
}

// ListForeign lists what other roles have put into schema public, beside our tables.
func (roles) ListForeign(ctx context.Context, db *gorm.DB, tables []string) ([]string, error) {
	foreign, err := listFromCatalogs(ctx, db, `
		SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'table ' END
			|| c.relname || ' of ' || pg_get_userbyid(c.relowner)
		FROM pg_class c WHERE `+inPublic+`
			AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT (`+own+`) AND c.relname NOT IN @tables
			AND NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid AND t.relname IN @tables
				WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
		UNION ALL
		SELECT 'function ' || p.proname || ' of ' || pg_get_userbyid(p.proowner)
		FROM pg_proc p WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
			AND p.proowner NOT IN (SELECT c.relowner FROM pg_class c WHERE `+own+`)
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
		ORDER BY 1`, sql.Named("tables", tables))
	if err != nil {
		return nil, fmt.Errorf("look for objects of other roles: %w", err)
	}
	return foreign, nil
}

// listFromCatalogs lists the names that a query of the catalogs finds. The session may
// be one of the tenant's role, which must not answer in the catalogs' place.
func listFromCatalogs(ctx context.Context, db *gorm.DB, query string, args ...any) (names []string, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := execIn(tx, "SET LOCAL search_path = "+catalogPath); err != nil {
			return err
		}
		return tx.Raw(query, args...).Scan(&names).Error
	})
	return names, err
}
