package postgres

import (
	"fmt"

	"multitenant/database"
)

// These are the statements that a tenant's role tries inside its own database.

// makings try to make something.
func (x *crossing) makings() []database.Attempt {
	attempts := []database.Attempt{
		{Name: "create_table", What: "make a table" + x.inPublic, Statements: []string{"CREATE TABLE public.isolation_trial (id int)"}},
		{Name: "create_temporary_table", What: "make a temporary table", Statements: []string{"CREATE TEMPORARY TABLE isolation_trial (id int)"}},
		{Name: "create_schema", What: "make a schema", Statements: []string{"CREATE SCHEMA isolation_trial"}},
		{
			Name: "create_function", What: "make a function" + x.inPublic,
			Statements: []string{"CREATE FUNCTION public.isolation_trial() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
		},
		{Name: "create_role", What: "make a role", Statements: []string{"CREATE ROLE isolation_trial"}},
	}
	if x.extension != "" {
		attempts = append(attempts, database.Attempt{
			Name: "create_extension", What: "make an extension", Statements: []string{"CREATE EXTENSION " + quoteIdentifier(x.extension)},
		})
	}
	return attempts
}

// changes try to change more than rows of its own.
func (x *crossing) changes() []database.Attempt {
	return []database.Attempt{
		{Name: "drop_table", What: "drop a table", Statements: []string{"DROP TABLE public.tenant_users"}},
		{Name: "alter_table", What: "alter a table", Statements: []string{"ALTER TABLE public.tenant_users ADD COLUMN isolation_trial int"}},
		{Name: "truncate_table", What: "empty a table", Statements: []string{"TRUNCATE public.tenant_users"}},
		{Name: "write_stamp", What: "write the stamp that says whose database it is", Statements: writings("public.tenant_stamp", "tenant_id")},
		{Name: "write_migrations", What: "write the list of migrations", Statements: writings("public.schema_migrations", "id")},
		{
			Name: "change_audit", What: "change or remove what is on record", // the triggers apart, which would refuse it as well
			Proof: `SELECT count(*) FROM pg_class WHERE oid = to_regclass('public.audit_events') AND (has_table_privilege(oid, 'UPDATE')
				OR has_table_privilege(oid, 'DELETE') OR has_table_privilege(oid, 'TRUNCATE'))`,
		},
		{
			Name: "alter_database", What: "change its database",
			Statements: []string{fmt.Sprintf("ALTER DATABASE %s SET work_mem = '1MB'", quoteIdentifier(x.From.Name))},
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
func (x *crossing) disguises() []database.Attempt {
	app, own := quoteIdentifier(x.app), quoteIdentifier(x.From.Login.Role)
	attempts := []database.Attempt{
		{Name: "become_application", What: "become the application's role", Statements: []string{"SET ROLE " + app}},
		{
			Name: "switch_session", What: "give its session to the application's role",
			Statements: []string{"SET SESSION AUTHORIZATION " + app},
		},
		{
			Name: "alter_role", What: "change or enter the application's role",
			Statements: []string{"ALTER ROLE " + app + " NOLOGIN", fmt.Sprintf("GRANT %s TO %s", app, own)},
		},
	}
	if x.other.Name != "" {
		attempts = append(attempts, database.Attempt{
			Name: "grant_database", What: "let itself into another database",
			Statements: []string{fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s", quoteIdentifier(x.other.Name), own)},
			Proof: "SELECT count(*) FROM pg_database, aclexplode(datacl) a WHERE privilege_type = 'TEMPORARY' AND datname = " +
				quoteLiteral(x.other.Name) + " AND grantee = (SELECT oid FROM pg_roles WHERE rolname = current_user)",
		})
	}
	if x.other.Login.Role == "" {
		return attempts
	}
	other := quoteIdentifier(x.other.Login.Role)
	return append(attempts,
		database.Attempt{
			Name: "become_other_tenant", What: "become another tenant's role",
			Statements: []string{"SET ROLE " + other, "SET SESSION AUTHORIZATION " + other},
		},
		database.Attempt{
			Name: "alter_other_role", What: "change or enter another tenant's role",
			Statements: []string{"ALTER ROLE " + other + " NOLOGIN", fmt.Sprintf("GRANT %s TO %s", other, own)},
		})
}

// reaches try to reach the server, its files and other sessions. They do no harm
// where they succeed.
func (x *crossing) reaches() []database.Attempt {
	return []database.Attempt{
		{Name: "read_passwords", What: "read the roles' passwords", Statements: []string{"SELECT rolpassword FROM pg_authid LIMIT 1"}},
		{
			Name: "read_file", What: "read the server's files",
			Statements: []string{"SELECT pg_read_file('PG_VERSION')", "COPY public.tenant_users (email) FROM '/dev/null'"},
		},
		{Name: "write_file", What: "write the server's files", Statements: []string{"COPY (SELECT 1) TO '/dev/null'"}},
		{Name: "run_program", What: "run a program on the server", Statements: []string{"COPY (SELECT 1) TO PROGRAM 'true'"}},
		{
			Name: "watch_session", What: "see what others' sessions do",
			Proof: fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND backend_start IS NOT NULL", x.pid),
		},
		{
			Name: "end_session", What: "end others' sessions",
			Statements: []string{fmt.Sprintf("SELECT pg_terminate_backend(%d)", x.pid)},
		},
	}
}

// excesses try to use up resources of the server that all tenants share.
func (x *crossing) excesses() []database.Attempt {
	const limit = "SELECT count(*) FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolconnlimit "
	return []database.Attempt{
		{
			Name: "unlimited_connections", What: "take connections without a limit: tenants doctor --repair gives its role one",
			Proof: limit + "< 0)",
		},
		{
			Name: "all_connections", What: "take all connections of the server",
			Excuse: "TENANT_CONNECTION_LIMIT is not below max_connections, which only the server's administrator can raise",
			Proof:  limit + ">= current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int)",
		},
		{
			Name: "endless_statement", What: "run a statement without an end", Excuse: byAdministrator,
			Statements: []string{"SET LOCAL statement_timeout = 0"},
		},
		{
			Name: "temporary_files", What: "fill the server's disk with temporary files",
			Excuse: "only the server's administrator can set temp_file_limit, or GRANT SET ON PARAMETER temp_file_limit to the application's role",
			Proof:  "SELECT count(*) FROM pg_settings WHERE name = 'temp_file_limit' AND setting = '-1'",
		},
		{
			Name: "large_object", What: "fill its database with large objects, which no table shows",
			Excuse:     "only the server's administrator can REVOKE EXECUTE ON FUNCTION lo_create, lo_creat, lo_from_bytea",
			Statements: []string{"SELECT lo_create(0)"},
		},
		{
			Name: "notify", What: "fill the queue of notifications, which all databases share", Excuse: "PostgreSQL lets every role",
			Statements: []string{"NOTIFY isolation_trial"},
		},
	}
}

// freedoms are things that PostgreSQL lets every role do.
func (x *crossing) freedoms() []database.Attempt {
	return []database.Attempt{
		{
			Name: "see_names", What: "see the names of databases and roles", Excuse: openCatalogs,
			Proof: "SELECT count(*) FROM pg_database, pg_roles WHERE datname <> current_database() AND rolname <> current_user",
		},
		{
			Name: "own_password", What: "change its own password", Excuse: byAdministrator,
			Statements: []string{"ALTER ROLE CURRENT_USER PASSWORD NULL"},
		},
		{
			Name: "own_settings", What: "change its own settings", Excuse: byAdministrator,
			Statements: []string{"ALTER ROLE CURRENT_USER SET statement_timeout = '1min'"},
		},
	}
}
