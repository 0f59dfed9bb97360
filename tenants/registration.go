package tenants

import (
	"context"
	"errors"
	"time"

	"multitenant/models"
)

// CheckRegistration says whether somebody may register in the tenant with that
// slug, before anything is done for them: KindTenantSuspended,
// KindInvitationRequired, KindRegistrationClosed; for a tenant that does not exist
// KindInvalidInvitation where they are invited, KindTenantNotFound where
// registrations make none, or KindInvalidTenant where none may have that name.
func (m *Manager) CheckRegistration(ctx context.Context, slug models.Slug, invited bool) error {
	record, registration, err := models.FindRegistration(ctx, m.core, slug)
	switch {
	case err == nil && record.Status == models.TenantSuspended:
		return admit(record.Status)
	case err == nil:
		return registration.Admit(invited)
	case !models.IsKind(err, models.KindTenantNotFound):
		return err
	case invited:
		return models.ErrInvalidInvitation().Because(err)
	case !m.autoCreate:
		return err
	case slug.CheckNew() != nil:
		return errInvalidTenant()
	}
	return nil
}

// Registration makes a user of the tenant with that role: the first of a tenant
// that registering has made is its owner.
type Registration func(ctx context.Context, tenant *Tenant, role models.Role) error

// Register runs do in the database of the tenant with that slug. For somebody who
// is not invited it is made if there is none; then do is what seeds it, and nothing
// is left of a tenant whose first registration fails. However many come at once,
// one of them makes it and the others find it. The errors are CheckRegistration's
// too: things may have changed since.
func (m *Manager) Register(ctx context.Context, slug models.Slug, invited bool, do Registration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWait, errors.New("another makes or deletes the tenant"))
	defer cancel()
	for {
		record, registration, err := models.FindRegistration(ctx, m.core, slug)
		switch {
		case models.IsKind(err, models.KindTenantNotFound) && invited:
			return models.ErrInvalidInvitation().Because(err)
		case models.IsKind(err, models.KindTenantNotFound):
			err = m.registerFirst(ctx, slug, do)
			if !errors.Is(err, errTaken) {
				return err
			}
		case err != nil:
			return err
		case record.Status.IsSettled():
			if err := registration.Admit(invited); err != nil {
				return err
			}
			return m.registerIn(ctx, &record, do)
		}
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
			return errBusy().Because(context.Cause(ctx))
		}
	}
}

// errTaken says that another was first to make the tenant.
var errTaken = errors.New("tenant exists")

func (m *Manager) registerFirst(ctx context.Context, slug models.Slug, do Registration) error {
	if !m.autoCreate {
		return models.ErrTenantNotFound()
	}
	err := m.Provision(ctx, Plan{Slug: slug, Seed: func(ctx context.Context, tenant *Tenant) error {
		return do(ctx, tenant, models.RoleOwner)
	}})
	switch {
	case models.IsKind(err, models.KindInvalidSlug), Occupied(err):
		return errInvalidTenant().Because(err)
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
	return tenant.Blame(do(ctx, tenant, models.RoleMember))
}

func errInvalidTenant() *models.Error {
	return models.Errorf(models.KindInvalidTenant, "Invalid tenant name")
}
