package postgres

import (
	"context"
	"errors"
	"fmt"

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
	name := source.Name
	if name == "" {
		name = b.config.Database
	} else if err := b.checkTenant(name); err != nil {
		return err
	}
	return b.onServerConn(ctx, name, source.Check, "copy", func(conn *pgx.Conn) error {
		return copies.Copy(ctx, conn, source, sink)
	})
}

// Load loads all tables in one transaction, by COPY.
func (b *backend) Load(ctx context.Context, name string, feed func(database.Fill) error) error {
	if err := b.checkTenant(name); err != nil {
		return err
	}
	return b.onServerConn(ctx, name, nil, "load", func(conn *pgx.Conn) error { return copies.Load(ctx, conn, feed) })
}

// onServerConn lends a connection of pgx to use, which does the act to the database.
func (b *backend) onServerConn(ctx context.Context, name string, check database.Check, act string, use func(*pgx.Conn) error) error {
	db, err := b.open(ctx, b.pools.making, &target{server: b.server, name: name, check: check, path: catalogPath})
	if err != nil {
		return fmt.Errorf("open database %s: %w", name, err)
	}
	if err := errors.Join(withServerConn(ctx, db, use), database.Close(db)); err != nil {
		return fmt.Errorf("%s database %s: %w", act, name, err)
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
	err = conn.Raw(func(driverConn any) error {
		held, ok := driverConn.(*lease)
		if !ok {
			return fmt.Errorf("take connection: the pool has a %T", driverConn)
		}
		return use(held.Conn.Conn())
	})
	return errors.Join(err, conn.Close())
}
