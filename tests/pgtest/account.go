package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

const dropTimeout = 30 * time.Second

// adminConnections is how many tests make and drop databases at a time. A session
// costs as much as a database: all tests share them.
const adminConnections = 4

// openAdmin opens the superuser's sessions of the server of that URL.
func openAdmin(server string) (*sql.DB, error) {
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return nil, errors.New("the server's URL cannot be read") // err repeats it, and so the password
	}
	admin.SetMaxOpenConns(adminConnections)
	admin.SetMaxIdleConns(adminConnections)
	return admin, nil
}

// account is a role of a test's own and the database it begins with; both
// have the same name.
type account struct {
	admin    *sql.DB // a superuser's
	name     string
	password string
	url      string
}

// newAccount returns an account that is not yet created, on the server of that URL.
func newAccount(admin *sql.DB, server string) (*account, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		// url.Parse repeats its input, and so the password.
		return nil, errors.New("the server's URL cannot be read")
	}
	a := &account{admin: admin, name: "core_" + randomHex(6), password: randomHex(16)}
	parsed.User = url.UserPassword(a.name, a.password)
	parsed.Path = "/" + a.name
	a.url = parsed.String()
	return a, nil
}

func (a *account) create(ctx context.Context) error {
	name := pgx.Identifier{a.name}.Sanitize()
	// The password is hexadecimal, which needs no quoting; CREATE ROLE
	// takes no parameters.
	create := "CREATE ROLE " + name + " LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD '" + a.password + "'" //nolint:gosec // see above
	if _, err := a.admin.ExecContext(ctx, create); err != nil {
		return fmt.Errorf("create role: %w", err)
	}
	// template1 cannot be copied while a session is connected to it. Without fsync a copy
	// of the files takes a third of the time that a copy through the log takes.
	if _, err := a.admin.ExecContext(ctx, "CREATE DATABASE "+name+" OWNER "+name+" TEMPLATE template0 STRATEGY file_copy"); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

// drop removes the role and all it owns. The server may still be creating a
// database for a client that was killed, hence the repetition.
func (a *account) drop(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), dropTimeout)
	defer cancel()

	if err := retry(ctx, func() error { return a.dropOnce(ctx) }); err != nil {
		tb.Errorf("pgtest: remove %s: %v", a.name, err)
	}
}

func (a *account) dropOnce(ctx context.Context) error {
	name := pgx.Identifier{a.name}.Sanitize()
	if _, err := a.admin.ExecContext(ctx, "ALTER ROLE "+name+" NOLOGIN"); err != nil {
		return fmt.Errorf("close role: %w", err)
	}
	const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
	if _, err := a.admin.ExecContext(ctx, end, a.name); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	roles, err := a.tenantRoles(ctx)
	if err != nil {
		return fmt.Errorf("list roles: %w", err)
	}
	if err := a.dropOthers(ctx, "", roles); err != nil {
		return err
	}
	if _, err := a.admin.ExecContext(ctx, "DROP ROLE "+name); err != nil {
		return fmt.Errorf("drop role: %w", err)
	}
	return nil
}

// clear drops what the account has made, but keeps the database that it began with. The
// names of the roles that it made begin with prefix.
func (a *account) clear(ctx context.Context, prefix string) error {
	roles, err := a.list(ctx, "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", prefix)
	if err != nil {
		return fmt.Errorf("list roles: %w", err)
	}
	return a.dropOthers(ctx, a.name, roles)
}

// dropOthers drops the databases of the account but the one to keep, and then roles that
// it has made.
func (a *account) dropOthers(ctx context.Context, keep string, roles []string) error {
	databases, err := a.list(ctx,
		"SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE rolname = $1", a.name)
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	for _, database := range databases {
		if database == keep {
			continue
		}
		if _, err := a.admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{database}.Sanitize()+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop database: %w", err)
		}
	}
	for _, role := range roles {
		if _, err := a.admin.ExecContext(ctx, "DROP ROLE "+pgx.Identifier{role}.Sanitize()); err != nil {
			return fmt.Errorf("drop role: %w", err)
		}
	}
	return nil
}

// tenantRoles lists the roles that the account has made: they may do something
// in its databases.
func (a *account) tenantRoles(ctx context.Context) ([]string, error) {
	return a.list(ctx, `SELECT DISTINCT r.rolname FROM pg_shdepend s
		JOIN pg_database d ON d.oid = s.dbid OR s.classid = 'pg_database'::regclass AND d.oid = s.objid
		JOIN pg_roles o ON o.oid = d.datdba
		JOIN pg_roles r ON r.oid = s.refobjid
		WHERE s.refclassid = 'pg_authid'::regclass AND o.rolname = $1 AND r.rolname LIKE '%\_role\_%'`, a.name)
}

// list returns the names that a query finds.
func (a *account) list(ctx context.Context, query, parameter string) ([]string, error) {
	rows, err := a.admin.QueryContext(ctx, query, parameter)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what is wrong
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// withConnection lends a connection that lasts for one call.
func withConnection(ctx context.Context, address string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	return use(conn)
}

// retry calls try until it succeeds or the context ends, and returns its last
// error.
func retry(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()

	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, it says
	return hex.EncodeToString(b)
}
