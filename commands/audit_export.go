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

// eventsPage is how many events are read at once.
const eventsPage = 500

// auditCommand has the commands about the audit trail.
type auditCommand struct {
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
