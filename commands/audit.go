package commands

import (
	"context"

	"gorm.io/gorm"

	"multitenant/models"
)

// organizationOf returns the tenant's organization, or nil if it has none.
func organizationOf(ctx context.Context, core *gorm.DB, record *models.Tenant) (*models.Organization, error) {
	org, err := models.FindOrganizationOf(ctx, core, record.ID)
	if models.IsKind(err, models.KindOrganizationNotFound) {
		return nil, nil //nolint:nilnil // a tenant may have no organization
	}
	return &org, err
}

// eventAbout returns the event of what the operator does to a tenant. The target is
// its organization, if it has one, whose owner may then read the event.
func eventAbout(action models.Action, record *models.Tenant, org *models.Organization) *models.Event {
	event := models.NewOperatorEvent(action)
	if org == nil {
		return event.AboutTenant(record.Slug)
	}
	return event.AboutOrganization(org)
}

// setActive changes the state of the tenant's organization, if it has one, and records
// the action either way.
func setActive(ctx context.Context, tx *gorm.DB, action models.Action, record *models.Tenant, active bool) error {
	org, err := organizationOf(ctx, tx, record)
	if err != nil {
		return err
	}
	event := eventAbout(action, record, org)
	if org == nil || org.IsActive == active {
		return models.Record(ctx, tx, event)
	}
	org.IsActive = active
	return models.UpdateOrganization(ctx, tx, event, org, "is_active")
}
