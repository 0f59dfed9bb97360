package tenants

import (
	"context"
	"time"

	"multitenant/models"
)

const (
	tidyEvery   = 30 * time.Second
	reportEvery = time.Minute
	// tryAgainAfter is the pause before a locked tenant is tried again: the server
	// may still be executing a statement of a dead process.
	tryAgainAfter = time.Second
)

// tidy closes unused databases, removes unfinished tenants and reports what is
// unexplained, until ctx ends.
func (m *Manager) tidy(ctx context.Context) {
	ticker, reporter := time.NewTicker(tidyEvery), time.NewTicker(reportEvery)
	defer ticker.Stop()
	defer reporter.Stop()
	m.report(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.unfinished:
			m.reconcile(ctx)
		case <-ticker.C:
			m.handles.sweep()
			m.reconcile(ctx)
		case <-reporter.C:
			m.report(ctx)
		}
	}
}

// reconcile removes the tenants that a dead process has left unfinished. It skips
// a tenant whose lock is held, because another process is working on it.
func (m *Manager) reconcile(ctx context.Context) {
	unfinished, err := models.ListUnfinishedTenants(ctx, m.core)
	if err != nil {
		m.logger.WarnContext(ctx, "list unfinished tenants", "error", err)
		time.AfterFunc(tryAgainAfter, m.reconcileSoon)
		return
	}
	locked := false
	for _, record := range unfinished {
		free, err := m.databases.TryRemove(ctx, record.ID)
		m.counts.noteReconciled(record.Status, free, err)
		switch {
		case err != nil:
			m.logger.ErrorContext(ctx, "remove unfinished tenant", "tenant", record.Slug, "error", err)
		case free:
			m.logger.WarnContext(ctx, "removed unfinished tenant", "tenant", record.Slug, "status", record.Status)
		default:
			locked = true
		}
	}
	if locked {
		time.AfterFunc(tryAgainAfter, m.reconcileSoon)
	}
}

// reconcileSoon makes the background reconcile at once. It never blocks.
func (m *Manager) reconcileSoon() {
	select {
	case m.unfinished <- struct{}{}:
	default:
	}
}

// report logs a warning about each unexplained thing, once.
func (m *Manager) report(ctx context.Context) {
	strays, err := m.databases.ListUnexplained(ctx)
	if err != nil {
		m.logger.WarnContext(ctx, "look for databases without a tenant", "error", err)
		return
	}
	for _, s := range strays {
		if !m.reported[s] {
			m.reported[s] = true
			m.logger.WarnContext(ctx, "found what no tenant explains: see tenants doctor", "kind", s.Noun, "name", s.Name)
		}
	}
}
