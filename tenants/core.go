package tenants

import (
	"context"
	"errors"
	"fmt"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/models"
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

// OwnerChanged notes that this process has changed a core user. Requests that come later
// see it in the tenants that the user owns, those of other processes within maxAge.
func (m *Manager) OwnerChanged(userID int64) {
	m.handles.ownerChanged(userID)
}

// ClassifyCore turns an error of the core database into KindCoreUnavailable if the
// database is unreachable. It returns any other error as it is.
func (m *Manager) ClassifyCore(err error) error {
	if _, known := errors.AsType[*models.Error](err); !known && IsUnavailable(err) {
		return models.ErrCoreUnavailable.Because(err)
	}
	return err
}
