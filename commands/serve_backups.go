package commands

import (
	"context"
	"time"

	"multitenant/backups"
	"multitenant/tenants"
)

// serveBackups makes the backups that are due until ctx ends, if the settings want that.
// The caller must call stop after ctx has ended: it waits a little for what is given up.
func (in *installation) serveBackups(ctx context.Context, m *tenants.Manager) (schedule *backups.Schedule, stop func(), err error) {
	settings := &in.config.Backups
	if settings.Every == 0 {
		return nil, func() {}, nil
	}
	all, closeStore, err := in.openBackups(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	schedule = backups.NewSchedule(all, backups.ScheduleOptions{
		Every: settings.Every, Policy: settings.Keep, Logger: in.logger, Hold: m.HoldLong,
	})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		schedule.Run(running)
	}()
	return schedule, func() {
		cancel()
		select {
		case <-ended:
			in.logFailure(closeStore())
		case <-time.After(serveCloseTimeout): // the process ends, and what it leaves is no backup
			in.logger.WarnContext(ctx, "stop", "error", "a backup under way does not end")
		}
	}, nil
}
