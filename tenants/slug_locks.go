package tenants

import (
	"context"
	"sync"

	"gorm.io/gorm"

	"multitenant/models"
)

// slugLocks are locks within this process, one for each slug. The zero value is
// ready for use.
type slugLocks struct {
	mu    sync.Mutex // guards taken
	taken map[models.Slug]chan struct{}
}

// lock waits for the slug's lock for at most makingWait. The caller must call
// unlock.
func (l *slugLocks) lock(ctx context.Context, slug models.Slug) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, makingWait)
	defer cancel()
	for {
		ended, mine := l.take(slug)
		if mine {
			return func() { l.release(slug) }, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take takes the lock if it is free. Otherwise it returns a channel that is closed
// when the holder releases the lock.
func (l *slugLocks) take(slug models.Slug) (ended <-chan struct{}, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended, found := l.taken[slug]; found {
		return ended, false
	}
	if l.taken == nil {
		l.taken = make(map[models.Slug]chan struct{})
	}
	l.taken[slug] = make(chan struct{})
	return nil, true
}

func (l *slugLocks) release(slug models.Slug) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.taken[slug])
	delete(l.taken, slug)
}

// CheckNewSlug returns nil if the rules for new slugs let a tenant be renamed to that one.
// ownerID is the owner of its organization; 0 without one. The errors: KindInvalidSlug,
// KindReservedSlug and KindSlugResting.
func (m *Manager) CheckNewSlug(ctx context.Context, slug models.Slug, ownerID int64) error {
	if err := slug.CheckNew(); err != nil {
		return err
	}
	return m.checkRest(ctx, m.core, slug, models.Claimant{OwnerID: ownerID})
}

// Rename gives the claimant's tenant another slug, and records the event, in a transaction of
// Change or SetSuspended. The errors are those of models.RenameTenant and KindSlugResting.
func (m *Manager) Rename(ctx context.Context, tx *gorm.DB, event *models.Event, by models.Claimant, slug models.Slug) error {
	if err := models.RenameTenant(ctx, tx, event, by.TenantID, slug); err != nil {
		return err
	}
	// The deletion of another tenant may have freed the slug after CheckNewSlug.
	return m.checkRest(ctx, tx, slug, by)
}

// CheckFreeSlug returns nil if a tenant could be made now with that slug. ownerID is the
// owner of its organization. The errors: KindSlugTaken, and those of CheckNewSlug.
func (m *Manager) CheckFreeSlug(ctx context.Context, slug models.Slug, ownerID int64) error {
	if err := m.CheckNewSlug(ctx, slug, ownerID); err != nil {
		return err
	}
	_, err := models.FindTenantBySlug(ctx, m.core, slug)
	switch {
	case err == nil:
		return models.ErrSlugTaken
	case models.IsKind(err, models.KindTenantNotFound):
		return nil
	}
	return err
}
