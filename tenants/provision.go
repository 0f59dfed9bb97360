package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	makingWait  = 8 * time.Second // how long a request waits for its turn to make a tenant
	settleWait  = 8 * time.Second // how long it waits for another's making or deleting of the same tenant
	settlePoll  = 25 * time.Millisecond
	undoTimeout = 20 * time.Second // undoing is detached from the request: it must not be cut off with it
	lockTimeout = 5 * time.Second
)

// Plan describes a tenant to be made.
type Plan struct {
	Slug models.Slug
	// Admit, where it is set, is asked before anything is made, once the slug is
	// found to be free.
	Admit func() error
	// Reserve, where it is set, writes the rows of core that come with the
	// tenant, in the very transaction that takes its slug. It may be repeated for
	// another database; what it wrote is gone then.
	Reserve func(ctx context.Context, tx *gorm.DB, tenantID string) error
	// Seed writes the tenant's first rows. It may be repeated for another plan
	// when it fails; what it wrote here is gone then.
	Seed func(ctx context.Context, tenant *Tenant) error
	// Done, where it is set, writes rows of core in the very transaction that makes
	// the tenant ready. Where it fails, there is no tenant.
	Done func(ctx context.Context, tx *gorm.DB, tenantID string) error
}

// PlanOrganization plans the tenant of an organization, whose first user is the
// owner, and records the event. Once it is provisioned, org is the row in core. The owner may have no
// more than most of them, where that is not 0.
func PlanOrganization(event *models.Event, org *models.Organization, owner *models.CoreUser, most int) Plan {
	return Plan{
		Slug: org.Slug,
		Done: func(ctx context.Context, tx *gorm.DB, _ string) error {
			return models.Record(ctx, tx, event.AboutOrganization(org))
		},
		Reserve: func(ctx context.Context, tx *gorm.DB, tenantID string) error {
			org.ID, org.OwnerID, org.TenantID = 0, owner.ID, tenantID
			return models.CreateOrganization(ctx, tx, org, most)
		},
		Seed: func(ctx context.Context, tenant *Tenant) error {
			user := models.OwnerOf(owner)
			return models.CreateUser(ctx, tenant.DB, &user)
		},
	}
}

// Provision makes a tenant: when it returns nil, its database is there,
// migrated, seeded and open; when it returns an error, nothing is left of it,
// or will be as soon as the reconciler comes by. The errors: KindInvalidSlug,
// KindSlugTaken, KindBusy when others are being made for too long, whatever
// Admit, Reserve and Seed return.
//
// A database is made under a name that is no tenant's, and is complete before it
// becomes one's: a spare from the stock, or where that is empty one made now.
// Claiming it takes the slug and gives the database its public name; so one that
// bears that name already is recognised as somebody else's. The tenant's lock is
// held throughout: whoever finds an unfinished row whose lock is free knows that
// its maker is dead.
func (m *Manager) Provision(ctx context.Context, plan Plan) error {
	began := time.Now()
	if err := plan.Slug.CheckNew(); err != nil {
		return err
	}
	// Of the callers in this process that want one slug all but one fail. With the
	// lock they learn it without making a database.
	unlock, err := m.slugs.lock(ctx, plan.Slug)
	if err != nil {
		return models.ErrBusy.Because(err)
	}
	defer unlock()
	if _, err := models.FindTenantBySlug(ctx, m.core, plan.Slug); err == nil {
		return models.ErrSlugTaken
	}
	if plan.Admit != nil {
		if err := plan.Admit(); err != nil {
			return err
		}
	}
	defer m.refillSoon()
	spare, err := m.claimSpare(ctx, plan)
	if !spare && err == nil {
		err = m.claimNew(ctx, plan)
	}
	if m.onProvisioned != nil {
		m.onProvisioned(Provisioned{Spare: spare, Took: time.Since(began), Err: err})
	}
	return err
}

// Occupied reports whether Provision failed because a database that is not
// ours bears the tenant's name.
func Occupied(err error) bool {
	return errors.Is(err, database.ErrExist) || errors.Is(err, database.ErrForeign)
}

// claimSpare makes a tenant of a spare, and reports whether there was one. One
// that turns out to be no good is removed, and counts as none.
func (m *Manager) claimSpare(ctx context.Context, plan Plan) (claimed bool, err error) {
	session, record, err := m.lockSpare(ctx)
	if err != nil || session == nil {
		return false, err
	}
	defer session.Unlock()
	m.step(StepLocked)
	err = m.complete(ctx, session, record, plan)
	if err == nil {
		return true, nil
	}
	isUnfit := errors.Is(err, errUnfit)
	if isUnfit {
		m.logger.ErrorContext(ctx, "spare database is no good", "database", m.privateName(record.ID), "error", err)
		if _, err := models.MoveTenant(ctx, m.core, record.ID, models.TenantUndoing, models.TenantSpare); err != nil {
			return true, err
		}
	}
	if err := m.undo(ctx, session, record, err); !isUnfit {
		return true, err
	}
	return false, nil
}

// claimNew makes a tenant of a database that is made for it.
func (m *Manager) claimNew(ctx context.Context, plan Plan) error {
	if err := takeTurn(ctx, m.making); err != nil {
		return err
	}
	defer m.making.Release(1)
	record := m.newRecord()
	session, err := m.lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	m.step(StepLocked)
	err = m.build(ctx, session, record)
	if err == nil {
		err = m.complete(ctx, session, record, plan)
	}
	if err != nil {
		return m.undo(ctx, session, record, err)
	}
	return nil
}

// complete takes a database that is nobody's through all the steps to a tenant
// that is ready.
func (m *Manager) complete(ctx context.Context, session database.Session, record *models.Tenant, plan Plan) error {
	private := record.DatabaseName
	record.Slug, record.DatabaseName, record.Status = plan.Slug, m.prefix+string(plan.Slug), models.TenantProvisioning
	if err := m.claim(ctx, session, record, private, plan.Reserve); err != nil {
		return err
	}
	return m.seed(ctx, record, plan)
}

// errUnfit says that a database cannot be claimed, by whomever: it has gone, or
// its role has.
var errUnfit = errors.New("database cannot be claimed")

// claim takes the slug for the database, which gets its public name.
func (m *Manager) claim(
	ctx context.Context, session database.Session, record *models.Tenant, private string,
	more func(context.Context, *gorm.DB, string) error,
) error {
	var reserved error
	err := session.Claim(ctx, private, record.DatabaseName, record.Role, func(tx *gorm.DB) error {
		reserved = m.takeSlug(ctx, tx, record, more)
		return reserved
	})
	if Occupied(err) {
		m.logger.ErrorContext(ctx, "a database that is not ours bears the name of a new tenant",
			"tenant", record.Slug, "database", record.DatabaseName)
		return models.ErrSlugTaken.Because(err)
	}
	isReachable := errors.Is(err, database.ErrNotExist) || !database.IsUnavailable(err)
	if err != nil && reserved == nil && isReachable && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUnfit, err)
	}
	if err != nil {
		return fmt.Errorf("claim database: %w", err)
	}
	m.step(StepNamed)
	return nil
}

// takeSlug writes the rows of core that make the database a tenant's.
func (m *Manager) takeSlug(
	ctx context.Context, tx *gorm.DB, record *models.Tenant, more func(context.Context, *gorm.DB, string) error,
) error {
	claimed, err := models.ClaimTenant(ctx, tx, record)
	if err == nil && !claimed {
		err = models.ErrTenantUnavailable.Because(errors.New("a spare was removed while it was claimed"))
	}
	if err != nil || more == nil {
		return err
	}
	return more(ctx, tx, record.ID)
}

// seed writes the tenant's first rows and opens it to everybody.
func (m *Manager) seed(ctx context.Context, record *models.Tenant, plan Plan) error {
	h, err := m.handle(ctx, record)
	if err != nil {
		return err
	}
	defer h.release()
	if err := plan.Seed(ctx, &h.tenant); err != nil {
		return h.tenant.Classify(err)
	}
	m.step(StepSeeded)
	if err := m.makeReady(ctx, record.ID, plan.Done); err != nil {
		return err
	}
	m.handles.changed(record.ID, models.TenantReady)
	m.step(StepReady)
	return nil
}

// makeReady opens the tenant to everybody, together with what also does in core.
func (m *Manager) makeReady(ctx context.Context, id string, also func(context.Context, *gorm.DB, string) error) error {
	ready := func(db *gorm.DB) error {
		moved, err := models.MoveTenant(ctx, db, id, models.TenantReady, models.TenantProvisioning)
		if err != nil || !moved {
			return errors.Join(err, models.ErrTenantUnavailable)
		}
		return nil
	}
	if also == nil {
		return ready(m.core)
	}
	return m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := ready(tx); err != nil {
			return err
		}
		return also(ctx, tx, id)
	})
}

// undo removes what was made of a tenant and returns why. It goes on when the
// request has no more time to wait for it; where it fails, the reconciler will
// do it.
func (m *Manager) undo(ctx context.Context, session database.Session, record *models.Tenant, cause error) error {
	undone := make(chan struct{})
	m.background.Go(func() {
		defer close(undone)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		// A session that was cut off in the middle of a statement is of no more
		// use; its lock is free once the server is done with the statement.
		session.Unlock()
		if err := m.settle(ctx, record.ID); err != nil {
			m.logger.ErrorContext(ctx, "undo tenant", "tenant", record.Slug, "error", err)
			m.reconcileSoon()
		}
	})
	select {
	case <-undone:
	case <-ctx.Done():
	}
	return cause
}

func (m *Manager) lock(ctx context.Context, id string) (database.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	session, err := m.backend.Lock(ctx, lockKey(id))
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, models.ErrBusy.Because(err)
	}
	return session, err
}

func lockKey(id string) string {
	return "tenant " + id
}

func takeTurn(ctx context.Context, queue *semaphore.Weighted) error {
	ctx, cancel := context.WithTimeout(ctx, makingWait)
	defer cancel()
	if err := queue.Acquire(ctx, 1); err != nil {
		return models.ErrBusy.Because(err)
	}
	return nil
}
