package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// createLookup makes what docs/postgresql.md has an administrator make: a database in
// which PgBouncer learns the verifiers of tenants' roles, and nothing else.
func (p *Pooler) createLookup(ctx context.Context) error {
	// Names and passwords are hexadecimal, which needs no quoting.
	err := p.administer(ctx, p.admin,
		"CREATE ROLE "+p.name+" LOGIN PASSWORD '"+p.password+"'",
		"CREATE DATABASE "+p.name+" TEMPLATE template0",
		"REVOKE ALL ON DATABASE "+p.name+" FROM PUBLIC",
		"GRANT CONNECT ON DATABASE "+p.name+" TO "+p.name)
	if err != nil {
		return err
	}
	there, err := url.Parse(p.admin)
	if err != nil {
		return fmt.Errorf("make the pooler's database: %w", err)
	}
	there.Path = "/" + p.name
	return p.administer(ctx, there.String(),
		`CREATE FUNCTION login(wanted text) RETURNS TABLE (name name, verifier text)
			LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
				SELECT rolname, rolpassword FROM pg_authid
				WHERE rolname = wanted AND rolcanlogin AND starts_with(rolname, '`+p.prefix+`_role_') $$`,
		"REVOKE ALL ON FUNCTION login FROM PUBLIC",
		"GRANT EXECUTE ON FUNCTION login TO "+p.name)
}

func (p *Pooler) dropLookup(tb testing.TB) {
	tb.Helper()
	err := p.administer(context.WithoutCancel(tb.Context()), p.admin,
		"DROP DATABASE "+p.name+" WITH (FORCE)", "DROP ROLE "+p.name)
	if err != nil {
		tb.Errorf("pgtest: %v", err)
	}
}

func (*Pooler) administer(ctx context.Context, address string, statements ...string) error {
	return withConnection(ctx, address, func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("the pooler's database: %w", err)
			}
		}
		return nil
	})
}
