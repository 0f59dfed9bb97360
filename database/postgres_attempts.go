package database

import "fmt"

// What a tenant's role tries inside its own database. Names in quotes are other
// tenants' and the application's.

// makings try to make something.
func (x *crossing) makings() []attempt {
	attempts := []attempt{
		{name: "create_table", what: "make a table", excuse: x.excuse, statements: []string{"CREATE TABLE public.isolation_trial (id int)"}},
		{name: "create_temporary_table", what: "make a temporary table", statements: []string{"CREATE TEMPORARY TABLE isolation_trial (id int)"}},
		{name: "create_schema", what: "make a schema", statements: []string{"CREATE SCHEMA isolation_trial"}},
		{
			name: "create_function", what: "make a function", excuse: x.excuse,
			statements: []string{"CREATE FUNCTION public.isolation_trial() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
		},
		{name: "create_role", what: "make a role", statements: []string{"CREATE ROLE isolation_trial"}},
	}
	if x.extension != "" {
		attempts = append(attempts, attempt{
			name: "create_extension", what: "make an extension", statements: []string{"CREATE EXTENSION " + quoteIdentifier(x.extension)},
		})
	}
	return attempts
}

// changes try to change what is not rows of its own.
func (x *crossing) changes() []attempt {
	return []attempt{
		{name: "drop_table", what: "drop a table", statements: []string{"DROP TABLE tenant_users"}},
		{name: "alter_table", what: "alter a table", statements: []string{"ALTER TABLE tenant_users ADD COLUMN isolation_trial int"}},
		{name: "truncate_table", what: "empty a table", statements: []string{"TRUNCATE tenant_users"}},
		{name: "write_stamp", what: "write the stamp that says whose database it is", statements: writings("tenant_stamp", "tenant_id")},
		{name: "write_migrations", what: "write the list of migrations", statements: writings("schema_migrations", "id")},
		{
			name: "change_audit", what: "change or remove what is on record", // the triggers apart, which would refuse it as well
			proof: `SELECT count(*) FROM pg_class WHERE oid = to_regclass('audit_events') AND (has_table_privilege(oid, 'UPDATE')
				OR has_table_privilege(oid, 'DELETE') OR has_table_privilege(oid, 'TRUNCATE'))`,
		},
		{
			name: "alter_database", what: "change its database",
			statements: []string{fmt.Sprintf("ALTER DATABASE %s SET work_mem = '1MB'", quoteIdentifier(x.From.Name))},
		},
	}
}

func writings(table, column string) []string {
	return []string{
		fmt.Sprintf("INSERT INTO %s SELECT * FROM %s WHERE false", table, table),
		fmt.Sprintf("UPDATE %s SET %s = %s", table, column, column),
		"DELETE FROM " + table,
	}
}

// disguises try to become another role, or to change one.
func (x *crossing) disguises() []attempt {
	app, own := quoteIdentifier(x.app), quoteIdentifier(x.From.Login.Role)
	attempts := []attempt{
		{name: "become_application", what: "become the application's role", statements: []string{"SET ROLE " + app}},
		{
			name: "switch_session", what: "give its session to the application's role",
			statements: []string{"SET SESSION AUTHORIZATION " + app},
		},
		{
			name: "alter_role", what: "change or enter the application's role",
			statements: []string{"ALTER ROLE " + app + " NOLOGIN", fmt.Sprintf("GRANT %s TO %s", app, own)},
		},
	}
	if x.other.Name != "" {
		attempts = append(attempts, attempt{
			name: "grant_database", what: "let itself into another database",
			statements: []string{fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s", quoteIdentifier(x.other.Name), own)},
			proof: "SELECT count(*) FROM pg_database, aclexplode(datacl) a WHERE privilege_type = 'TEMPORARY' AND datname = " +
				quoteLiteral(x.other.Name) + " AND grantee = (SELECT oid FROM pg_roles WHERE rolname = current_user)",
		})
	}
	if x.other.Login.Role == "" {
		return attempts
	}
	other := quoteIdentifier(x.other.Login.Role)
	return append(attempts,
		attempt{
			name: "become_other_tenant", what: "become another tenant's role",
			statements: []string{"SET ROLE " + other, "SET SESSION AUTHORIZATION " + other},
		},
		attempt{
			name: "alter_other_role", what: "change or enter another tenant's role",
			statements: []string{"ALTER ROLE " + other + " NOLOGIN", fmt.Sprintf("GRANT %s TO %s", other, own)},
		})
}

// reaches try to reach the server, its files and others' sessions. What they
// would do where they are let through does no harm.
func (x *crossing) reaches() []attempt {
	return []attempt{
		{name: "read_passwords", what: "read the roles' passwords", statements: []string{"SELECT rolpassword FROM pg_authid LIMIT 1"}},
		{
			name: "read_file", what: "read the server's files",
			statements: []string{"SELECT pg_read_file('PG_VERSION')", "COPY tenant_users (email) FROM '/dev/null'"},
		},
		{name: "write_file", what: "write the server's files", statements: []string{"COPY (SELECT 1) TO '/dev/null'"}},
		{name: "run_program", what: "run a program on the server", statements: []string{"COPY (SELECT 1) TO PROGRAM 'true'"}},
		{
			name: "watch_session", what: "see what others' sessions do",
			proof: fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND backend_start IS NOT NULL", x.pid),
		},
		{
			name: "end_session", what: "end others' sessions",
			statements: []string{fmt.Sprintf("SELECT pg_terminate_backend(%d)", x.pid)},
		},
	}
}

// freedoms are what PostgreSQL gives every role.
func (x *crossing) freedoms() []attempt {
	return []attempt{
		{
			name: "see_names", what: "see the names of databases and roles", excuse: openCatalogs,
			proof: "SELECT count(*) FROM pg_database, pg_roles WHERE datname <> current_database() AND rolname <> current_user",
		},
		{
			name: "own_password", what: "change its own password", excuse: byAdministrator,
			statements: []string{"ALTER ROLE CURRENT_USER PASSWORD NULL"},
		},
		{
			name: "own_settings", what: "change its own settings", excuse: byAdministrator,
			statements: []string{"ALTER ROLE CURRENT_USER SET statement_timeout = '1min'"},
		},
	}
}
