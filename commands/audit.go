package commands

import (
	"context"

	"gorm.io/gorm"

	"multitenant/models"
)

// recordTenant records what the operator does to a tenant, at the core. The target is
// its organization, if it has one, whose owner may then read the event.
func recordTenant(ctx context.Context, tx *gorm.DB, action models.Action, slug models.Slug, tenantID string) error {
	org, err := models.FindOrganizationOf(ctx, tx, tenantID)
	event := models.NewOperatorEvent(action)
	switch {
	case err == nil:
		return models.Record(ctx, tx, event.AboutOrganization(&org))
	case models.IsKind(err, models.KindOrganizationNotFound):
		event.TargetKind, event.TargetName = models.TargetTenant, string(slug)
		return models.Record(ctx, tx, event)
	}
	return err
}

// setActive changes the state of the tenant's organization, if it has one, and records
// the action either way.
func setActive(ctx context.Context, tx *gorm.DB, action models.Action, record *models.Tenant, active bool) error {
	org, err := models.FindOrganizationOf(ctx, tx, record.ID)
	if err != nil || org.IsActive == active {
		return recordTenant(ctx, tx, action, record.Slug, record.ID)
	}
	org.IsActive = active
	return models.UpdateOrganization(ctx, tx, models.NewOperatorEvent(action), &org, "is_active")
}
