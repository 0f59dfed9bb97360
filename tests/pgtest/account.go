package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const dropTimeout = 30 * time.Second

// account is a role of a test's own and the database it begins with; both
// have the same name.
type account struct {
	admin    string // the URL of a superuser
	name     string
	password string
	url      string
}

func newAccount(admin string) (*account, error) {
	parsed, err := url.Parse(admin)
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
	return withConnection(ctx, a.admin, func(conn *pgx.Conn) error {
		name := pgx.Identifier{a.name}.Sanitize()
		// The password is hexadecimal, which needs no quoting; CREATE ROLE
		// takes no parameters.
		create := "CREATE ROLE " + name + " LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD '" + a.password + "'"
		if _, err := conn.Exec(ctx, create); err != nil {
			return fmt.Errorf("create role: %w", err)
		}
		// template1 cannot be copied while anybody is connected to it.
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" OWNER "+name+" TEMPLATE template0"); err != nil {
			return fmt.Errorf("create database: %w", err)
		}
		return nil
	})
}

// drop removes the role and all it owns. The server may still be creating a
// database for a client that was killed, hence the repetition.
func (a *account) drop(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), dropTimeout)
	defer cancel()

	err := retry(ctx, func() error {
		return withConnection(ctx, a.admin, func(conn *pgx.Conn) error { return a.dropOnce(ctx, conn) })
	})
	if err != nil {
		tb.Errorf("pgtest: remove %s: %v", a.name, err)
	}
}

func (a *account) dropOnce(ctx context.Context, conn *pgx.Conn) error {
	name := pgx.Identifier{a.name}.Sanitize()
	if _, err := conn.Exec(ctx, "ALTER ROLE "+name+" NOLOGIN"); err != nil {
		return fmt.Errorf("close role: %w", err)
	}
	const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
	if _, err := conn.Exec(ctx, end, a.name); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	const owned = "SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE rolname = $1"
	rows, err := conn.Query(ctx, owned, a.name)
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	roles, err := a.tenantRoles(ctx, conn)
	if err != nil {
		return fmt.Errorf("list roles: %w", err)
	}
	for _, database := range databases {
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{database}.Sanitize()+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop database: %w", err)
		}
	}
	for _, role := range append(roles, a.name) {
		if _, err := conn.Exec(ctx, "DROP ROLE "+pgx.Identifier{role}.Sanitize()); err != nil {
			return fmt.Errorf("drop role: %w", err)
		}
	}
	return nil
}

// tenantRoles lists the roles that the account has made: they may do something
// in its databases.
func (a *account) tenantRoles(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `SELECT DISTINCT r.rolname FROM pg_shdepend s
		JOIN pg_database d ON d.oid = s.dbid OR s.classid = 'pg_database'::regclass AND d.oid = s.objid
		JOIN pg_roles o ON o.oid = d.datdba
		JOIN pg_roles r ON r.oid = s.refobjid
		WHERE s.refclassid = 'pg_authid'::regclass AND o.rolname = $1 AND r.rolname LIKE '%\_role\_%'`, a.name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
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
