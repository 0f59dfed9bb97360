package tenants

import (
	"context"
	"errors"
	"time"

	"multitenant/models"
)

const (
	registrationWait = 8 * time.Second // how long a registration waits while the same tenant is made or deleted
	registrationPoll = 25 * time.Millisecond
)

// CheckRegistration returns nil if a user may register in the tenant with that
// slug; isNew says that the registration would make the tenant. The errors:
// KindTenantSuspended, KindInvitationRequired and KindRegistrationClosed. For a
// tenant that does not exist: KindInvalidInvitation if the user is invited,
// KindTenantNotFound if registrations may not make tenants or the slug rests, and
// KindInvalidTenant if the slug is not allowed.
func (m *Manager) CheckRegistration(ctx context.Context, slug models.Slug, invited bool) (isNew bool, err error) {
	record, registration, err := models.FindRegistration(ctx, m.core, slug)
	switch {
	case err == nil && record.Status == models.TenantSuspended:
		return false, admit(record.Status, false)
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
	return true, hideRest(m.checkRest(ctx, m.core, slug, models.Claimant{}))
}

// hideRest returns KindTenantNotFound for a slug that rests. Its code still says so.
func hideRest(err error) error {
	if !models.IsKind(err, models.KindSlugResting) {
		return err
	}
	notFound := models.ErrTenantNotFound.Because(err)
	notFound.Code = models.KindSlugResting
	return notFound
}

// Registration adds a user with that role to the tenant. The user whose
// registration makes the tenant is its owner.
type Registration func(ctx context.Context, tenant *Tenant, role models.Role) error

// Newcomer is a user who registers in a tenant.
type Newcomer struct {
	Invited bool         // the user has an invitation, so the tenant must exist
	MayMake func() error // is called before a tenant is made; its error prevents that
}

// Register calls do with the tenant that has that slug. If there is none, it makes
// the tenant for a user who is not invited, after asking MayMake; do seeds it then,
// and if do fails the tenant is removed. Of several registrations at once one makes
// the tenant and the others join it. It returns the errors of CheckRegistration,
// MayMake and do, and KindBusy.
func (m *Manager) Register(ctx context.Context, slug models.Slug, newcomer Newcomer, do Registration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, registrationWait, errors.New("another makes or deletes the tenant"))
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
		case record.Status.IsFinished():
			if err := registration.Admit(newcomer.Invited); err != nil {
				return err
			}
			return m.registerIn(ctx, &record, do)
		}
		select {
		case <-time.After(registrationPoll):
		case <-ctx.Done():
			return models.ErrBusy.Because(context.Cause(ctx))
		}
	}
}

// errTaken says that another request has made the tenant.
var errTaken = errors.New("tenant exists")

func (m *Manager) registerFirst(ctx context.Context, slug models.Slug, mayMake func() error, do Registration) error {
	if !m.autoCreate {
		return models.ErrTenantNotFound
	}
	err := m.provision(ctx, slug, &registrationPlan{mayMake: mayMake, do: do})
	switch {
	case models.IsKind(err, models.KindInvalidSlug), models.IsKind(err, models.KindReservedSlug), Occupied(err):
		return models.ErrInvalidTenant.Because(err)
	case models.IsKind(err, models.KindSlugTaken):
		return errTaken
	}
	return hideRest(err)
}

func (m *Manager) registerIn(ctx context.Context, record *models.Tenant, do Registration) error {
	tenant, release, err := m.lend(ctx, record, false)
	if err != nil {
		return err
	}
	defer release()
	return tenant.Classify(do(ctx, tenant, models.RoleMember))
}
