package tenants

import (
	"context"
	"fmt"

	"multitenant/database"
	"multitenant/database/migrations"
)

// CoreLock is the name of the lock that is held while core is migrated.
const CoreLock = "core schema"

// MigrateCore migrates the core database to this code's schema. It returns
// database.ErrNewerSchema if the core database is newer.
func MigrateCore(ctx context.Context, backend database.Backend, prefix string) error {
	if err := migrateCore(ctx, backend, prefix); err != nil {
		return fmt.Errorf("migrate core database: %w", err)
	}
	return nil
}

func migrateCore(ctx context.Context, backend database.Backend, prefix string) error {
	waiting, cancel := context.WithTimeout(ctx, MigrateTimeout) // for another process that migrates it
	defer cancel()
	session, err := backend.Lock(waiting, CoreLock)
	if err != nil {
		return err
	}
	defer session.Unlock()
	if err := database.Migrate(ctx, backend.Core(), migrations.Core(prefix)); err != nil {
		return err
	}
	if roles := backend.Roles(); roles != nil {
		return roles.Secure(ctx)
	}
	return nil
}
