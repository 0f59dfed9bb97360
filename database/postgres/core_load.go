package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/postgres/copies"
)

// LoadCore does all in one transaction.
func (b *backend) LoadCore(
	ctx context.Context, list []*gormigrate.Migration, feed func(database.Fill) error, finish func(db *gorm.DB) error,
) error {
	db, err := b.open(ctx, b.pools.making, &target{server: b.server, name: b.config.Database, path: tablesPath})
	if err != nil {
		return fmt.Errorf("open core database: %w", err)
	}
	err = db.WithContext(ctx).Connection(func(session *gorm.DB) error {
		conn, ok := session.Statement.ConnPool.(*sql.Conn)
		if !ok {
			return fmt.Errorf("take connection: got a %T", session.Statement.ConnPool)
		}
		return session.Transaction(func(tx *gorm.DB) error {
			if err := loadCore(ctx, tx, conn, list, feed); err != nil {
				return err
			}
			return finish(tx)
		})
	})
	if err = errors.Join(err, database.Close(db)); err != nil {
		return fmt.Errorf("load core database: %w", err)
	}
	return nil
}

// loadCore migrates and loads core in the transaction tx of conn.
func loadCore(
	ctx context.Context, tx *gorm.DB, conn *sql.Conn, list []*gormigrate.Migration, feed func(database.Fill) error,
) error {
	if err := database.MigrateInside(ctx, tx, list); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := tx.Exec("SET LOCAL search_path = " + catalogPath).Error; err != nil {
		return err
	}
	err := onServer(conn, func(server *pgx.Conn) error { return copies.LoadInside(ctx, server, feed) })
	if err != nil {
		return err
	}
	return tx.Exec("SET LOCAL search_path = " + tablesPath).Error
}
