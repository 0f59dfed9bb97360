package tenants

import (
	"context"
	"sync/atomic"

	"gorm.io/gorm"

	"multitenant/models"
)

// Handles is the pool of handles, for tests that stand in for the registry and
// the engine.
type Handles struct {
	handles *handles
	isShut  atomic.Bool
}

// Keeper is what stands in.
type Keeper struct {
	Read func(ctx context.Context, ids []string) ([]models.Tenant, error)
	Open func(ctx context.Context, record *models.Tenant) (*gorm.DB, error)
}

func (k Keeper) read(ctx context.Context, ids []string) ([]models.Tenant, error) {
	return k.Read(ctx, ids)
}

func (k Keeper) prepare(_ context.Context, record *models.Tenant) (*models.Tenant, error) {
	return record, nil
}

func (k Keeper) open(ctx context.Context, record *models.Tenant) (*gorm.DB, error) {
	return k.Open(ctx, record)
}

// NewHandles makes a pool for at most limit open databases.
func NewHandles(limit int, k Keeper) *Handles {
	return &Handles{handles: newHandles(limit, k, &counts{})}
}

// Lend lends a tenant's database as Manager.AcquireID does.
func (hs *Handles) Lend(ctx context.Context, id string) (tenant *Tenant, release func(), err error) {
	return hs.handles.lend(ctx, id, models.TenantReady, false)
}

// Retire retires a tenant's handle.
func (hs *Handles) Retire(id string) <-chan struct{} { return hs.handles.retire(id) }

// Sweep retires what was not lent since the last sweep.
func (hs *Handles) Sweep() { hs.handles.sweep() }

// Refresh reads the registry again.
func (hs *Handles) Refresh(ctx context.Context) error {
	_, err := hs.handles.refresh(ctx, hs.handles.ids())
	return err
}

// Changed notes a change by this process.
func (hs *Handles) Changed(id string) { hs.handles.changed(id) }

// Shut closes the pool. Closing twice does no harm, as with a Manager.
func (hs *Handles) Shut(ctx context.Context) error {
	if hs.isShut.Swap(true) {
		return nil
	}
	return hs.handles.shut(ctx)
}

// Report warns of what is unexplained, as the tidying does.
func (m *Manager) Report(ctx context.Context) { m.report(ctx) }
