package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
)

// relation is a table in schema public.
type relation struct {
	Name      string
	Owner     string
	IsMember  bool // the application's role is a member of the owner
	IsHidden  bool // row security applies to the role that serves
	HasPolicy bool
}

// Inspect reads the catalogs of the database.
func (b roles) Inspect(ctx context.Context, db *gorm.DB, role string, tables []string) ([]database.Fault, error) {
	if role == "" {
		role = b.config.User
	}
	relations, err := b.relations(ctx, db, role)
	if err != nil {
		return nil, fmt.Errorf("look at the tables: %w", err)
	}
	faults, err := b.grantFaults(ctx, db)
	if err != nil {
		return nil, err
	}
	var own []string
	for i := range relations {
		r := &relations[i]
		if slices.Contains(tables, r.Name) {
			faults = append(faults, b.judge(r)...)
			own = append(own, r.Name)
		}
	}
	behind, err := sequencesBehind(ctx, db, own)
	if err != nil {
		return nil, fmt.Errorf("look at the sequences: %w", err)
	}
	return append(faults, behind...), nil
}

// grantFaults says what the application's role may not use. It may grant its own tables to
// itself, but not the schema of another role.
func (b roles) grantFaults(ctx context.Context, db *gorm.DB) ([]database.Fault, error) {
	lacking, err := b.lackingOwn(ctx, db)
	if err != nil || len(lacking) == 0 {
		return nil, err
	}
	fault := database.Fault{
		Kind: database.FaultGrants, Problem: "the role " + b.config.User + " may not use " + strings.Join(lacking, ", "),
	}
	if !slices.Contains(lacking, schemaPublic) {
		for _, name := range lacking {
			fault.Repair = append(fault.Repair, "GRANT ALL ON TABLE public."+quoteIdentifier(name)+" TO "+quoteIdentifier(b.config.User))
		}
	}
	return []database.Fault{fault}, nil
}

func (b roles) relations(ctx context.Context, db *gorm.DB, role string) (found []relation, err error) {
	err = db.WithContext(ctx).Raw(`
		SELECT c.relname::text AS name, o.rolname::text AS owner,
			pg_catalog.pg_has_role(@app, c.relowner, 'MEMBER') AS is_member,
			c.relrowsecurity AND coalesce(c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE'), true)
				AND NOT coalesce(r.rolsuper OR r.rolbypassrls, false) AS is_hidden,
			EXISTS (SELECT 1 FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid) AS has_policy
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
		JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
		LEFT JOIN pg_catalog.pg_roles r ON r.rolname = @role
		WHERE c.relkind IN ('r', 'p') ORDER BY c.relname`,
		map[string]any{"app": b.config.User, "role": role}).Scan(&found).Error
	return found, err
}

// judge returns the faults of one of our tables.
func (b roles) judge(r *relation) (faults []database.Fault) {
	name := "public." + quoteIdentifier(r.Name)
	isForeign := r.Owner != b.config.User && !b.isSuperuser
	if isForeign {
		faults = append(faults, database.Fault{
			Kind: database.FaultOwner, Problem: b.belongsTo("table "+r.Name, r.Owner),
			Repair: when(r.IsMember, "ALTER TABLE "+name+" OWNER TO CURRENT_USER"),
		})
	}
	switch {
	case r.IsHidden && r.HasPolicy:
		faults = append(faults, database.Fault{
			Kind: database.FaultForeign, Problem: "policies decide which rows of " + r.Name + " are seen, and are left alone",
		})
	case r.IsHidden:
		faults = append(faults, database.Fault{
			Kind: database.FaultRowSecurity, Problem: "row security without policies hides all rows of " + r.Name,
			Repair: when(!isForeign || r.IsMember, "ALTER TABLE "+name+" DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"),
		})
	}
	return faults
}

// sequence gives the ids of a column.
type sequence struct{ Table, Column, Schema, Name string }

// qualified is its name in a statement.
func (s *sequence) qualified() string {
	return quoteIdentifier(s.Schema) + "." + quoteIdentifier(s.Name)
}

// highest is a query for the highest id of the column.
func (s *sequence) highest() string {
	return "SELECT pg_catalog.max(" + quoteIdentifier(s.Column) + ") FROM public." + quoteIdentifier(s.Table)
}

// set are the statements that move the sequence past the ids of its table. Inserts wait
// meanwhile: one that took an id before could be given it again otherwise.
func (s *sequence) set() []string {
	return []string{
		"LOCK TABLE public." + quoteIdentifier(s.Table) + " IN SHARE ROW EXCLUSIVE MODE",
		"SELECT pg_catalog.setval(" + quoteLiteral(s.qualified()) + "::pg_catalog.regclass, greatest((" + s.highest() + "), " +
			"(SELECT last_value FROM " + s.qualified() + ")))",
	}
}

// sequencesBehind finds the sequences that would give out ids that are in use.
func sequencesBehind(ctx context.Context, db *gorm.DB, tables []string) ([]database.Fault, error) {
	all, err := sequencesOf(ctx, db, tables)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	queries := make([]string, len(all))
	for i := range all {
		queries[i] = fmt.Sprintf("SELECT %d AS number WHERE (%s) >= (SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM %s)",
			i, all[i].highest(), all[i].qualified())
	}
	var behind []int
	if err := db.WithContext(ctx).Raw(strings.Join(queries, " UNION ALL ") + " ORDER BY 1").Scan(&behind).Error; err != nil {
		return nil, err
	}
	faults := make([]database.Fault, len(behind))
	for i, number := range behind {
		s := &all[number]
		faults[i] = database.Fault{
			Kind: database.FaultSequence, Problem: "the sequence of table " + s.Table + " is behind its ids", Repair: s.set(),
		}
	}
	return faults, nil
}

// sequencesOf finds the sequence of each column by the default of the column, or by its
// identity. Only those that may be read count.
func sequencesOf(ctx context.Context, db *gorm.DB, tables []string) (found []sequence, err error) {
	err = db.WithContext(ctx).Raw(`
		WITH uses AS (
			SELECT f.adrelid AS relation, f.adnum AS number, d.refobjid AS sequence
			FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_depend d ON d.objid = f.oid
				AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			UNION SELECT d.refobjid, d.refobjsubid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'i'
				AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
		)
		SELECT t.relname::text AS table, a.attname::text AS column, n.nspname::text AS schema, s.relname::text AS name
		FROM uses u JOIN pg_catalog.pg_class s ON s.oid = u.sequence AND s.relkind = 'S'
		JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
		JOIN pg_catalog.pg_class t ON t.oid = u.relation AND t.relkind = 'r' AND t.relname IN ?
		JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace AND m.nspname = 'public'
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.number
		WHERE pg_catalog.has_table_privilege(t.oid, 'SELECT') AND pg_catalog.has_table_privilege(s.oid, 'SELECT')
		ORDER BY 1`, append(tables, "")).Scan(&found).Error
	return found, err
}
