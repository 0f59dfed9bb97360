package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"multitenant/backups"
	"multitenant/config"
)

type backupRunCommand struct {
	fleetFlags `embed:""`

	WithPgDump bool `help:"On PostgreSQL, add a dump by pg_dump where a database has things that no migration makes."`
	JSON       bool `name:"json" help:"Write the result as JSON."`
}

// Help describes the command.
func (backupRunCommand) Help() string {
	return `Copies every tenant's database, suspended ones too, to BACKUP_URL, and core before and after them; with --tenant ` +
		`that tenant alone. It works beside servers that run. Each copy is of one moment, is encrypted to BACKUP_RECIPIENTS, ` +
		`and counts only after it was read back. A tenant that is being made or removed, or whose schema is not this ` +
		`program's, is skipped. On PostgreSQL a copy has the rows of the tables that the migrations make; it is incomplete ` +
		`where a database has other objects, which are named, unless BACKUP_PG_DUMP or --with-pg-dump adds a dump of the same ` +
		`moment by pg_dump. pg_dump must not be older than the server. After SIGINT or SIGTERM copies under way are given up. The ` +
		`exit code is 0 when all are complete.`
}

// backupRunView is the result of a run.
type backupRunView struct {
	Complete   int                `json:"complete"`
	Incomplete int                `json:"incomplete"`
	Skipped    int                `json:"skipped"`
	Failed     int                `json:"failed"`
	Left       int                `json:"left"`
	Items      []backupResultView `json:"items"`
}

// backupResultView is what became of one database.
type backupResultView struct {
	Name    string `json:"name"` // the tenant's slug, or core
	Outcome string `json:"outcome"`
	ID      string `json:"id"` // of the backup; empty if there is none
	Bytes   int64  `json:"bytes"`
	Reason  string `json:"reason"` // why it is not complete
	// Dumped names the things that only the dump has; none without a dump.
	Dumped []string `json:"dumped"`
}

// The outcomes of one backup.
const (
	outcomeComplete   = "complete"
	outcomeIncomplete = "incomplete"
	outcomeSkipped    = "skipped"
	outcomeFailed     = "failed"
)

// Run makes backups.
func (c *backupRunCommand) Run(ctx context.Context, inv *Invocation) (err error) {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	in, err := openInstallation(ctx, inv, config.LoadKeyless, true)
	if err != nil {
		return err
	}
	defer in.close()
	if c.WithPgDump {
		in.config.Backups.PgDump = cmp.Or(in.config.Backups.PgDump, backups.DefaultPgDump)
	}
	all, closeStore, err := in.openBackups(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if len(in.config.Backups.Recipients) == 0 {
		in.logger.WarnContext(ctx, "settings", "warning", "BACKUP_RECIPIENTS names no one: backups are not encrypted")
	}
	return c.backUp(ctx, inv, all, backups.Plan{Slug: plan.Slug, Parallel: plan.Parallel})
}

func (c *backupRunCommand) backUp(ctx context.Context, inv *Invocation, all *backups.Backups, plan backups.Plan) error {
	bar := startProgress(inv, "backing up")
	summary, err := all.Run(ctx, plan, func(s *backups.Summary) {
		failed := s.Count(func(r *backups.Result) bool { return r.Err != nil })
		bar.show(len(s.Results), s.Total, failed, "databases")
	})
	bar.finish()
	view := newBackupRunView(&summary)
	ended := c.ended(ctx, &summary, &view, c.named(err))
	if c.JSON {
		return errors.Join(ended, writeJSON(inv.Stdout, view))
	}
	say(inv.Stdout, fmt.Sprintf("backups: %d complete, %d incomplete, %d skipped, %d failed, %d left",
		view.Complete, view.Incomplete, view.Skipped, view.Failed, view.Left))
	for _, item := range view.Items {
		if item.Reason != "" {
			say(inv.Stderr, fmt.Sprintf("%s: %s: %s", item.Name, item.Outcome, item.Reason))
		}
		if len(item.Dumped) > 0 {
			say(inv.Stderr, fmt.Sprintf("%s: %s: only the dump has %s", item.Name, item.Outcome, oneLine(strings.Join(item.Dumped, ", "))))
		}
	}
	return ended
}

// ended says how a run ended; nil when all backups are complete.
func (c *backupRunCommand) ended(ctx context.Context, summary *backups.Summary, view *backupRunView, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %d of %d were not backed up", summary.Left(), summary.Total)
	case err != nil:
		return err
	}
	lacking := view.Failed + view.Incomplete + summary.Count(func(r *backups.Result) bool { return r.IsLeft })
	if lacking > 0 {
		return fmt.Errorf("%d of %d backups are not complete", lacking, summary.Total)
	}
	return nil
}

func newBackupRunView(summary *backups.Summary) backupRunView {
	view := backupRunView{Left: summary.Left(), Items: make([]backupResultView, 0, len(summary.Results))}
	for i := range summary.Results {
		item := newBackupResultView(&summary.Results[i])
		switch item.Outcome {
		case outcomeComplete:
			view.Complete++
		case outcomeIncomplete:
			view.Incomplete++
		case outcomeSkipped:
			view.Skipped++
		default:
			view.Failed++
		}
		view.Items = append(view.Items, item)
	}
	return view
}

func newBackupResultView(result *backups.Result) backupResultView {
	view := backupResultView{Name: result.Name, Dumped: []string{}}
	switch {
	case result.Err != nil:
		view.Outcome, view.Reason = outcomeFailed, oneLine(result.Err.Error())
		return view
	case result.Record == nil:
		view.Outcome, view.Reason = outcomeSkipped, result.Skipped
		return view
	}
	view.Outcome, view.ID, view.Bytes = outcomeComplete, result.Record.ID, result.Record.Bytes
	if result.Record.Dumped {
		view.Dumped = result.Record.Unexplained
	} else if !result.Record.IsExplained() {
		view.Outcome, view.Reason = outcomeIncomplete, lacks(result.Record.Unexplained)
	}
	return view
}

// lacks says what an incomplete copy does not have.
func lacks(unexplained []string) string {
	return "it lacks " + oneLine(strings.Join(unexplained, ", "))
}
