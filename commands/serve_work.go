package commands

import (
	"context"
	"sync"
	"time"

	"multitenant/backups"
	"multitenant/backups/export"
	"multitenant/operations"
	"multitenant/tenants"
)

// work is done by a server beside its answers: operations, and scheduled backups.
type work struct {
	backups  *backups.Backups  // nil without BACKUP_URL
	exports  *export.Exports   // likewise
	schedule *backups.Schedule // nil where the settings want none

	installation *installation
	closeStore   func() error
	cancel       context.CancelFunc
	running      sync.WaitGroup
}

// startWork works until ctx ends. The caller must call stop.
func (in *installation) startWork(ctx context.Context, m *tenants.Manager) (*work, error) {
	databases, err := tenants.OpenDatabases(ctx, in.options())
	if err != nil {
		return nil, err
	}
	w := &work{installation: in, closeStore: func() error { return nil }}
	options := operations.Options{Databases: databases, Logger: in.logger, Hold: m.HoldLong}
	settings := &in.config.Backups
	if !settings.Place.IsNone() {
		identities, err := readIdentities(settings)
		if err != nil { // only restorations that owners ask for need it
			in.logger.WarnContext(ctx, "read BACKUP_IDENTITY_FILE", "error", err)
		}
		if w.backups, w.closeStore, err = in.openBackups(ctx, true, identities); err != nil {
			return nil, err
		}
		w.exports = export.New(databases, w.backups.Store())
		options.Kinds = append(options.Kinds,
			backups.Operation{Backups: w.backups}, export.Operation{Exports: w.exports}, in.deletion(m),
			backups.Restoration{Backups: w.backups, Tenants: m, Most: in.mostOrganizations()})
	}
	if settings.Every > 0 {
		w.schedule = backups.NewSchedule(w.backups, backups.ScheduleOptions{
			Every: settings.Every, Policy: settings.Keep, KeepDeleted: settings.KeepDeleted, Logger: in.logger, Hold: m.HoldLong,
		})
	}
	running, cancel := context.WithCancel(ctx)
	w.cancel = cancel
	w.running.Go(func() { operations.New(options).Run(running) })
	if w.exports != nil {
		w.running.Go(func() { w.sweep(running) })
	}
	if w.schedule != nil {
		w.running.Go(func() { w.schedule.Run(running) })
	}
	return w, nil
}

// mostOrganizations is how many a core user may own; 0 means any number.
func (in *installation) mostOrganizations() int {
	if in.config.Limits == nil {
		return 0
	}
	return in.config.Limits.Organizations
}

// deletion is the kind of operation that deletes tenants. There must be BACKUP_URL.
func (in *installation) deletion(m *tenants.Manager) operations.Kind {
	return backups.Deletion{Tenants: m, Last: in.lastBackups()}
}

// finishDeletion does the operation that deletes a tenant, or waits for the server that
// does.
func (in *installation) finishDeletion(ctx context.Context, m *tenants.Manager, operation string) error {
	databases, err := tenants.OpenDatabases(ctx, in.options())
	if err != nil {
		return err
	}
	return operations.New(operations.Options{
		Databases: databases, Kinds: []operations.Kind{in.deletion(m)}, Logger: in.logger, Hold: m.HoldLong,
	}).Finish(ctx, operation)
}

// sweepEvery is how often exports are removed that can be downloaded no more.
const sweepEvery = time.Hour

func (w *work) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := w.exports.Sweep(ctx); err != nil && ctx.Err() == nil {
			w.installation.logger.WarnContext(ctx, "remove old exports", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// stop waits a little for the work that is given up.
func (w *work) stop(ctx context.Context) {
	w.cancel()
	ended := make(chan struct{})
	go func() {
		w.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		w.installation.logFailure(w.closeStore())
	case <-time.After(serveCloseTimeout): // the process ends, and another goes on
		w.installation.logger.WarnContext(ctx, "stop", "error", "work under way does not end")
	}
}
