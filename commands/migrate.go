package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"multitenant/backups"
	"multitenant/config"
	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tenants/fleet"
)

// maxParallel bounds --parallel; DATABASE_MAX_CONNECTIONS bounds it too.
const maxParallel = 64

// migrateCommand has the commands about schemas.
type migrateCommand struct {
	Run      migrateRunCommand      `cmd:"" default:"withargs" help:"Migrate core, then all tenants. This is what migrate does by itself."`
	Status   migrateStatusCommand   `cmd:"" help:"Show how far core and the tenants are migrated."`
	List     migrateListCommand     `cmd:"" help:"List the migrations that the program has."`
	Rollback migrateRollbackCommand `cmd:"" help:"Take migrations of tenants back."`
}

// Help describes the command.
func (migrateCommand) Help() string {
	return "The flags of migrate are those of migrate run: see migrate run --help."
}

// parallelFlag says how many tenants are worked on at once.
type parallelFlag struct {
	Parallel int `default:"4" help:"How many tenants at once, 1 to 64. DATABASE_MAX_CONNECTIONS bounds it too."`
}

// Validate is called by kong.
func (f *parallelFlag) Validate() error {
	if f.Parallel < 1 || f.Parallel > maxParallel {
		return fmt.Errorf("--parallel must be between 1 and %d", maxParallel)
	}
	return nil
}

// fleetFlags choose tenants, and how many are worked on at once.
type fleetFlags struct {
	parallelFlag `embed:""`

	Tenant string `placeholder:"SLUG" help:"This tenant only."`
}

func (f *fleetFlags) plan() (fleet.Plan, error) {
	plan := fleet.Plan{Parallel: f.Parallel}
	if f.Tenant == "" {
		return plan, nil
	}
	slug, err := models.ParseSlug(f.Tenant)
	if err != nil {
		return plan, f.named(err)
	}
	plan.Slug = slug
	return plan, nil
}

// named adds the tenant to the error if the flags choose one tenant.
func (f *fleetFlags) named(err error) error {
	if err == nil || f.Tenant == "" {
		return err
	}
	return tenantError(f.Tenant, err)
}

type migrateRunCommand struct {
	fleetFlags `embed:""`

	OnlyFailed bool `help:"Only tenants whose last migration failed."`
	DryRun     bool `help:"Say what would be migrated, and change nothing."`
	JSON       bool `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (migrateRunCommand) Help() string {
	return `Core comes first. Then each tenant that is behind is migrated, suspended ones too, under its lock and in one ` +
		`transaction, beside servers that run. All are attempted. One that fails keeps its old schema, is 503 and is named ` +
		`at the end with the reason; the others work. After SIGINT or SIGTERM the tenants under way are finished and no more ` +
		`are begun; a second signal ends it at once. Run it again to go on. Where nothing is to be done, no tenant's ` +
		`database is opened. The exit code is 0 when all are migrated, 1 when one failed or is left.`
}

// migrateView is the result of migrating.
type migrateView struct {
	Core     coreView   `json:"core"`
	Migrated int        `json:"migrated"`
	Failed   int        `json:"failed"`
	Left     int        `json:"left"`
	Failures []moveView `json:"failures"`
}

// Run migrates.
func (c *migrateRunCommand) Run(ctx context.Context, inv *Invocation) error {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	plan.OnlyFailed = c.OnlyFailed
	if c.DryRun {
		return withFleet(ctx, inv, true, func(all *fleet.Fleet) error { return c.dryRun(ctx, inv, all, plan) })
	}
	in, err := openInstallation(ctx, inv, config.LoadKeyless, false)
	if err != nil {
		return err
	}
	defer in.close()
	before, err := database.Applied(ctx, in.backend.Core())
	if err != nil {
		return fmt.Errorf("core database: %w", err)
	}
	if err := tenants.MigrateCore(ctx, in.backend, in.config.Database.TenantPrefix); err != nil {
		return err
	}
	all, err := fleet.Open(ctx, in.options())
	if err != nil {
		return err
	}
	return c.migrate(ctx, inv, all, plan, before)
}

func (c *migrateRunCommand) migrate(
	ctx context.Context, inv *Invocation, all *fleet.Fleet, plan fleet.Plan, before []string,
) error {
	bar := startProgress(inv, "migrating")
	summary, err := all.Migrate(ctx, plan, bar.update)
	bar.finish()
	ended := runError(ctx, &summary, c.named(err))
	if len(summary.Failures) > 0 {
		ended = withHint(ended, "mend what is named above, then `multitenant migrate --only-failed` tries those again")
	}

	status, err := all.Status(context.WithoutCancel(ctx))
	if err != nil {
		return errors.Join(ended, err)
	}
	core := coreView{From: last(before), To: status.CoreVersion}
	if c.JSON {
		return errors.Join(ended, writeJSON(inv.Stdout, newMigrateView(core, &summary)))
	}
	if core.From != core.To {
		say(inv.Stdout, fmt.Sprintf("core: migrated from %s to %s", orNone(core.From), core.To))
	}
	say(inv.Stdout, fmt.Sprintf("tenants: %d migrated, %d failed, %d left", summary.Done, len(summary.Failures), summary.Left()))
	sayFailures(inv, &summary)
	return ended
}

func newMigrateView(core coreView, summary *fleet.Summary) migrateView {
	view := migrateView{Core: core, Migrated: summary.Done, Left: summary.Left(), Failed: len(summary.Failures)}
	view.Failures = make([]moveView, 0, len(summary.Failures))
	for _, failure := range summary.Failures {
		view.Failures = append(view.Failures, newMoveView(failure.Move, failure.Reason))
	}
	return view
}

// runError says how a run over the fleet ended; nil when all is done.
func runError(ctx context.Context, summary *fleet.Summary, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %s left; run it again to go on", countTenants(summary.Left()))
	case err != nil:
		return err
	case len(summary.Failures) > 0:
		return fmt.Errorf("%s of %d failed", countTenants(len(summary.Failures)), summary.Total)
	}
	return nil
}

func sayFailures(inv *Invocation, summary *fleet.Summary) {
	for _, failure := range summary.Failures {
		say(inv.Stderr, failure.Tenant+": "+oneLine(failure.Reason.Error()))
	}
}

func last(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

// tenantError names the tenant. That a row was not found says nothing more.
func tenantError(name string, err error) error {
	var hint string
	switch {
	case models.IsKind(err, models.KindTenantNotFound):
		err, hint = models.ErrTenantNotFound, "`multitenant tenants list` lists the tenants"
	case models.IsKind(err, models.KindSlugResting): // the text for users must not tell
		err, hint = errors.New("its slug rests, because a tenant was deleted"), "`multitenant tenants release "+name+"` ends that"
	default:
		hint = hintOnFiles(err)
	}
	return withHint(fmt.Errorf("tenant %q: %w", name, err), hint)
}

// hintOnFiles is the hint where a backup is missing or a file is there already, or "".
func hintOnFiles(err error) string {
	switch {
	case errors.Is(err, backups.ErrNoBackup):
		return "`multitenant backup list` lists the backups"
	case errors.Is(err, fs.ErrExist):
		return "choose a name that no file has"
	}
	return ""
}

// dryRun says what migrate would do, and changes nothing.
func (c *migrateRunCommand) dryRun(ctx context.Context, inv *Invocation, all *fleet.Fleet, plan fleet.Plan) error {
	if err := all.CheckCore(ctx); err != nil && !errors.Is(err, database.ErrOlderSchema) {
		return err
	}
	status, err := all.Status(ctx)
	if err != nil {
		return err
	}
	registered, err := all.HasRegistry(ctx)
	if err != nil {
		return err
	}
	core := coreView{From: status.CoreVersion, To: status.CoreLatest}
	items := []moveView{}
	if registered {
		err = all.EachBehind(ctx, plan, func(move fleet.Move) error {
			items = append(items, newMoveView(move, nil))
			return nil
		})
	}
	if err != nil {
		return c.named(err)
	}
	if c.JSON {
		return writeJSON(inv.Stdout, map[string]any{"core": core, "items": items})
	}
	return c.showDryRun(inv, core, items, registered)
}

func (c *migrateRunCommand) showDryRun(inv *Invocation, core coreView, items []moveView, registered bool) error {
	table := newTable(inv.Stdout)
	if core.From != core.To {
		say(table, fmt.Sprintf("core\t%s\t->\t%s", orNone(core.From), core.To))
	}
	for _, item := range items {
		say(table, fmt.Sprintf("%s\t%s\t->\t%s", item.Tenant, orNone(item.From), item.To))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if !registered {
		say(inv.Stdout, "There is no registry of tenants before core is migrated.")
		return nil
	}
	say(inv.Stdout, countTenants(len(items))+" would be migrated.")
	return nil
}
