package backups

import (
	"context"
	"errors"

	"multitenant/models"
	"multitenant/operations"
)

// The phases of an operation that backs a tenant up.
const (
	phaseCopying = "copying"
	phaseReading = "reading_back"
)

// Operation is the kind of operation that makes a backup of a tenant.
type Operation struct{ *Backups }

var _ operations.Kind = Operation{}

// Name is how operations name the kind.
func (Operation) Name() models.OperationKind { return models.OperationBackup }

// Run makes the backup. What an earlier worker has left of one is no backup, and is
// pruned later.
func (o Operation) Run(ctx context.Context, task *operations.Task) error {
	if err := o.try(ctx); err != nil {
		return err
	}
	id := task.Operation().TenantID
	if err := o.databases.UpgradeIfBehind(ctx, id); err != nil {
		return err
	}
	result := newResult(o.copyTenant(ctx, id, task))
	if result.Skipped != "" {
		return operations.Permanent(errors.New(result.Skipped))
	}
	return result.Err
}

// Undo does nothing: a backup that is not whole leaves nothing that counts.
func (Operation) Undo(context.Context, *operations.Task) error { return nil }
