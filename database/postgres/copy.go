package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/postgres/copies"
)

// Layout runs the migrations in a transaction of core that is undone.
func (b *backend) Layout(ctx context.Context, list []*gormigrate.Migration) (database.Layout, error) {
	db, err := b.open(ctx, b.pools.making, &target{server: b.server, name: b.config.Database, path: catalogPath})
	if err != nil {
		return nil, fmt.Errorf("list the objects that migrations make: %w", err)
	}
	var layout database.Layout
	err = database.TryMigrations(ctx, db, list, func(tx *gorm.DB) (err error) {
		layout, err = copies.Layout(ctx, tx)
		return err
	})
	if err = errors.Join(err, database.Close(db)); err != nil {
		return nil, fmt.Errorf("list the objects that migrations make: %w", err)
	}
	return layout, nil
}

// Copy reads all tables in one snapshot, by COPY. It copies the tables that the layout
// explains; other objects are named only.
func (b *backend) Copy(ctx context.Context, source *database.Source, sink database.Sink) error {
	from, err := b.targetOf(source)
	if err != nil {
		return err
	}
	return b.onServerConn(ctx, from, "copy", func(conn *pgx.Conn) error { return copies.Copy(ctx, conn, source, sink) })
}

// CheckDump compares the major versions: an older pg_dump refuses the server.
func (b *backend) CheckDump(ctx context.Context, program string) error {
	var server string
	if err := b.core.WithContext(ctx).Raw("SHOW server_version").Scan(&server).Error; err != nil {
		return err
	}
	wanted, err := majorVersion(server)
	if err != nil {
		return err
	}
	found, err := copies.Version(ctx, program)
	if err != nil {
		return fmt.Errorf("%w: %w: install PostgreSQL's client programs of version %d or later", database.ErrNoDump, err, wanted)
	}
	if major, err := majorVersion(found); err != nil || major < wanted {
		return fmt.Errorf("%w: %s is of version %s, and the server of %s: install PostgreSQL's client programs of version %d or later",
			database.ErrNoDump, program, found, server, wanted)
	}
	return nil
}

// ReadDump is for any dump: it needs no server.
func (*backend) ReadDump(ctx context.Context, program string, feed func(io.Writer) error) error {
	return copies.ReadDump(ctx, program, feed)
}

func (b *backend) targetOf(source *database.Source) (*target, error) {
	if !source.Outside.IsNone() {
		return b.outside(source)
	}
	name := source.Name
	if name == "" {
		name = b.config.Database
	} else if err := b.checkTenant(name); err != nil {
		return nil, err
	}
	return &target{server: b.server, name: name, check: source.Check, path: catalogPath}, nil
}

// outside leads to a database of another server.
func (b *backend) outside(source *database.Source) (*target, error) {
	if source.Outside.URL == "" {
		return nil, fmt.Errorf("%w: a file, and the databases here are of %s", database.ErrOtherEngine, driverName)
	}
	config, err := parseServerURL(source.Outside.URL, "")
	if err != nil {
		return nil, fmt.Errorf("the URL %w", err)
	}
	if config.Database == "" {
		return nil, errors.New("the URL must name the database of the tenant")
	}
	other := newServer(config)
	other.hosts.peers.log = b.log
	return &target{server: other, name: config.Database, check: source.Check, path: catalogPath}, nil
}

// Load loads all tables in one transaction, by COPY.
func (b *backend) Load(ctx context.Context, name string, feed func(database.Fill) error) error {
	if err := b.checkTenant(name); err != nil {
		return err
	}
	into := &target{server: b.server, name: name, path: catalogPath}
	return b.onServerConn(ctx, into, "load", func(conn *pgx.Conn) error { return copies.Load(ctx, conn, feed) })
}

// LoadDump connects to the server that answers the program, so that pg_restore uses the same.
func (b *backend) LoadDump(ctx context.Context, name, program string, feed func(io.Writer) error) error {
	if err := b.checkTenant(name); err != nil {
		return err
	}
	into := &target{server: b.server, name: name, path: catalogPath}
	return b.onServerConn(ctx, into, "restore", func(conn *pgx.Conn) error { return copies.LoadDump(ctx, conn, program, feed) })
}

// onServerConn lends a connection of pgx to use, which does the act to the database.
func (b *backend) onServerConn(ctx context.Context, t *target, act string, use func(*pgx.Conn) error) error {
	db, err := b.open(ctx, b.pools.making, t)
	if err != nil {
		return fmt.Errorf("open database %s: %w", t.name, err)
	}
	if err := errors.Join(withServerConn(ctx, db, use), database.Close(db)); err != nil {
		return fmt.Errorf("%s database %s: %w", act, t.name, err)
	}
	return nil
}

func withServerConn(ctx context.Context, db *gorm.DB, use func(*pgx.Conn) error) error {
	handles, err := db.DB()
	if err != nil {
		return err
	}
	conn, err := handles.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(onServer(conn, use), conn.Close())
}

// onServer lends the connection of pgx behind conn to use.
func onServer(conn *sql.Conn, use func(*pgx.Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		held, ok := driverConn.(*lease)
		if !ok {
			return fmt.Errorf("take connection: the pool has a %T", driverConn)
		}
		return use(held.Conn.Conn())
	})
}
