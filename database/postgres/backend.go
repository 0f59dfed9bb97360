// Package postgres is the PostgreSQL engine: a database for each tenant on one
// server, a role for each, and one bounded set of connections for all.
package postgres

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/pool"
)

// maxOpen bounds the memory of open tenants. One without a connection takes a few
// kilobytes.
const maxOpen = 10_000

type backend struct {
	*server

	tenants  *server // how requests reach tenants: maybe through a pooler
	pools    pools
	core     *gorm.DB
	log      *slog.Logger
	likeness string            // encoding and locale of new databases: those of core
	keys     database.KeyLocks // locks inside this process, before those on the server
	sessions chan struct{}     // has room for the locks that may pin a core connection

	roleConnections int         // what a tenant's role may have at once
	makesRoles      atomic.Bool // whether our own role may make roles
	isSuperuser     bool
	limitsFiles     bool      // whether it may limit the temporary files of a role
	openSchema      sync.Once // is said
}

// Open opens the core database, which must exist. It refuses a server that is too
// old or is no PostgreSQL, an address that does not keep locks apart, and fewer than
// database.MinConnections.
func Open(ctx context.Context, o database.Options) (database.Backend, error) {
	core, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.MaxConnections < database.MinConnections {
		return nil, fmt.Errorf("at least %d database connections are needed, not %d", database.MinConnections, o.MaxConnections)
	}
	b := &backend{server: core, tenants: core, log: o.Logger}
	b.roleConnections = cmp.Or(o.TenantConnections, database.DefaultTenantConnections)
	b.pools = newPools(o.MaxConnections, b.roleConnections)
	if o.TenantURL != "" {
		if b.tenants, err = parseTenantURL(o.TenantURL); err != nil {
			return nil, err
		}
	}
	b.hosts.peers.log, b.tenants.hosts.peers.log = b.log, b.log
	b.sessions = make(chan struct{}, b.pools.locks())
	b.core, err = b.open(ctx, b.pools.core, &target{server: core, name: core.config.Database, path: tablesPath})
	if isMissing(err) {
		return nil, fmt.Errorf("core database %q does not exist: create it first, for example with createdb", core.config.Database)
	}
	if err != nil {
		return nil, fmt.Errorf("open core database: %w", unwrapRefusal(err))
	}
	if err := b.checkLocks(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open core database: %w", err), b.Close())
	}
	if err := b.inspect(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// unwrapRefusal returns the reason why a server cannot be used, without the words of
// the driver.
func unwrapRefusal(err error) error {
	if old, ok := errors.AsType[*oldServerError](err); ok {
		return old
	}
	if other, ok := errors.AsType[*otherEngineError](err); ok {
		return other
	}
	return err
}

// Core returns the core database.
func (b *backend) Core() *gorm.DB { return b.core }

// Place is the hosts and the name of the core database, as a URL has them.
func (b *backend) Place() string {
	hosts := make([]string, 0, len(b.hosts.ways))
	for _, ways := range b.hosts.ways {
		hosts = append(hosts, net.JoinHostPort(ways[0].Host, strconv.Itoa(int(ways[0].Port))))
	}
	return strings.Join(hosts, ",") + "/" + b.config.Database
}

// Ready asks whether core takes writes and whether our role may use its tables.
func (b *backend) Ready(ctx context.Context) error {
	if err := b.checkWritable(ctx); err != nil {
		return err
	}
	lacking, err := roles{b}.lackingOwn(ctx, b.core)
	if err == nil && len(lacking) > 0 {
		err = fmt.Errorf("the role %s may not use %s", b.config.User, strings.Join(lacking, ", "))
	}
	return err
}

// checkWritable asks on a connection that is open, if there is one. A read-only connection
// is not used again: it keeps the settings that it began with.
func (b *backend) checkWritable(ctx context.Context) error {
	handles, err := b.core.DB()
	if err != nil {
		return err
	}
	conn, err := handles.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it is the pool's
	var readOnly string
	if err := conn.QueryRowContext(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
		return err
	}
	if readOnly == "off" {
		return nil
	}
	_ = conn.Raw(breakConn) // it returns what it was given
	return database.ErrReadOnly
}

// breakConn keeps a connection from being used again. It is for sql.Conn.Raw.
func breakConn(conn any) error {
	if held, ok := conn.(*lease); ok {
		held.isBroken = true
	}
	return driver.ErrBadConn
}

// OpensEarly is true: the server begins a process for a session.
func (*backend) OpensEarly() bool { return true }

// MaxOpen is bounded by memory; the pools bound connections.
func (*backend) MaxOpen() int { return maxOpen }

// MaxLocks is the share of core's connections that locks may pin.
func (b *backend) MaxLocks() int { return b.pools.locks() }

// Stats adds up the pools.
func (b *backend) Stats() database.Stats { return b.pools.stats() }

// Close closes the core database.
func (b *backend) Close() error { return database.Close(b.core) }

// OpenDatabase opens a tenant's database to make or migrate it.
func (b *backend) OpenDatabase(ctx context.Context, name string, check database.Check) (*gorm.DB, error) {
	return b.openTenant(ctx, b.pools.making, &target{server: b.server, name: name, check: check, path: catalogPath})
}

// OpenTenant opens a tenant's database to serve requests. Only a tenant's own role
// may go through a pooler: the pooler can put another server connection behind ours,
// which our check never sees. After a deletion the role is gone, so such a connection
// cannot reach a new database of the same name. The application's own role could.
func (b *backend) OpenTenant(ctx context.Context, name string, login database.Login, check database.Check) (*gorm.DB, error) {
	t := &target{server: b.tenants, name: name, login: login, check: check, path: tablesPath, isPooled: b.tenants != b.server}
	if login == (database.Login{}) {
		t.server, t.isPooled = b.server, false
	}
	return b.openTenant(ctx, b.pools.tenants, t)
}

func (b *backend) openTenant(ctx context.Context, p *pool.Pool, t *target) (*gorm.DB, error) {
	if err := b.checkTenant(t.name); err != nil {
		return nil, err
	}
	db, err := b.open(ctx, p, t)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", t.name, err)
	}
	return db, nil
}

// checkTenant refuses the core database, whatever the registry says.
func (b *backend) checkTenant(name string) error {
	if name == b.config.Database {
		return fmt.Errorf("%w: %s is the core database", database.ErrForeign, name)
	}
	return database.CheckName(name)
}

// open adds a database to a pool. A tenant's that serves requests copies core's handle.
// One that is migrated does not: GORM's migrator writes to the parsed models, and
// several databases are migrated at once.
func (b *backend) open(ctx context.Context, p *pool.Pool, t *target) (*gorm.DB, error) {
	s := p.Join(t.dial)
	handles, err := database.ConnectOnce(ctx, pooledConnector{s}, database.Limits{IdleConnections: -1})
	if err != nil {
		return nil, err
	}
	if p == b.pools.tenants {
		return database.CopyGORM(b.core, newGORMPool(handles, s)), nil //nolint:contextcheck // lookups live as long as the database
	}
	db, err := database.OpenGORM(handles, newDialector(newGORMPool(handles, s)), b.log) //nolint:contextcheck // as above
	if err != nil || t.path != catalogPath {
		return db, err
	}
	return db, qualifyTables(db)
}

// inspect reads the encoding and locale that new databases get.
func (b *backend) inspect(ctx context.Context) error {
	var makesRoles bool
	var own locale
	handles, err := b.core.DB()
	if err != nil {
		return fmt.Errorf("inspect core database: %w", err)
	}
	// The columns of the provider's locale have other names in other versions.
	err = handles.QueryRowContext(ctx, `SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text,
		coalesce(jsonb_extract_path_text(to_jsonb(d), 'datlocale'), jsonb_extract_path_text(to_jsonb(d), 'daticulocale'), ''),
		coalesce(jsonb_extract_path_text(to_jsonb(d), 'daticurules'), ''),
		rolcreaterole OR rolsuper, rolsuper, has_parameter_privilege('temp_file_limit', 'SET')
		FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles ON rolname = current_user
		WHERE datname = pg_catalog.current_database()`).
		Scan(&own.encoding, &own.collate, &own.ctype, &own.provider, &own.name, &own.rules, &makesRoles, &b.isSuperuser, &b.limitsFiles)
	if err != nil {
		return fmt.Errorf("inspect core database: %w", err)
	}
	b.makesRoles.Store(makesRoles)
	if own.encoding != "UTF8" {
		return fmt.Errorf("core database %q has the encoding %s, and UTF8 is needed: "+
			"make another with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", b.config.Database, own.encoding)
	}
	b.likeness = own.options()
	return nil
}

// locale says how a database sorts and compares texts.
type locale struct{ encoding, collate, ctype, provider, name, rules string }

// options are those of CREATE DATABASE that give another database the same locale. The
// server's default may be of another provider.
func (l locale) options() string {
	text := fmt.Sprintf("ENCODING %s LC_COLLATE %s LC_CTYPE %s", quoteLiteral(l.encoding), quoteLiteral(l.collate), quoteLiteral(l.ctype))
	switch l.provider {
	case "i":
		text += " LOCALE_PROVIDER icu ICU_LOCALE " + quoteLiteral(l.name)
	case "b":
		text += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + quoteLiteral(l.name)
	default:
		text += " LOCALE_PROVIDER libc"
	}
	if l.rules != "" {
		text += " ICU_RULES " + quoteLiteral(l.rules)
	}
	return text
}

// isMissing is true when the server has no such database.
func isMissing(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return errors.Is(err, database.ErrNotExist) || ok && server.Code == "3D000"
}

// dialector is GORM's dialector, except that a translated error still wraps the
// error of the server.
type dialector struct{ *postgres.Dialector }

func newDialector(db gormPool) gorm.Dialector {
	return dialector{&postgres.Dialector{Config: &postgres.Config{Conn: db}}}
}

// Translate turns errors of the server into those of GORM.
func (dialector) Translate(err error) error { return translate(err) }
