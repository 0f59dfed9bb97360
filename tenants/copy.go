package tenants

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"multitenant/database"
	"multitenant/models"
)

// watchEvery is how often it is looked whether a tenant is being deleted while it is
// copied. It is shorter than a deletion waits.
const watchEvery = time.Second

var (
	// ErrUnfinished says that a tenant cannot be copied because it is being made or
	// removed. The message says which.
	ErrUnfinished = errors.New("it is")
	// ErrBehind says that a tenant cannot be copied before it is migrated.
	ErrBehind = errors.New("its schema is not this program's: run migrate first")

	errDeleted = fmt.Errorf("%w being deleted", ErrUnfinished)
)

// LendForCopy lends do a tenant that is to be copied, whose lock the caller must hold:
// then it is not migrated meanwhile, whose ALTER TABLE would wait for the copy, and all
// queries behind it. The context of do ends when the tenant is marked for deletion, which
// waits for the lock. The errors are those of do, KindTenantNotFound, ErrUnfinished and
// ErrBehind.
func (d *Databases) LendForCopy(
	ctx context.Context, id string, do func(ctx context.Context, record *models.Tenant) error,
) error {
	record, err := models.FindTenant(ctx, d.Core, id)
	if err != nil {
		return err
	}
	if !record.Status.IsFinished() {
		return fmt.Errorf("%w %s", ErrUnfinished, record.Status)
	}
	if record.SchemaVersion != d.Version {
		return ErrBehind
	}
	watched, stop := d.untilDeleted(ctx, id)
	defer stop()
	if err := do(watched, &record); err != nil {
		if errors.Is(context.Cause(watched), errDeleted) {
			return errDeleted
		}
		return err
	}
	return nil
}

// untilDeleted returns a context that ends when the tenant is marked for deletion.
func (d *Databases) untilDeleted(ctx context.Context, id string) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-ticker.C:
			}
			record, err := models.FindTenant(watched, d.Core, id)
			if err == nil && record.Status == models.TenantDeleting {
				cancel(errDeleted)
			}
		}
	})
	return watched, func() { cancel(nil); watching.Wait() }
}

// SourceOf says how the tenant's database is copied. layout is what d.Migrations make.
func (d *Databases) SourceOf(record *models.Tenant, layout database.Layout) *database.Source {
	return &database.Source{Name: record.DatabaseName, Check: d.StampedWith(record.ID), Role: record.Role, Layout: layout}
}
