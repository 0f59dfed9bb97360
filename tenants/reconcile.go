package tenants

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"multitenant/models"
)

const (
	// tidyEvery is also the pause before a tenant that could not be removed is tried again.
	tidyEvery = 30 * time.Second
	// reportEvery is long: the names of all databases, roles and files are compared.
	reportEvery   = time.Hour
	reportTimeout = 10 * time.Minute
	// maxReconciling is how many unfinished tenants are removed at once.
	maxReconciling = 4
	// tryAgainAfter is the pause before a locked tenant is tried again: the server
	// may still be executing a statement of a dead process.
	tryAgainAfter = time.Second
)

// every calls do at each tick, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// keepReconciling reconciles at once, at each tick, and whenever it is asked to,
// until ctx ends.
func (m *Manager) keepReconciling(ctx context.Context) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	failed := make(map[string]bool)
	for ctx.Err() == nil {
		m.reconcile(ctx, failed)
		select {
		case <-ctx.Done():
		case <-m.unfinished:
		case <-ticker.C:
			clear(failed)
		}
	}
}

// reconcile removes the tenants that a dead process has left unfinished, several at
// once, because a frozen session in one of them must not hold up the others. It adds
// the ids of those that it cannot remove to failed, and passes over those in it: two
// servers that find each other's locks would otherwise retry without an end. It leaves those
// whose last backup is due to their operations.
func (m *Manager) reconcile(ctx context.Context, failed map[string]bool) {
	unfinished, err := m.listUnfinished(ctx)
	if err != nil {
		m.logger.WarnContext(ctx, "list unfinished tenants", "error", err)
		time.AfterFunc(tryAgainAfter, m.reconcileSoon)
		return
	}
	m.queueDue(ctx, unfinished)
	unfinished = slices.DeleteFunc(unfinished, func(record models.Tenant) bool { return failed[record.ID] || record.BackupDue })
	results := make([]error, len(unfinished))
	var removing errgroup.Group
	removing.SetLimit(maxReconciling)
	for i := range unfinished {
		removing.Go(func() error {
			results[i] = m.reconcileOne(ctx, &unfinished[i])
			return nil
		})
	}
	_ = removing.Wait() // each result is kept
	isLocked := func(err error) bool { return errors.Is(err, errAtWork) }
	for i, err := range results {
		if err != nil && !isLocked(err) {
			failed[unfinished[i].ID] = true
		}
	}
	if slices.ContainsFunc(results, isLocked) {
		time.AfterFunc(tryAgainAfter, m.reconcileSoon)
	}
}

func (m *Manager) listUnfinished(ctx context.Context) ([]models.Tenant, error) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	return models.ListUnfinishedTenants(ctx, m.core)
}

// errAtWork says that a process is working on a tenant.
var errAtWork = errors.New("another process is at work on the tenant")

// reconcileOne removes an unfinished tenant. It returns errAtWork if the tenant's lock
// is held, and the errors of the databases.
func (m *Manager) reconcileOne(ctx context.Context, record *models.Tenant) error {
	if err := m.longLocks.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.longLocks.Release(1)
	free, err := m.databases.TryRemove(ctx, record.ID)
	m.counts.noteReconciled(record.Status, free, err)
	switch {
	case err != nil:
		m.logger.ErrorContext(ctx, "remove unfinished tenant", "tenant", record.Slug, "error", err)
	case free:
		m.logger.WarnContext(ctx, "removed unfinished tenant", "tenant", record.Slug, "status", record.Status)
		m.makeSparesSoon() // it may have counted as one that is being made
	default:
		return errAtWork
	}
	return err
}

// RemoveUnfinished removes the tenant with that slug if its making was interrupted. It
// reports whether it may be tried again to make it: the tenant is gone, or is being made or
// removed.
func (m *Manager) RemoveUnfinished(ctx context.Context, slug models.Slug) (again bool, err error) {
	record, err := models.FindTenantBySlug(ctx, m.core, slug)
	switch {
	case models.IsKind(err, models.KindTenantNotFound):
		return true, nil
	case err != nil || record.Status.IsFinished():
		return false, err
	}
	_, err = m.databases.TryRemove(ctx, record.ID)
	return true, err
}

// reconcileSoon makes the background reconcile at once. It never blocks.
func (m *Manager) reconcileSoon() { wake(m.unfinished) }

// wake asks the background to do at once what it does when that channel has something.
// It never blocks.
func wake(background chan<- struct{}) {
	select {
	case background <- struct{}{}:
	default:
	}
}

// report logs a warning about each unexplained thing, once.
func (m *Manager) report(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
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
