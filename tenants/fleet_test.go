package tenants_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/tenants"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// fleet stands in for the registry and the engine: its databases do nothing but
// know whether they are open.
type fleet struct {
	*tenants.Handles

	late    func()        // where not nil, it is called between reading rows and their arrival
	silent  atomic.Bool   // the registry does not answer
	opening chan struct{} // where not nil, each opening waits for a turn
	failing atomic.Bool   // openings fail
	open    atomic.Int64  // databases that are open
	most    atomic.Int64  // the most there were
	opened  atomic.Int64  // openings so far

	mu     sync.Mutex // guards status
	status map[string]models.TenantStatus
}

func newFleet(t *testing.T, limit int) *fleet {
	t.Helper()
	f := &fleet{status: make(map[string]models.TenantStatus)}
	f.Handles = tenants.NewHandles(limit, tenants.Keeper{Read: f.read, Open: f.openOne})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(t, f.Shut(ctx))
		require.Zero(t, f.open.Load(), "databases are left open")
	})
	return f
}

func (f *fleet) set(id string, status models.TenantStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status[id] = status
}

func (f *fleet) read(ctx context.Context, ids []string) ([]models.Tenant, error) {
	if f.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	var records []models.Tenant
	for _, id := range ids {
		status, known := f.status[id]
		if !known {
			status = models.TenantReady
		}
		if status != "" {
			records = append(records, models.Tenant{ID: id, Slug: models.Slug(id), Status: status})
		}
	}
	f.mu.Unlock()
	if f.late != nil {
		f.late()
	}
	return records, nil
}

var errBroken = errors.New("broken")

func (f *fleet) openOne(context.Context, *models.Tenant) (*gorm.DB, error) {
	if f.opening != nil {
		<-f.opening
	}
	f.opened.Add(1)
	if f.failing.Load() {
		return nil, errBroken
	}
	now := f.open.Add(1)
	for most := f.most.Load(); now > most && !f.most.CompareAndSwap(most, now); most = f.most.Load() {
	}
	return &gorm.DB{Config: &gorm.Config{ConnPool: sql.OpenDB(&engine{closed: func() { f.open.Add(-1) }})}}, nil
}

// engine makes connections that only exist.
type engine struct{ closed func() }

func (e *engine) Connect(context.Context) (driver.Conn, error) { return connection{}, nil }
func (e *engine) Driver() driver.Driver                        { return nil }
func (e *engine) Close() error                                 { e.closed(); return nil }

type connection struct{ driver.Conn }

func (connection) Ping(context.Context) error { return nil }
func (connection) Close() error               { return nil }

// requireOpen fails where the database is closed, which database/sql tells.
func requireOpen(tenant *tenants.Tenant) error {
	db, err := tenant.DB.DB()
	if err != nil {
		return err
	}
	return db.Ping()
}
