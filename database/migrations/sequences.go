package migrations

import "gorm.io/gorm"

// setSequences moves each sequence past the ids that its table has, as of 2026-11-29. A
// restore of data alone leaves sequences behind, and each would give ids out again.
// SQLite looks at the table itself.
func setSequences(tx *gorm.DB) error {
	if !isPostgres(tx) {
		return nil
	}
	return run(tx, `DO $$
		DECLARE
			c record;
			highest bigint;
			given bigint;
		BEGIN
			FOR c IN
				SELECT a.attrelid::pg_catalog.regclass AS tab, a.attname AS col, d.refobjid::pg_catalog.regclass AS seq
				FROM pg_catalog.pg_attrdef f
				JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
				JOIN pg_catalog.pg_class t ON t.oid = f.adrelid AND t.relkind = 'r' AND pg_catalog.pg_table_is_visible(t.oid)
				JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
					AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
				JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
				WHERE t.relname IN ('core_users', 'organizations', 'tenant_users', 'tenant_invitations',
					'sessions', 'password_resets', 'audit_events')
			LOOP
				EXECUTE pg_catalog.format('SELECT pg_catalog.max(%I) FROM %s', c.col, c.tab) INTO highest;
				EXECUTE pg_catalog.format('SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM %s', c.seq) INTO given;
				IF highest > given THEN
					PERFORM pg_catalog.setval(c.seq, highest);
				END IF;
			END LOOP;
		END $$`)
}

// nameUnique gives the index that keeps a column of the original unique a name that the
// code knows, since the name of a violated constraint decides what the error means. The
// names that SQLAlchemy and PostgreSQL give stay.
func nameUnique(table, column string) step {
	return func(tx *gorm.DB) error {
		if !isPostgres(tx) { // whose errors name columns
			return nil
		}
		known := []string{"ix_" + table + "_" + column, table + "_" + column + "_key"}
		var others []string
		err := tx.Raw(`SELECT pg_catalog.quote_ident(x.relname) FROM pg_catalog.pg_index i
			JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
			JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = pg_catalog.to_regclass(?) AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL
				AND a.attname = ? AND x.relname NOT IN ? AND pg_catalog.to_regclass(?) IS NULL
			ORDER BY x.oid LIMIT 1`, table, column, known, known[1]).Scan(&others).Error
		if err != nil || len(others) == 0 {
			return err
		}
		return run(tx, "ALTER INDEX "+others[0]+" RENAME TO "+known[1])
	}
}
