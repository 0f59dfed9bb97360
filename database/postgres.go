package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

const (
	// oldestServer is the first version with everything used here.
	oldestServer = 140000
	// coreIdle and tenantIdle are how long a connection may wait for work. A
	// tenant's is short, since another tenant may need the room.
	coreIdle   = 5 * time.Minute
	tenantIdle = time.Minute
)

type postgresBackend struct {
	config   *pgx.ConnConfig
	budget   *budget
	core     *gorm.DB
	log      *slog.Logger
	likeness string        // the encoding and locale new databases get: core's
	keys     keyed         // locks inside this process, before those on the server
	sessions chan struct{} // has room for the locks that may pin a core connection

	makesRoles bool
}

func openPostgres(ctx context.Context, o Options) (Backend, error) {
	config, err := parsePostgresURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.MaxConnections < MinConnections {
		return nil, fmt.Errorf("at least %d database connections are needed, not %d", MinConnections, o.MaxConnections)
	}
	b := &postgresBackend{config: config, budget: newBudget(o.MaxConnections), log: o.Logger}
	b.sessions = make(chan struct{}, b.budget.locks())
	b.core, err = b.open(ctx, config, b.budget.core, pool{cap(b.budget.core), coreIdle}, nil)
	if isMissing(err) {
		return nil, fmt.Errorf("core database %q does not exist: create it first, for example with createdb", config.Database)
	}
	if err != nil {
		return nil, fmt.Errorf("open core database: %w", err)
	}
	if err := b.inspect(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Core returns the core database.
func (b *postgresBackend) Core() *gorm.DB { return b.core }

// MaxOpen is what the budget has room for.
func (b *postgresBackend) MaxOpen() int { return b.budget.maxOpen() }

// Close closes the core database.
func (b *postgresBackend) Close() error { return Close(b.core) }

// OpenDatabase opens a tenant's database.
func (b *postgresBackend) OpenDatabase(ctx context.Context, name string, check Check) (*gorm.DB, error) {
	if err := b.checkTenant(name); err != nil {
		return nil, err
	}
	return b.openTenant(ctx, name, Login{}, check)
}

// OpenTenant opens a tenant's database as its role.
func (b *postgresBackend) OpenTenant(ctx context.Context, name string, login Login, check Check) (*gorm.DB, error) {
	if err := b.checkTenant(name); err != nil {
		return nil, err
	}
	return b.openTenant(ctx, name, login, check)
}

func (b *postgresBackend) openTenant(ctx context.Context, name string, login Login, check Check) (*gorm.DB, error) {
	config := b.config.Copy()
	config.Database = name
	if login.Role != "" {
		config.User, config.Password = login.Role, login.Password
	}
	db, err := b.open(ctx, config, b.budget.tenants, pool{tenantConnections, tenantIdle}, check)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return db, nil
}

// Exists asks the server's catalog.
func (b *postgresBackend) Exists(ctx context.Context, name string) (bool, error) {
	if err := checkName(name); err != nil {
		return false, err
	}
	var exists bool
	err := b.core.WithContext(ctx).
		Raw("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = ?)", name).Scan(&exists).Error
	if err != nil {
		return false, fmt.Errorf("look for database %s: %w", name, err)
	}
	return exists, nil
}

// checkTenant keeps everybody off the core database, whatever the registry says.
func (b *postgresBackend) checkTenant(name string) error {
	if name == b.config.Database {
		return fmt.Errorf("%w: %s is the core database", ErrForeign, name)
	}
	return checkName(name)
}

func (b *postgresBackend) open(ctx context.Context, config *pgx.ConnConfig, permits chan struct{}, p pool, check Check) (*gorm.DB, error) {
	c := &connector{driver: stdlib.GetDefaultDriver(), dial: dialPostgres(config, permits), check: check}
	return openGORM(ctx, c, p, newPostgresDialector, b.log)
}

// inspect learns from the core database what its siblings should be like.
func (b *postgresBackend) inspect(ctx context.Context) error {
	var version int
	var encoding, collate, ctype string
	pool, err := b.core.DB()
	if err != nil {
		return fmt.Errorf("inspect core database: %w", err)
	}
	err = pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int,
		pg_encoding_to_char(encoding), datcollate, datctype,
		(SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)
		FROM pg_database WHERE datname = current_database()`).Scan(&version, &encoding, &collate, &ctype, &b.makesRoles)
	if err != nil {
		return fmt.Errorf("inspect core database: %w", err)
	}
	if version < oldestServer {
		return fmt.Errorf("PostgreSQL 14 or later is needed, the server is %d", version/10000)
	}
	b.likeness = fmt.Sprintf("ENCODING %s LC_COLLATE %s LC_CTYPE %s",
		quoteLiteral(encoding), quoteLiteral(collate), quoteLiteral(ctype))
	return nil
}

// isMissing is true when the server has no such database.
func isMissing(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return errors.Is(err, ErrNotExist) || ok && server.Code == "3D000"
}

// postgresDialector is GORM's, except that errors keep the server's inside,
// also when something was wrapped around them.
type postgresDialector struct{ *postgres.Dialector }

func newPostgresDialector(db *sql.DB) gorm.Dialector {
	return postgresDialector{&postgres.Dialector{Config: &postgres.Config{Conn: postgresPool{db}}}}
}

// Translate makes GORM's errors of the server's.
func (postgresDialector) Translate(err error) error { return translatePostgres(err) }
