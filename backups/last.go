package backups

import (
	"context"
	"errors"
	"sync"

	"multitenant/backups/store"
	"multitenant/models"
	"multitenant/operations"
	"multitenant/tenants"
)

// Last makes the last backups of tenants that are deleted. It opens the store anew for
// each, because the store may have gone and come back. It is safe for concurrent use.
type Last struct {
	place      store.Place
	keys       store.Keys
	recipients []string
	pgDump     string

	mu       sync.Mutex // guards prepared
	prepared *Backups   // without a store; nil until it is needed
}

var _ tenants.LastBackups = (*Last)(nil)

// NewLast returns a Last that keeps backups in that place, encrypted to the recipients, if
// there are any. pgDump is that of Options.
func NewLast(place store.Place, keys store.Keys, recipients []string, pgDump string) *Last {
	return &Last{place: place, keys: keys, recipients: recipients, pgDump: pgDump}
}

// Try fails if the store does not work, or pg_dump where it is wanted.
func (l *Last) Try(ctx context.Context, d *tenants.Databases) error {
	return l.withStore(func(kept store.Store) error {
		return (&Backups{databases: d, store: kept, pgDump: l.pgDump}).try(ctx)
	})
}

// keep makes the backup, and reads it back.
func (l *Last) keep(ctx context.Context, d *tenants.Databases, record *models.Tenant, task *operations.Task) error {
	prepared, err := l.prepare(d)
	if err != nil {
		return err
	}
	return l.withStore(func(kept store.Store) error {
		b := *prepared
		b.store = kept
		_, err := b.copyRecord(ctx, record, task)
		return err
	})
}

func (l *Last) withStore(do func(store.Store) error) error {
	kept, err := store.Open(l.place, l.keys, true)
	if err != nil {
		return err
	}
	return errors.Join(do(kept), kept.Close())
}

func (l *Last) prepare(d *tenants.Databases) (*Backups, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.prepared != nil {
		return l.prepared, nil
	}
	b, err := New(&Options{Databases: d, Recipients: l.recipients, PgDump: l.pgDump})
	if err == nil {
		l.prepared = b
	}
	return b, err
}
