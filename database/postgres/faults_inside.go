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
	sequences, err := sequenceFaults(ctx, db, role, own)
	if err != nil {
		return nil, fmt.Errorf("look at the sequences: %w", err)
	}
	keys, err := b.keyFaults(ctx, db, own)
	if err != nil {
		return nil, fmt.Errorf("look at the foreign keys: %w", err)
	}
	return slices.Concat(faults, sequences, keys), nil
}

// keyFaults finds foreign keys that do nothing, since their triggers are disabled. Only a
// superuser may enable those. A restore of data alone disables them, and may not end.
func (b roles) keyFaults(ctx context.Context, db *gorm.DB, tables []string) (faults []database.Fault, err error) {
	var disabled []struct{ Table, Trigger string }
	err = db.WithContext(ctx).Raw(`
		SELECT c.relname::text AS table, t.tgname::text AS trigger
		FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid AND c.relname IN ?
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
		WHERE t.tgisinternal AND t.tgenabled IN ('D', 'R') ORDER BY 1, 2`, append(tables, "")).Scan(&disabled).Error
	for i, d := range disabled {
		enable := "ALTER TABLE public." + quoteIdentifier(d.Table) + " ENABLE TRIGGER " + quoteIdentifier(d.Trigger)
		if i > 0 && disabled[i-1].Table == d.Table {
			last := &faults[len(faults)-1]
			last.Repair = append(last.Repair, when(b.isSuperuser, enable)...)
			continue
		}
		faults = append(faults, database.Fault{
			Kind: database.FaultTrigger, Repair: when(b.isSuperuser, enable),
			Problem: "an administrator has disabled triggers of foreign keys, and has to enable them: ALTER TABLE … ENABLE TRIGGER ALL on " + d.Table,
		})
	}
	return faults, err
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
type sequence struct {
	Table, Column, Type string
	Schema, Name        string
	IsReadable          bool
	IsNarrow            bool  // its type is smaller than that of the column
	Room                int64 // the highest id that the column can hold
	Increment, Maximum  int64
}

// qualified is its name in a statement.
func (s *sequence) qualified() string {
	return quoteIdentifier(s.Schema) + "." + quoteIdentifier(s.Name)
}

// table is the name of its table in a statement.
func (s *sequence) table() string { return "public." + quoteIdentifier(s.Table) }

// highest is a query for the highest id of the column.
func (s *sequence) highest() string {
	return "SELECT pg_catalog.max(" + quoteIdentifier(s.Column) + ") FROM " + s.table()
}

// set are the statements that move the sequence past the ids of its table. Inserts wait
// meanwhile: one that took an id before could be given it again otherwise.
func (s *sequence) set() []string {
	return []string{
		"LOCK TABLE " + s.table() + " IN SHARE ROW EXCLUSIVE MODE",
		"SELECT pg_catalog.setval(" + quoteLiteral(s.qualified()) + "::pg_catalog.regclass, greatest((" + s.highest() + "), " +
			"(SELECT last_value FROM " + s.qualified() + ")))",
	}
}

// widen are the statements that let the sequence count up to the column's room.
func (s *sequence) widen() []string {
	kind := ""
	if s.IsNarrow {
		kind = " AS " + s.Type
	}
	statement := fmt.Sprintf("ALTER SEQUENCE %s%s INCREMENT BY 1 MAXVALUE %d NO CYCLE", s.qualified(), kind, s.Room)
	return append([]string{statement}, s.set()...)
}

// use are the statements that make the sequence the default of the column again, and
// create it if it has no name. role is to insert rows.
func (s *sequence) use(role string) (statements []string) {
	if s.Name == "" {
		s.Schema, s.Name = "public", s.Table+"_"+s.Column+"_seq"
		statements = append(statements, "CREATE SEQUENCE "+s.qualified()+" AS "+s.Type+" OWNED BY "+s.table()+"."+quoteIdentifier(s.Column))
	}
	statements = append(
		statements, "GRANT USAGE, SELECT ON SEQUENCE "+s.qualified()+" TO "+quoteIdentifier(role),
		"ALTER TABLE "+s.table()+" ALTER COLUMN "+quoteIdentifier(s.Column)+
			" SET DEFAULT pg_catalog.nextval("+quoteLiteral(s.qualified())+"::pg_catalog.regclass)",
	)
	return append(statements, s.set()...)
}

// sequenceFaults finds tables that get no ids, and those that get or will get ids that
// are in use. role inserts their rows.
func sequenceFaults(ctx context.Context, db *gorm.DB, role string, tables []string) ([]database.Fault, error) {
	unused, err := unusedSequences(ctx, db, tables)
	if err != nil {
		return nil, err
	}
	all, err := sequencesOf(ctx, db, tables)
	if err != nil {
		return nil, err
	}
	var faults []database.Fault
	add := func(repair []string, problem string, args ...any) {
		faults = append(faults, database.Fault{Kind: database.FaultSequence, Problem: fmt.Sprintf(problem, args...), Repair: repair})
	}
	for i := range unused {
		add(unused[i].use(role), "no sequence gives the ids of table %s", unused[i].Table)
	}
	for i := range all {
		switch s := &all[i]; {
		case s.Increment < 1:
			add(s.widen(), "the sequence of table %s counts down", s.Table)
		case s.Maximum < s.Room:
			add(s.widen(), "the sequence of table %s ends at %d", s.Table, s.Maximum)
		}
	}
	behind, err := sequencesBehind(ctx, db, slices.DeleteFunc(all, func(s sequence) bool { return !s.IsReadable }))
	for i := range behind {
		add(behind[i].set(), "the sequence of table %s is behind its ids", behind[i].Table)
	}
	return faults, err
}

// sequencesBehind returns those that would give out ids that are in use.
func sequencesBehind(ctx context.Context, db *gorm.DB, all []sequence) (behind []sequence, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	queries := make([]string, len(all))
	for i := range all {
		queries[i] = fmt.Sprintf("SELECT %d AS number WHERE (%s) >= (SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM %s)",
			i, all[i].highest(), all[i].qualified())
	}
	var numbers []int
	err = db.WithContext(ctx).Raw(strings.Join(queries, " UNION ALL ") + " ORDER BY 1").Scan(&numbers).Error
	for _, number := range numbers {
		behind = append(behind, all[number])
	}
	return behind, err
}

// sequencesOf finds the sequence of each column by the default of the column, or by its
// identity.
func sequencesOf(ctx context.Context, db *gorm.DB, tables []string) (found []sequence, err error) {
	err = db.WithContext(ctx).Raw(`
		WITH uses AS (
			SELECT f.adrelid AS relation, f.adnum AS number, d.refobjid AS sequence
			FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_depend d ON d.objid = f.oid
				AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			UNION SELECT d.refobjid, d.refobjsubid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'i'
				AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
		)
		SELECT t.relname::text AS table, a.attname::text AS column, pg_catalog.format_type(a.atttypid, NULL) AS type,
			n.nspname::text AS schema, s.relname::text AS name, y.typlen < a.attlen AS is_narrow,
			pg_catalog.has_table_privilege(t.oid, 'SELECT') AND pg_catalog.has_table_privilege(s.oid, 'SELECT') AS is_readable,
			CASE a.attlen WHEN 2 THEN 32767 WHEN 4 THEN 2147483647 ELSE 9223372036854775807 END AS room,
			q.seqincrement AS increment, q.seqmax AS maximum
		FROM uses u JOIN pg_catalog.pg_class s ON s.oid = u.sequence AND s.relkind = 'S'
		JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid JOIN pg_catalog.pg_type y ON y.oid = q.seqtypid
		JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
		JOIN pg_catalog.pg_class t ON t.oid = u.relation AND t.relkind = 'r' AND t.relname IN ?
		JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace AND m.nspname = 'public'
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.number
		ORDER BY 1`, append(tables, "")).Scan(&found).Error
	return found, err
}

// unusedSequences finds the numeric ids whose default is no sequence. Each has the one
// that the column owns or that has its name, and no name if there is none.
func unusedSequences(ctx context.Context, db *gorm.DB, tables []string) (found []sequence, err error) {
	err = db.WithContext(ctx).Raw(`
		SELECT t.relname::text AS table, a.attname::text AS column, pg_catalog.format_type(a.atttypid, NULL) AS type,
			coalesce(s.nspname::text, '') AS schema, coalesce(s.relname::text, '') AS name
		FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace AND m.nspname = 'public'
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attname = 'id' AND a.attidentity = ''
			AND a.atttypid IN ('pg_catalog.int4'::pg_catalog.regtype, 'pg_catalog.int8'::pg_catalog.regtype)
		LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = t.oid AND f.adnum = a.attnum
		LEFT JOIN LATERAL (
			SELECT n.nspname, c.relname, EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.deptype = 'a' AND d.objid = c.oid
				AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
				AND d.refobjid = t.oid AND d.refobjsubid = a.attnum) AS is_owned
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'S' AND c.relowner = t.relowner
		) s ON s.is_owned OR s.nspname = 'public' AND s.relname = t.relname || '_id_seq'
		WHERE t.relkind = 'r' AND t.relname IN ? AND coalesce(pg_catalog.strpos(pg_catalog.pg_get_expr(f.adbin, f.adrelid), 'nextval('), 0) = 0
		ORDER BY t.relname, s.is_owned DESC`, append(tables, "")).Scan(&found).Error
	return slices.CompactFunc(found, func(a, b sequence) bool { return a.Table == b.Table }), err
}
