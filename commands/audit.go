package commands

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"multitenant/controllers"
	"multitenant/models"
	"multitenant/tenants"
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

// eventsPage is how many events are read at once.
const eventsPage = 500

// auditCommand has the commands about the audit trail.
type auditCommand struct {
	group

	Export auditExportCommand `cmd:"" help:"Write the events of the core, or of a tenant, as JSON Lines."`
}

type auditExportCommand struct {
	realmFlag `embed:""`

	Since time.Time `placeholder:"TIME" help:"Only events of this time or later, such as 2026-01-31T00:00:00Z."`
	Until time.Time `placeholder:"TIME" help:"Only events before this time."`
}

// Help describes the command.
func (auditExportCommand) Help() string {
	return "Each line is an event, with the fields that GET /api/audit/ has, the oldest first. " +
		"Events that are written meanwhile may be missing: give a time that has passed to --until, and go on from it by --since."
}

// Run writes the events.
func (c *auditExportCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		output := bufio.NewWriter(inv.Stdout)
		err := c.in(ctx, m, func() error {
			return c.export(ctx, m.Core(), output)
		}, func(tenant *tenants.Tenant) error {
			return c.export(ctx, tenant.DB, output)
		})
		if err != nil {
			return err
		}
		if err := output.Flush(); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		return nil
	})
}

// export reads one page at a time, so that a long trail takes little memory.
func (c *auditExportCommand) export(ctx context.Context, db *gorm.DB, output *bufio.Writer) error {
	lines := json.NewEncoder(output)
	lines.SetEscapeHTML(false)
	span := models.EventSpan{Limit: eventsPage, Since: c.Since, Until: c.Until}
	for {
		events, err := models.ListEventSpan(ctx, db, span)
		if err != nil {
			return err
		}
		for i := range events {
			if err := lines.Encode(controllers.NewEventResponse(&events[i])); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
			span.After = events[i].ID
		}
		if len(events) < span.Limit {
			return nil
		}
	}
}
