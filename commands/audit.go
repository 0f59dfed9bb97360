package commands

import (
	"context"

	"gorm.io/gorm"

	"multitenant/models"
)

// recordTenant puts what the operator does to a tenant on record at the core, as
// done to its organization where it has one: then the owner may read it.
func recordTenant(ctx context.Context, tx *gorm.DB, action models.Action, slug models.Slug, tenantID string) error {
	event := models.NewOperatorEvent(action)
	org, err := models.FindOrganizationOf(ctx, tx, tenantID)
	switch {
	case err == nil:
		event.AboutOrganization(&org)
	case models.IsKind(err, models.KindOrganizationNotFound):
		event.TargetKind, event.TargetName = models.TargetTenant, string(slug)
	default:
		return err
	}
	return models.Record(ctx, tx, event)
}
