package tenants

import (
	"context"

	"multitenant/database"
	"multitenant/models"
)

// Cloning says which tenant is cloned, and how.
type Cloning struct {
	From models.Tenant
	As   models.Slug // of the new tenant
	// Owner is the core user who gets the clone; nil means the owner of the source, and no
	// organization where that has none.
	Owner *models.CoreUser
	Mask  bool // see models.Masks
	// Report is told how much has arrived, and the names of things that a copy does not hold;
	// it may be called often.
	Report func(*database.Passage)
}

// Clone makes a tenant of the content that another has at one moment, while that one is
// used, and fills in c.Owner. As in a restored tenant there are no sessions, password
// resets or invitations, and the only core user inside is the owner. It records the event
// in core. It waits for the lock of the source, which it holds until the clone is ready. No
// process waits for that lock with the lock of a tenant that is being made. The errors:
// those of Restore and LendForCopy, and KindOwnerEmailTaken.
func (m *Manager) Clone(ctx context.Context, c *Cloning) error {
	layout, err := m.databases.Backend.Layout(ctx, m.databases.Migrations)
	if err != nil {
		return err
	}
	session, err := m.databases.Backend.Lock(ctx, LockKey(c.From.ID))
	if err != nil {
		return err
	}
	defer session.Unlock()
	return m.databases.LendForCopy(ctx, c.From.ID, func(ctx context.Context, source *models.Tenant) error {
		org, err := m.organizationOfClone(ctx, c, source)
		if err != nil {
			return err
		}
		content := &Copied{
			From: source.ID, Migrations: m.databases.Migrations, Registration: source.Registration,
			Owner: c.Owner, NeedsOwner: true, Mask: c.Mask,
			Feed: func(fill database.Fill) error {
				return m.databases.Backend.Copy(ctx, m.databases.SourceOf(source, layout), &database.Relay{Fill: fill, Report: c.Report})
			},
		}
		event := models.NewOperatorEvent(models.ActionOrganizationCloned)
		event.Detail = "from " + string(source.Slug)
		return m.Restore(ctx, event, c.As, org, content)
	})
}

// organizationOfClone returns the organization of the clone, or nil if it is to have none.
func (m *Manager) organizationOfClone(ctx context.Context, c *Cloning, source *models.Tenant) (*models.Organization, error) {
	org, err := models.FindOrganizationOf(ctx, m.core, source.ID)
	isNone := models.IsKind(err, models.KindOrganizationNotFound)
	switch {
	case err != nil && !isNone:
		return nil, err
	case isNone && c.Owner == nil:
		return nil, nil //nolint:nilnil // a tenant may have no organization
	case isNone:
		return &models.Organization{Name: string(c.As), IsActive: true, Registration: source.Registration}, nil
	}
	if c.Owner == nil {
		if c.Owner, err = m.databases.FindOwner(ctx, source.ID); err != nil {
			return nil, err
		}
	}
	return &models.Organization{
		Name: org.Name, Description: org.Description, IsActive: true, Registration: org.Registration,
	}, nil
}
