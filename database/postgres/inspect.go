package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database"
	"multitenant/database/postgres/adhoc"
)

// List reads the catalogs of the server.
func (b *backend) List(ctx context.Context, prefix string) (database.Inventory, error) {
	var found database.Inventory
	err := b.eachRow(ctx, `
		SELECT true, datname FROM pg_database WHERE starts_with(datname, $1) AND datname <> current_database()
		UNION ALL SELECT false, rolname FROM pg_roles WHERE starts_with(rolname, $1)
		ORDER BY 1, 2`, prefix, func(rows *sql.Rows) error {
		var isDatabase bool
		var name string
		if err := rows.Scan(&isDatabase, &name); err != nil {
			return err
		}
		if isDatabase {
			found.Databases = append(found.Databases, name)
		} else {
			found.Roles = append(found.Roles, name)
		}
		return nil
	})
	if err != nil {
		return found, fmt.Errorf("list databases and roles: %w", err)
	}
	return found, nil
}

// Size asks the server.
func (b *backend) Size(ctx context.Context, name string) (bytes int64, err error) {
	err = b.core.Statement.ConnPool.QueryRowContext(ctx, "SELECT pg_database_size($1)", name).Scan(&bytes)
	if isMissing(err) {
		err = database.ErrNotExist
	}
	if err != nil {
		return 0, fmt.Errorf("size of database %s: %w", name, err)
	}
	return bytes, nil
}

// Sizes asks the server once. A database of others has no size.
func (b *backend) Sizes(ctx context.Context, names []string) (map[string]int64, error) {
	sizes := make(map[string]int64, len(names))
	rows, err := b.core.Statement.ConnPool.QueryContext(ctx, `SELECT datname, pg_database_size(oid) FROM pg_database
		WHERE datname = ANY($1) AND has_database_privilege(oid, 'CONNECT')`, names)
	if err != nil {
		return nil, fmt.Errorf("sizes of databases: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	for rows.Next() {
		var name string
		var bytes sql.NullInt64 // null when it was dropped meanwhile
		if err := rows.Scan(&name, &bytes); err != nil {
			return nil, fmt.Errorf("sizes of databases: %w", err)
		}
		if bytes.Valid {
			sizes[name] = bytes.Int64
		}
	}
	return sizes, rows.Err()
}

// errNoRole says that an operator cannot work in a tenant with the tenant's rights alone.
var errNoRole = errors.New("the tenant has no role of its own")

// Execute runs the statement in a session of its own, as the tenant's role and not through
// a pooler, which would keep what the statement leaves in the session.
func (b *backend) Execute(ctx context.Context, e *database.Entry, s *database.Statement) (isCut bool, err error) {
	if err := s.Check(); err != nil {
		return false, err
	}
	if e.Login.Role == "" {
		return false, errNoRole
	}
	db, err := b.openTenant(ctx, b.pools.making, &target{server: b.server, name: e.Name, login: e.Login, check: e.Check, path: tablesPath})
	if err != nil {
		return false, err
	}
	err = withServerConn(ctx, db, func(conn *pgx.Conn) (err error) {
		isCut, err = adhoc.Run(ctx, conn.PgConn(), s)
		return err
	})
	return isCut, errors.Join(err, database.Close(db))
}

// Client says how to start psql.
func (b *backend) Client(e *database.Entry, write bool) (database.Client, error) {
	if e.Login.Role == "" {
		return database.Client{}, errNoRole
	}
	hosts := make([]*pgconn.FallbackConfig, len(b.hosts.ways))
	for i, ways := range b.hosts.ways {
		hosts[i] = ways[0]
	}
	return adhoc.Client(e, hosts, b.config.ConnString(), write)
}

// Survey reads the catalogs of the server.
func (b roles) Survey(ctx context.Context, prefix string) (database.Survey, error) {
	survey := database.Survey{
		Core: b.config.Database, App: b.config.User, RoleConnections: b.roleConnections,
		Databases: make(map[string]database.Rights), Roles: make(map[string]database.RoleState),
	}
	if err := b.surveyDatabases(ctx, prefix, survey.Databases); err != nil {
		return survey, fmt.Errorf("look who may use the databases: %w", err)
	}
	if err := b.surveyRoles(ctx, prefix, survey.Roles); err != nil {
		return survey, fmt.Errorf("look at the roles: %w", err)
	}
	for _, look := range []func(context.Context, string) ([]database.Fault, error){b.settings, b.keptShut, b.readOnlyServer} {
		found, err := look(ctx, prefix)
		if err != nil {
			return survey, fmt.Errorf("look at the settings of the server: %w", err)
		}
		survey.Faults = append(survey.Faults, found...)
	}
	return survey, nil
}

func (b roles) surveyDatabases(ctx context.Context, prefix string, databases map[string]database.Rights) error {
	return b.eachRow(ctx, `
		SELECT d.datname, coalesce(r.rolname, ''), coalesce(a.privilege_type, '') FROM pg_database d
		LEFT JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a ON a.grantee <> d.datdba
		LEFT JOIN pg_roles r ON r.oid = a.grantee
		WHERE starts_with(d.datname, $1) OR d.datname = current_database()
		ORDER BY 1, 2, 3`, prefix, func(rows *sql.Rows) error {
		var name, role, privilege string
		if err := rows.Scan(&name, &role, &privilege); err != nil {
			return err
		}
		rights, found := databases[name]
		if !found {
			rights.Roles = make(map[string][]string)
		}
		switch {
		case privilege == "": // the owner alone
		case role == "":
			rights.Public = append(rights.Public, privilege)
		default:
			rights.Roles[role] = append(rights.Roles[role], privilege)
		}
		databases[name] = rights
		return nil
	})
}

func (b roles) surveyRoles(ctx context.Context, prefix string, states map[string]database.RoleState) error {
	return b.eachRow(ctx, `
		SELECT r.rolname, r.rolcanlogin, r.rolconnlimit, coalesce(CASE WHEN r.rolvaliduntil < pg_catalog.now() THEN r.rolvaliduntil::text END, ''),
			concat_ws(' ', CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
				CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
				CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolinherit THEN 'INHERIT' END),
			coalesce((SELECT string_agg(g.rolname, ' ' ORDER BY g.rolname) FROM pg_auth_members m
				JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), ''),
			CASE WHEN r.rolcanlogin THEN '' ELSE coalesce((SELECT string_agg(DISTINCT CASE WHEN s.dbid = 0
					THEN pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid) ELSE 'objects in database ' || d.datname END, ', ')
				FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
				WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid), '') END
		FROM pg_roles r WHERE starts_with(r.rolname, $1)`, prefix, func(rows *sql.Rows) error {
		var name, powers, groups string
		var state database.RoleState
		if err := rows.Scan(&name, &state.CanLogin, &state.Connections, &state.Expired, &powers, &groups, &state.Needed); err != nil {
			return err
		}
		state.Powers, state.MemberOf = strings.Fields(powers), strings.Fields(groups)
		states[name] = state
		return nil
	})
}

// eachRow calls scan for each row of a query of core with the parameter prefix.
func (b *backend) eachRow(ctx context.Context, query, prefix string, scan func(*sql.Rows) error) error {
	rows, err := b.core.Statement.ConnPool.QueryContext(ctx, query, prefix)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
