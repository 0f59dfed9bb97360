package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// seedWait bounds the writing of a tenant's first rows.
const seedWait = 4 * time.Second

// errUnfit says that a database can never be claimed: it is gone, or its role is.
var errUnfit = errors.New("database cannot be claimed")

// claim is a complete database that a tenant claims.
type claim struct {
	session database.Session // has the tenant's lock
	record  *models.Tenant   // the row, with the slug once that is taken
	private string           // the name of the database until the tenant is ready
	open    *gorm.DB         // the database; nil while it is not open
}

func newClaim(session database.Session, record *models.Tenant) *claim {
	return &claim{session: session, record: record, private: record.DatabaseName}
}

// complete makes a tenant that is ready. It takes the slug, has the first rows written
// while the database has its private name, and gives it the public name last: renaming ends
// all sessions, and the caller would wait for a new one.
func (m *Manager) complete(ctx context.Context, c *claim, slug models.Slug, plan plan) error {
	public, err := m.databases.publicName(ctx, c.record.ID, slug)
	if err != nil {
		return err
	}
	c.record.Slug, c.record.DatabaseName, c.record.Status = slug, public, models.TenantProvisioning
	err = c.session.CheckFree(ctx, public)
	if Occupied(err) {
		return m.occupied(ctx, c.record, err)
	}
	if err != nil {
		return err
	}
	if err := m.takeSlug(ctx, c.record, plan); err != nil {
		return err
	}
	if err := m.seed(ctx, c, plan); err != nil {
		return err
	}
	return m.makeReady(ctx, c, plan)
}

// occupied is KindSlugTaken because a database that is not ours bears the name of the new
// tenant.
func (m *Manager) occupied(ctx context.Context, record *models.Tenant, cause error) error {
	m.logger.ErrorContext(ctx, "a database that is not ours bears the name of a new tenant",
		"tenant", record.Slug, "database", record.DatabaseName)
	return models.ErrSlugTaken.Because(cause)
}

// takeSlug writes the rows of core that belong to the claim.
func (m *Manager) takeSlug(ctx context.Context, record *models.Tenant, plan plan) error {
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		claimed, err := models.ClaimTenant(ctx, tx, record)
		if err == nil && !claimed {
			err = models.ErrTenantUnavailable.Because(errors.New("a spare was removed while it was claimed"))
		}
		if err != nil {
			return err
		}
		return plan.reserve(ctx, tx, record.ID)
	})
	if err != nil {
		return fmt.Errorf("claim database: %w", err)
	}
	m.databases.step(StepNamed)
	return nil
}

// seed has the tenant's first rows written, and leaves the database. The error is of
// KindBusy if that takes longer than seedWait, because all connections for making are in use.
func (m *Manager) seed(ctx context.Context, c *claim, plan plan) error {
	err := m.writeFirst(ctx, c, plan)
	switch {
	case errors.Is(err, database.ErrNotExist), errors.Is(err, database.ErrForeign):
		return fmt.Errorf("%w: %w", errUnfit, classify(err))
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return models.ErrBusy.Because(err)
	case err != nil:
		return classify(err)
	}
	if err := c.session.Leave(ctx, c.private, c.open); err != nil {
		return err
	}
	c.open = nil
	m.databases.step(StepSeeded)
	return nil
}

// writeFirst opens the database, unless it is open, and writes the tenant's first rows.
func (m *Manager) writeFirst(ctx context.Context, c *claim, plan plan) (err error) {
	ctx, cancel := context.WithTimeout(ctx, seedWait)
	defer cancel()
	if c.open == nil {
		c.open = m.openSpares.take(c.record.ID)
	}
	if c.open == nil {
		c.open, err = m.databases.Backend.OpenDatabase(ctx, c.private, m.databases.StampedWith(c.record.ID))
	}
	if err != nil {
		return err
	}
	return plan.seed(ctx, newTenant(c.record, c.open))
}

// makeReady gives the database its public name, sets the status and records the event.
func (m *Manager) makeReady(ctx context.Context, c *claim, plan plan) error {
	var failed error
	err := c.session.Claim(ctx, c.private, c.record.DatabaseName, c.record.Role, func(tx *gorm.DB) error {
		var moved bool
		moved, failed = models.MoveTenant(ctx, tx, c.record.ID, models.TenantReady, models.TenantProvisioning)
		if failed == nil && !moved {
			failed = models.ErrTenantUnavailable
		}
		if failed == nil {
			failed = plan.record(ctx, tx)
		}
		return failed
	})
	isReachable := errors.Is(err, database.ErrNotExist) || !database.IsUnavailable(err)
	switch {
	case err == nil:
		m.databases.step(StepReady)
		return nil
	case Occupied(err):
		return m.occupied(ctx, c.record, err)
	case failed == nil && isReachable && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", errUnfit, err)
	}
	return fmt.Errorf("name database: %w", err)
}

// undo removes what was made of a tenant, in the background. The channel is closed when
// that has ended, or ctx. If it fails, the reconciler repeats it.
func (m *Manager) undo(ctx context.Context, c *claim) <-chan struct{} {
	ended, end := context.WithCancel(ctx)
	m.background.Go(func() {
		defer end()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if c.open != nil {
			_ = database.Close(c.open) // the database is dropped
		}
		// The session is unusable if it was cut off during a statement. Its lock is
		// free once the server has ended that statement.
		c.session.Unlock()
		if err := m.databases.remove(ctx, c.record.ID); err != nil {
			m.logger.ErrorContext(ctx, "undo tenant", "tenant", c.record.Slug, "error", err)
			m.reconcileSoon()
		}
	})
	return ended.Done()
}
