package tenants

import (
	"context"
	"errors"
	"fmt"

	"multitenant/database"
	"multitenant/database/migrations"
)

// MigrateCore brings the core database up to this code's schema. Its error is
// database.ErrNewerSchema where that is the older one.
func MigrateCore(ctx context.Context, backend database.Backend, prefix string) error {
	if err := migrateCore(ctx, backend, prefix); err != nil {
		return fmt.Errorf("migrate core database: %w", err)
	}
	return nil
}

func migrateCore(ctx context.Context, backend database.Backend, prefix string) error {
	session, err := backend.Lock(ctx, "core schema")
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

// CheckCore fails with database.ErrOlderSchema or database.ErrNewerSchema where
// the core database has another schema than this code.
func (m *Manager) CheckCore(ctx context.Context) error {
	return checkCore(ctx, m.backend, m.prefix)
}

// checkCore refuses a core database of another schema than this code's, in
// words for whoever runs a command.
func checkCore(ctx context.Context, backend database.Backend, prefix string) error {
	applied, err := database.Applied(ctx, backend.Core())
	if err == nil {
		err = database.CheckSchema(applied, migrations.Core(prefix))
	}
	switch {
	case errors.Is(err, database.ErrOlderSchema):
		return fmt.Errorf("core %w: run migrate first", err)
	case errors.Is(err, database.ErrNewerSchema):
		return fmt.Errorf("core %w: use that version or a later one", err)
	case err != nil:
		return fmt.Errorf("core database: %w", err)
	}
	return nil
}
