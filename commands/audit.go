package commands

import (
	"context"

	"gorm.io/gorm"

	"multitenant/models"
)

// eventAbout returns the event of what the operator does to a tenant. The target is
// its organization, if it has one, whose owner may then read the event.
func eventAbout(ctx context.Context, core *gorm.DB, action models.Action, record *models.Tenant) (*models.Event, error) {
	org, err := models.FindOrganizationOf(ctx, core, record.ID)
	event := models.NewOperatorEvent(action)
	if models.IsKind(err, models.KindOrganizationNotFound) {
		return event.AboutTenant(record.Slug), nil
	}
	return event.AboutOrganization(&org), err
}

// setActive changes the state of the tenant's organization, if it has one, and records
// the action either way.
func setActive(ctx context.Context, tx *gorm.DB, action models.Action, record *models.Tenant, active bool) error {
	org, err := models.FindOrganizationOf(ctx, tx, record.ID)
	if err != nil || org.IsActive == active {
		event, err := eventAbout(ctx, tx, action, record)
		if err != nil {
			return err
		}
		return models.Record(ctx, tx, event)
	}
	org.IsActive = active
	return models.UpdateOrganization(ctx, tx, models.NewOperatorEvent(action), &org, "is_active")
}
