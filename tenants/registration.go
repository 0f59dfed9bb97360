package tenants

import (
	"context"
	"errors"
	"time"

	"multitenant/models"
)

// CheckRegistration says whether somebody may register in the tenant with that
// slug, before anything is done for them, and whether that would make it:
// KindTenantSuspended, KindInvitationRequired, KindRegistrationClosed; for a tenant
// that does not exist KindInvalidInvitation where they are invited,
// KindTenantNotFound where registrations make none, or KindInvalidTenant where none
// may have that name.
func (m *Manager) CheckRegistration(ctx context.Context, slug models.Slug, invited bool) (isNew bool, err error) {
	record, registration, err := models.FindRegistration(ctx, m.core, slug)
	switch {
	case err == nil && record.Status == models.TenantSuspended:
		return false, admit(record.Status)
	case err == nil:
		return false, registration.Admit(invited)
	case !models.IsKind(err, models.KindTenantNotFound):
		return false, err
	case invited:
		return false, models.ErrInvalidInvitation.Because(err)
	case !m.autoCreate:
		return false, err
	case slug.CheckNew() != nil:
		return false, models.ErrInvalidTenant
	}
	return true, nil
}

// Registration makes a user of the tenant with that role: the first of a tenant
// that registering has made is its owner.
type Registration func(ctx context.Context, tenant *Tenant, role models.Role) error

// Newcomer is somebody who registers in a tenant.
type Newcomer struct {
	Invited bool         // for whom no tenant is made: one that does not exist has not invited anybody
	MayMake func() error // is asked before a tenant is made for anybody else
}

// Register runs do in the database of the tenant with that slug. For somebody who
// is not invited it is made if there is none and MayMake agrees; then do is what
// seeds it, and nothing is left of a tenant whose first registration fails. However
// many come at once, one of them makes it and the others find it. The errors are
// CheckRegistration's too: things may have changed since.
func (m *Manager) Register(ctx context.Context, slug models.Slug, newcomer Newcomer, do Registration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWait, errors.New("another makes or deletes the tenant"))
	defer cancel()
	for {
		record, registration, err := models.FindRegistration(ctx, m.core, slug)
		switch {
		case models.IsKind(err, models.KindTenantNotFound) && newcomer.Invited:
			return models.ErrInvalidInvitation.Because(err)
		case models.IsKind(err, models.KindTenantNotFound):
			err = m.registerFirst(ctx, slug, newcomer.MayMake, do)
			if !errors.Is(err, errTaken) {
				return err
			}
		case err != nil:
			return err
		case record.Status.IsSettled():
			if err := registration.Admit(newcomer.Invited); err != nil {
				return err
			}
			return m.registerIn(ctx, &record, do)
		}
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
			return models.ErrBusy.Because(context.Cause(ctx))
		}
	}
}

// errTaken says that another was first to make the tenant.
var errTaken = errors.New("tenant exists")

func (m *Manager) registerFirst(ctx context.Context, slug models.Slug, mayMake func() error, do Registration) error {
	if !m.autoCreate {
		return models.ErrTenantNotFound
	}
	err := m.Provision(ctx, Plan{Slug: slug, Admit: mayMake, Seed: func(ctx context.Context, tenant *Tenant) error {
		return do(ctx, tenant, models.RoleOwner)
	}})
	switch {
	case models.IsKind(err, models.KindInvalidSlug), Occupied(err):
		return models.ErrInvalidTenant.Because(err)
	case models.IsKind(err, models.KindSlugTaken):
		return errTaken
	}
	return err
}

func (m *Manager) registerIn(ctx context.Context, record *models.Tenant, do Registration) error {
	tenant, release, err := m.lend(ctx, record)
	if err != nil {
		return err
	}
	defer release()
	return tenant.Classify(do(ctx, tenant, models.RoleMember))
}
