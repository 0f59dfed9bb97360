package backups

import (
	"context"
	"strings"

	"multitenant/backups/store"
	"multitenant/models"
	"multitenant/tenants"
)

// Forget removes all that the store has of a tenant of the installation, whether it
// exists or not, and records the event in core. It returns how many backups there were.
// It can be repeated. While the tenant is being backed up it is KindBusy.
func Forget(ctx context.Context, d *tenants.Databases, from store.Store, id string, event *models.Event) (count int, err error) {
	session, err := d.Lock(ctx, id)
	if err != nil {
		return 0, err
	}
	defer session.Unlock()
	count, err = removeAll(ctx, from, shelfOf(d.InstallationID(), id))
	if err != nil {
		return count, err
	}
	event.Detail = id
	return count, models.Record(ctx, d.Core, event)
}

// removeAll removes all that there is in a folder of the store, and returns how many
// backups there were.
func removeAll(ctx context.Context, from store.Store, folder string) (count int, err error) {
	objects, err := from.List(ctx, folder)
	if err != nil {
		return 0, err
	}
	for _, records := range []bool{true, false} { // without its record the rest is no backup
		for _, object := range objects {
			isRecord := strings.HasSuffix(object.Name, recordSuffix)
			if isRecord != records {
				continue
			}
			if err := from.Remove(ctx, object.Name); err != nil {
				return count, err
			}
			if isRecord {
				count++
			}
		}
	}
	return count, nil
}
