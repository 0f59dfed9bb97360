package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"multitenant/commands/sqlrun"
	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants/fleet"
)

const (
	maxSQLBytes  = 1 << 20
	maxSQLRows   = 1_000_000
	maxSQLTime   = time.Hour
	sqlFromStdin = "-"
	shellDetail  = "shell"
)

type tenantsExecCommand struct {
	parallelFlag `embed:""`

	Slug string `arg:"" placeholder:"SLUG" help:"The tenant's slug; left out with --all."`
	SQL  string `arg:"" optional:"" name:"sql" placeholder:"SQL" help:"One statement, or - to read it from stdin."`

	All     bool          `help:"In every tenant, suspended ones too."`
	Write   bool          `help:"Let the statement change rows."`
	Yes     bool          `help:"Do not ask."`
	Timeout time.Duration `default:"30s" help:"How long the statement may take in each tenant."`
	MaxRows int           `default:"1000" help:"How many rows are shown of each tenant."`
	JSON    bool          `name:"json" help:"Write JSON Lines."`
}

// Help describes the command.
func (tenantsExecCommand) Help() string {
	return "Runs one statement as the tenant's own role, which reaches no other tenant, in a transaction that only reads. With " +
		"--write it may change rows, never the schema, and is on record without its text: tenants exec acme -- 'SELECT count(*) " +
		"FROM tenant_users'. A tenant that is behind is not migrated. With --all the others go on when one fails, and those that " +
		"failed are named at the end; after SIGINT the statements under way are cancelled. A value in the table is cut after 200 " +
		"characters, in --json never."
}

// Validate is called by kong.
func (c *tenantsExecCommand) Validate() error {
	switch {
	case c.All && c.SQL != "":
		return errors.New("--all takes no slug: give the SQL alone, in quotes")
	case !c.All && c.SQL == "":
		return errors.New("give the SQL after the slug, in quotes, or - to read it from stdin")
	case c.Timeout < time.Second || c.Timeout > maxSQLTime:
		return fmt.Errorf("--timeout must be between 1s and %s", maxSQLTime)
	case c.MaxRows < 1 || c.MaxRows > maxSQLRows:
		return fmt.Errorf("--max-rows must be between 1 and %d", maxSQLRows)
	}
	return c.parallelFlag.Validate()
}

// Run runs the statement.
func (c *tenantsExecCommand) Run(ctx context.Context, inv *Invocation) error {
	flags, text := fleetFlags{parallelFlag: c.parallelFlag, Tenant: c.Slug}, c.SQL
	if c.All {
		flags.Tenant, text = "", c.Slug
	}
	plan, err := flags.plan()
	if err != nil {
		return err
	}
	if text, err = readSQL(inv, text); err != nil {
		return err
	}
	x := &execution{tenantsExecCommand: c, inv: inv, statement: database.Statement{
		SQL: text, Write: c.Write, Timeout: c.Timeout, MaxRows: c.MaxRows,
	}}
	if err := x.statement.Check(); err != nil {
		return &usageError{err.Error()}
	}
	return withInstalledFleet(ctx, inv, false, func(in *installation, all *fleet.Fleet) error {
		if err := c.confirm(inv); err != nil {
			return err
		}
		x.in, x.all, x.output = in, all, sqlrun.New(inv.Stdout, c.JSON, c.All)
		summary, err := x.run(ctx, plan)
		return errors.Join(c.end(ctx, inv, &summary, flags.named(err)), x.output.End())
	})
}

// readSQL takes the text from stdin where the argument says so.
func readSQL(inv *Invocation, argument string) (string, error) {
	if argument != sqlFromStdin {
		return argument, nil
	}
	text, err := io.ReadAll(io.LimitReader(inv.Stdin, maxSQLBytes+1))
	if err != nil {
		return "", fmt.Errorf("read SQL from stdin: %w", err)
	}
	if len(text) > maxSQLBytes {
		return "", fmt.Errorf("the SQL on stdin has more than %d bytes", maxSQLBytes)
	}
	return string(text), nil
}

func (c *tenantsExecCommand) confirm(inv *Invocation) error {
	switch {
	case !c.Write:
		return nil
	case c.All:
		return confirm(inv, c.Yes, "The statement may change the data of all tenants.", "all")
	}
	return confirm(inv, c.Yes, fmt.Sprintf("The statement may change the data of tenant %q.", c.Slug), c.Slug)
}

// end says how the run ended.
func (c *tenantsExecCommand) end(ctx context.Context, inv *Invocation, summary *fleet.Summary, err error) error {
	hint := ""
	for _, failure := range summary.Failures {
		if errors.Is(failure.Reason, database.ErrNeedsWrite) && !c.Write {
			hint = "with --write the statement may change rows"
		}
	}
	switch {
	case ctx.Err() != nil:
		sayFailures(inv, summary)
		return fmt.Errorf("interrupted: %s left", countTenants(summary.Left()))
	case !c.All && len(summary.Failures) > 0:
		return withHint(tenantError(c.Slug, summary.Failures[0].Reason), hint)
	}
	sayFailures(inv, summary)
	return withHint(runError(ctx, summary, err), hint)
}

// execution is a run of a statement.
type execution struct {
	*tenantsExecCommand

	inv       *Invocation
	statement database.Statement
	in        *installation
	all       *fleet.Fleet
	output    *sqlrun.Output

	mu     sync.Mutex // guards behind and the lines about tenants
	behind int
}

func (x *execution) run(ctx context.Context, plan fleet.Plan) (fleet.Summary, error) {
	report := func(*fleet.Summary) {}
	if x.All {
		bar := startProgress(x.inv, "running")
		defer bar.finish()
		report = bar.update
	}
	summary, err := x.all.Execute(ctx, plan, &fleet.Script{Statement: x.of, Write: x.Write}, report)
	if x.behind > 0 {
		say(x.inv.Stderr, countTenants(x.behind)+" with another schema than this program's: see migrate status")
	}
	return summary, err
}

// of returns the statement for a tenant, and the function that ends its output.
func (x *execution) of(record *models.Tenant) (*database.Statement, func(isCut bool) error) {
	statement, rows := x.statement, x.output.Of(record.Name())
	statement.Columns, statement.Row = rows.Columns, rows.Row
	statement.BeforeCommit = func(ctx context.Context) error {
		return recordSQL(ctx, x.in, record, statement.Verb())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all.IsBehind(record) {
		x.behind++
	}
	return &statement, func(isCut bool) error {
		if isCut {
			x.sayCut(record)
		}
		return rows.End()
	}
}

func (x *execution) sayCut(record *models.Tenant) {
	x.mu.Lock()
	defer x.mu.Unlock()
	say(x.inv.Stderr, fmt.Sprintf("tenant %q: only the first %d rows are shown: see --max-rows", record.Name(), x.MaxRows))
}

// recordSQL records that SQL may change the tenant's data. The text may hold secrets, and
// the owner of the organization reads the event, so it has the first word alone.
func recordSQL(ctx context.Context, in *installation, record *models.Tenant, detail string) error {
	core := in.backend.Core()
	org, err := organizationOf(ctx, core, record)
	if err != nil {
		return err
	}
	event := eventAbout(models.ActionOrganizationQueried, record, org)
	event.Detail = detail
	return models.Record(ctx, core, event)
}

type tenantsSQLCommand struct {
	tenantArgument `embed:""`

	Arguments []string `arg:"" optional:"" placeholder:"ARGUMENT" help:"Arguments of psql or sqlite3, after --."`
	Write     bool     `help:"Let the session change something."`
}

// Help describes the command.
func (tenantsSQLCommand) Help() string {
	return "Starts psql as the tenant's own role, or sqlite3 in its safe mode. It takes over the terminal, and its exit code is that of the " +
		"command. Without --write psql begins transactions that only read, until you say otherwise there, and sqlite3 opens the " +
		"file for reading only. With --write the start is on record. Arguments follow after --: tenants sql acme -- -c 'SELECT 1'."
}

// exitError has the code of a program that has explained its error itself.
type exitError struct{ code int }

// Error names the code.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Run starts the program once core is closed, since a session may last for days.
func (c *tenantsSQLCommand) Run(ctx context.Context, inv *Invocation) error {
	slug, err := models.ParseSlug(c.Slug)
	if err != nil {
		return tenantError(c.Slug, err)
	}
	var client database.Client
	err = withInstalledFleet(ctx, inv, false, func(in *installation, all *fleet.Fleet) error {
		record, found, err := all.Client(ctx, slug, c.Write)
		if err == nil && c.Write {
			err = recordSQL(ctx, in, &record, shellDetail)
		}
		client = found
		if err != nil {
			return tenantError(c.Slug, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	code, err := sqlrun.Run(ctx, &client, c.Arguments, inv.Environ, sqlrun.Streams{In: inv.Stdin, Out: inv.Stdout, Err: inv.Stderr})
	if err == nil && code != ExitOK {
		return &exitError{code}
	}
	return err
}
