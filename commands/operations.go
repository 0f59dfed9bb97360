package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/tenants"
)

// operationsCommand has the commands about long work.
type operationsCommand struct {
	group

	List   operationsListCommand   `cmd:"" help:"List the operations, the newest first."`
	Show   operationsShowCommand   `cmd:"" help:"Show one operation."`
	Cancel operationsCancelCommand `cmd:"" help:"Cancel an operation, and undo it if it has begun."`
}

// operationView is an operation as programs see it.
type operationView struct {
	ID        string                 `json:"id"`
	Kind      models.OperationKind   `json:"kind"`
	TenantID  string                 `json:"tenant_id"`
	Tenant    *string                `json:"tenant"` // its slug; null once the tenant is gone
	Server    string                 `json:"server"`
	Status    models.OperationStatus `json:"status"`
	EndsAs    models.OperationStatus `json:"ends_as"` // empty unless it is undone
	Phase     string                 `json:"phase"`
	Committed bool                   `json:"committed"`
	Arguments json.RawMessage        `json:"arguments"`
	Findings  json.RawMessage        `json:"findings"`
	Done      int64                  `json:"done"`
	Total     int64                  `json:"total"` // 0 while it is not known
	Error     string                 `json:"error"`
	Attempts  int64                  `json:"attempts"`
	Actor     string                 `json:"actor"`
	CreatedAt time.Time              `json:"created_at"`
	UpdatedAt time.Time              `json:"updated_at"`
	StartedAt *time.Time             `json:"started_at"`
	EndedAt   *time.Time             `json:"ended_at"`
}

func newOperationView(op *models.Operation, slug models.Slug) operationView {
	view := operationView{
		ID: op.ID, Kind: op.Kind, TenantID: op.TenantID, Server: op.Server, Status: op.Status, EndsAs: op.EndsAs, Phase: op.Phase,
		Committed: op.IsCommitted, Arguments: json.RawMessage(op.Arguments), Findings: json.RawMessage(op.Findings),
		Done: op.Done, Total: op.Total, Error: op.Error, Attempts: op.Attempts, Actor: op.Actor,
		CreatedAt: op.CreatedAt.UTC(), UpdatedAt: op.UpdatedAt.UTC(), StartedAt: inUTC(op.StartedAt), EndedAt: inUTC(op.EndedAt),
	}
	if slug != "" {
		text := string(slug)
		view.Tenant = &text
	}
	return view
}

// name returns the slug of the tenant, or its id. A deletion keeps the slug that the tenant had.
func (v *operationView) name() string {
	if v.Tenant != nil {
		return *v.Tenant
	}
	var known struct{ Slug string }
	_ = json.Unmarshal(v.Arguments, &known) // others have none
	return cmp.Or(known.Slug, v.TenantID)
}

// progress is how far the phase is.
func (v *operationView) progress() string {
	if v.Total == 0 {
		return strconv.FormatInt(v.Done, 10)
	}
	return fmt.Sprintf("%d of %d", v.Done, v.Total)
}

func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	utc := at.UTC()
	return &utc
}

type operationsListCommand struct {
	JSON bool `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (operationsListCommand) Help() string {
	return "An operation is long work that servers do. It stays in the list for 30 days after its end."
}

// Run lists.
func (c *operationsListCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		list := newListing(inv, c.JSON, "OPERATION\tKIND\tTENANT\tSTATUS\tPHASE\tDONE\tCREATED\tERROR")
		err := models.EachOperation(ctx, m.Core(), func(op *models.Operation, slug models.Slug) error {
			return list.add(newOperationView(op, slug))
		})
		if err != nil {
			return err
		}
		return list.end()
	})
}

// row is the operation's line of the table.
func (v operationView) row() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", v.ID, v.Kind, v.name(), v.Status,
		orNone(v.Phase), v.progress(), v.CreatedAt.Format(time.RFC3339), oneLine(v.Error))
}

// operationArgument is the operation a command is about.
type operationArgument struct {
	ID string `arg:"" placeholder:"ID" help:"The operation's id."`
}

// find reads the operation and its tenant. The tenant is nil if it is gone.
func (a *operationArgument) find(ctx context.Context, core *gorm.DB) (models.Operation, *models.Tenant, error) {
	op, err := models.FindOperation(ctx, core, a.ID)
	if err != nil {
		return op, nil, operationError(a.ID, err)
	}
	record, err := models.FindTenant(ctx, core, op.TenantID)
	if models.IsKind(err, models.KindTenantNotFound) {
		return op, nil, nil
	}
	return op, &record, err
}

func operationError(id string, err error) error {
	named := fmt.Errorf("operation %q: %w", id, err)
	if models.IsKind(err, models.KindOperationNotFound) {
		return withHint(named, "`multitenant operations list` lists the operations")
	}
	return named
}

type operationsShowCommand struct {
	operationArgument `embed:""`

	JSON bool `name:"json" help:"Write it as JSON."`
}

// Run shows one operation.
func (c *operationsShowCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		op, record, err := c.find(ctx, m.Core())
		if err != nil {
			return err
		}
		var slug models.Slug
		if record != nil {
			slug = record.Slug
		}
		view := newOperationView(&op, slug)
		if c.JSON {
			return writeJSON(inv.Stdout, view)
		}
		return view.show(inv)
	})
}

func (v *operationView) show(inv *Invocation) error {
	table := newTable(inv.Stdout)
	say(table, "operation\t"+v.ID)
	say(table, "kind\t"+string(v.Kind))
	say(table, "tenant\t"+v.name())
	say(table, "status\t"+inv.colour(inv.Stdout, colourOf(string(v.Status)), string(v.Status)))
	if v.EndsAs != "" && v.EndedAt == nil {
		say(table, "is undone, and ends as\t"+string(v.EndsAs))
	}
	say(table, "phase\t"+orNone(v.Phase))
	say(table, "done\t"+v.progress())
	say(table, fmt.Sprintf("attempts\t%d", v.Attempts))
	if v.Error != "" {
		say(table, "error\t"+oneLine(v.Error))
	}
	say(table, "asked for by\t"+v.Actor)
	say(table, "created\t"+v.CreatedAt.Format(time.RFC3339))
	say(table, "updated\t"+v.UpdatedAt.Format(time.RFC3339))
	say(table, "ended\t"+orNever(v.EndedAt))
	return wrapOutput(table.Flush())
}

type operationsCancelCommand struct {
	operationArgument `embed:""`

	Yes bool `help:"Do not ask."`
}

// Help describes the command.
func (operationsCancelCommand) Help() string {
	return "An operation that has begun is undone by a server. One that has ended, or has come so far that it can only go " +
		"forward, is not cancelled."
}

// Run cancels.
func (c *operationsCancelCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		op, record, err := c.find(ctx, m.Core())
		if err != nil {
			return err
		}
		question := fmt.Sprintf("Operation %s (%s) will be cancelled.", op.ID, op.Kind)
		if err := confirm(inv, c.Yes, question, op.ID); err != nil {
			return err
		}
		event := models.NewOperatorEvent(models.ActionOperationCancelled)
		if record != nil {
			org, err := organizationOf(ctx, m.Core(), record)
			if err != nil {
				return operationError(op.ID, err)
			}
			event = eventAbout(event.Action, record, org)
		}
		if op, err = models.CancelOperation(ctx, m.Core(), event, op.ID); err != nil {
			return operationError(c.ID, err)
		}
		state := "is cancelled"
		if op.EndedAt == nil {
			state = "is cancelled, and a server undoes it"
		}
		say(inv.Stdout, fmt.Sprintf("operation %q %s", op.ID, state))
		return nil
	})
}
