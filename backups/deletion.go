package backups

import (
	"context"

	"multitenant/models"
	"multitenant/operations"
	"multitenant/tenants"
)

// phaseRemoving is the phase of a deletion in which the tenant goes.
const phaseRemoving = "removing"

// Deletion is the kind of operation that makes the last backup of a tenant and removes the
// tenant. It is committed from the beginning: the tenant is refused already.
type Deletion struct {
	Tenants *tenants.Manager
	Last    *Last
}

var _ operations.Kind = Deletion{}

// Name is how operations name the kind.
func (Deletion) Name() models.OperationKind { return models.OperationDelete }

// Run makes the backup, unless an earlier worker has, and removes the tenant. The end of
// the operation is written with the removal of the tenant's row.
func (k Deletion) Run(ctx context.Context, task *operations.Task) error {
	id := task.Operation().TenantID
	var before models.DeletionArguments
	if err := task.Arguments(&before); err != nil {
		return err
	}
	keep := func(ctx context.Context, d *tenants.Databases, record *models.Tenant) error {
		then := *record
		then.Status, then.SuspendedByOwner = before.Status, before.SuspendedByOwner // as it was before it was marked
		return k.Last.keep(ctx, d, &then, task)
	}
	if err := k.Tenants.KeepLast(ctx, task.Session, id, keep); err != nil {
		return err
	}
	if err := task.Enter(ctx, phaseRemoving, nil); err != nil {
		return err
	}
	return k.Tenants.RemoveDeleted(ctx, task.Session, id)
}

// Undo is never called: a deletion is committed.
func (Deletion) Undo(context.Context, *operations.Task) error { return nil }
