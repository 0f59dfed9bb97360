package commands

import (
	"context"
	"errors"
	"time"

	"multitenant/backups"
	"multitenant/tenants"
)

// backupsView says when the newest backups of a tenant were taken.
type backupsView struct {
	LastGood   *time.Time `json:"last_good"` // null if there is none, as below
	LastProven *time.Time `json:"last_proven"`
}

// findBackups returns nil where no store is set.
func findBackups(ctx context.Context, in *installation, m *tenants.Manager, id string) (view *backupsView, err error) {
	settings := &in.config.Backups
	if settings.Place.IsNone() {
		return nil, nil //nolint:nilnil // not an error, and there is no store
	}
	kept, err := openStore(settings, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	shelf, err := backups.FindShelf(ctx, kept, m.InstallationID(), id)
	if err != nil {
		return nil, err
	}
	good, proven := shelf.Newest(time.Now())
	view = &backupsView{}
	if !good.IsZero() {
		view.LastGood = &good
	}
	if !proven.IsZero() {
		view.LastProven = &proven
	}
	return view, nil
}

func orNever(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.Format(time.RFC3339)
}
