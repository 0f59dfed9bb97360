package copies

// The catalogs that decide what a database is. All is searched in pg_catalog alone, so
// names of other schemas come out with their schema.
const (
	tablesQuery = `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1`
	// dumpedQuery names the tables whose rows pg_dump copies besides: it locks them only after
	// the snapshot exists.
	dumpedQuery = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`
	// ownersQuery names the roles whose objects would get more powers as ours.
	ownersQuery = `SELECT DISTINCT r.rolname::text FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
		WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.deptype = 'o'
			AND d.refclassid = 'pg_authid'::regclass AND NOT r.rolsuper AND r.rolname <> current_user ORDER BY 1`
	sequencesQuery = `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind = 'S' ORDER BY 1`
	columnsQuery = `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname = $1
			AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum`

	primaryKeyQuery = `SELECT a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid AND c.relkind = 'r'
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
		CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
		WHERE i.indisprimary AND c.relname = $1 ORDER BY k.place`
	referencesQuery = `SELECT a.attname::text, t.relname::text, b.attname::text FROM pg_constraint k
		JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
		JOIN pg_class t ON t.oid = k.confrelid
		CROSS JOIN unnest(k.conkey, k.confkey) WITH ORDINALITY AS p(here, there, place)
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.here
		JOIN pg_attribute b ON b.attrelid = t.oid AND b.attnum = p.there
		WHERE k.contype = 'f' AND c.relname = $1 ORDER BY k.conname, p.place`

	// ownedQuery returns for each sequence of a column the statement that moves it past the
	// ids of the table.
	ownedQuery = `SELECT format('SELECT setval(%L::regclass, max(%I)) FROM public.%I HAVING max(%I) > (SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM public.%I)',
			quote_ident(n.nspname) || '.' || quote_ident(s.relname), a.attname, c.relname, a.attname, s.relname)
		FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace AND n.nspname = 'public'
		JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
			AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
		JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'r' AND c.relnamespace = n.oid
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
		WHERE s.relkind = 'S'`

	// objectsQuery lists the objects in a schema with their definitions. Objects of an
	// extension go with it. The table alembic_version is what the Python original noted
	// its migrations in, and is of no use any more.
	objectsQuery = `
	WITH here AS (SELECT oid FROM pg_namespace WHERE nspname = $1),
	parts AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
	relations AS (
		SELECT c.* FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM here) AND c.relname <> 'alembic_version'
			AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid)
	), tables AS (SELECT * FROM relations WHERE relkind IN ('r', 'p'))
	SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'p' THEN 'partitioned table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
			WHEN 'f' THEN 'foreign table ' WHEN 'c' THEN 'type ' ELSE 'sequence ' END || relname,
		concat_ws(' ', relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions::text)
		FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
	UNION ALL
	SELECT 'column ' || t.relname || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull,
			a.attidentity, a.attgenerated, nullif(a.attcollation, y.typcollation)::regcollation::text, nullif(a.attstattarget, -1),
			pg_get_expr(d.adbin, d.adrelid))
		FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
	UNION ALL
	SELECT 'constraint ' || k.conname || ' of ' || t.relname, pg_get_constraintdef(k.oid)
		FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid
	UNION ALL
	SELECT 'index ' || x.relname, pg_get_indexdef(i.indexrelid) FROM tables t JOIN pg_index i ON i.indrelid = t.oid
		JOIN pg_class x ON x.oid = i.indexrelid WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = t.oid)
	UNION ALL
	SELECT 'trigger ' || g.tgname || ' of ' || t.relname, g.tgenabled::text || pg_get_triggerdef(g.oid)
		FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
	UNION ALL
	SELECT 'rule ' || r.rulename || ' of ' || t.relname, pg_get_ruledef(r.oid) FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid
	UNION ALL
	SELECT 'policy ' || p.polname || ' of ' || t.relname, '' FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
	UNION ALL
	SELECT 'statistics ' || stxname, '' FROM pg_statistic_ext WHERE stxnamespace = (SELECT oid FROM here)
	UNION ALL
	SELECT 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
			CASE WHEN p.prokind = 'a' THEN '' ELSE pg_get_functiondef(p.oid) END
		FROM pg_proc p WHERE p.pronamespace = (SELECT oid FROM here)
			AND NOT EXISTS (SELECT 1 FROM parts x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid)
	UNION ALL
	SELECT 'type ' || y.typname, concat_ws(' ', y.typtype, format_type(nullif(y.typbasetype, 0), y.typtypmod), y.typnotnull, y.typdefault,
			(SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = y.oid),
			(SELECT string_agg(pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = y.oid))
		FROM pg_type y WHERE y.typnamespace = (SELECT oid FROM here) AND y.typtype IN ('d', 'e', 'r')
			AND NOT EXISTS (SELECT 1 FROM parts x WHERE x.classid = 'pg_type'::regclass AND x.objid = y.oid)
	UNION ALL
	SELECT 'operator ' || oprname, '' FROM pg_operator o WHERE oprnamespace = (SELECT oid FROM here)
		AND NOT EXISTS (SELECT 1 FROM parts x WHERE x.classid = 'pg_operator'::regclass AND x.objid = o.oid)
	UNION ALL
	SELECT 'collation ' || collname, '' FROM pg_collation WHERE collnamespace = (SELECT oid FROM here)
	UNION ALL
	SELECT 'text search configuration ' || cfgname, '' FROM pg_ts_config WHERE cfgnamespace = (SELECT oid FROM here)
	ORDER BY 1, 2`

	// besideQuery names what no migration makes: objects outside schema public, what
	// belongs to the database, comments, and privileges of roles other than $1.
	besideQuery = `
	SELECT 'schema ' || nspname FROM pg_namespace
		WHERE nspname NOT IN ('public', 'information_schema') AND NOT starts_with(nspname, 'pg_')
	UNION ALL SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
	UNION ALL SELECT 'large objects: ' || count(*) FROM pg_largeobject_metadata HAVING count(*) > 0
	UNION ALL SELECT 'publication ' || pubname FROM pg_publication
	UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
	UNION ALL SELECT 'foreign server ' || srvname FROM pg_foreign_server
	UNION ALL SELECT 'cast to ' || format_type(casttarget, NULL) FROM pg_cast WHERE oid >= 16384
	UNION ALL SELECT 'default privileges of ' || pg_get_userbyid(defaclrole) FROM pg_default_acl
	UNION ALL SELECT 'setting ' || split_part(s.setting, '=', 1) || coalesce(' of ' || nullif(pg_get_userbyid(nullif(d.setrole, 0)), ''), '')
		FROM pg_db_role_setting d, unnest(d.setconfig) AS s(setting)
		WHERE d.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
	UNION ALL SELECT 'comment on ' || pg_describe_object(classoid, objoid, objsubid) FROM pg_description WHERE objoid >= 16384
	UNION ALL SELECT DISTINCT 'privileges of ' || coalesce(pg_get_userbyid(nullif(x.grantee, 0)), 'PUBLIC') || ' on ' || c.relname
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public', aclexplode(c.relacl) x
		WHERE x.grantee <> c.relowner AND x.grantee IS DISTINCT FROM (SELECT oid FROM pg_roles WHERE rolname = $1)
	ORDER BY 1`

	// partsQuery names the columns that COPY loads, and the sequences.
	partsQuery = `
	SELECT 'column ' || c.relname || '.' || a.attname FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
	UNION ALL
	SELECT 'sequence ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind = 'S'`

	// guardsQuery returns for each foreign key and trigger the statement that lifts it,
	// so that rows can be loaded in any order, and the one that puts it back.
	guardsQuery = `
	SELECT format('ALTER TABLE public.%I DROP CONSTRAINT %I', c.relname, k.conname),
			format('ALTER TABLE public.%I ADD CONSTRAINT %I %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND k.contype = 'f'
	UNION ALL
	SELECT format('ALTER TABLE public.%I DISABLE TRIGGER %I', c.relname, g.tgname),
			format('ALTER TABLE public.%I ENABLE %s TRIGGER %I', c.relname, CASE g.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, g.tgname)
		FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND NOT g.tgisinternal AND g.tgenabled <> 'D'`
)
