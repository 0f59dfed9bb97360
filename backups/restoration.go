package backups

import (
	"context"
	"errors"
	"fmt"

	"multitenant/backups/archive"
	"multitenant/database"
	"multitenant/models"
	"multitenant/operations"
	"multitenant/tenants"
)

// The phases of a restoration that an owner has asked for.
const (
	phaseExamining = "examining"
	phaseRestoring = "restoring"
)

// Restoration is the kind of operation that makes a new organization of a backup of
// another. It is done in the transaction that makes the new tenant ready, so a tenant that
// is not ready is undone, and made again by the next attempt.
type Restoration struct {
	*Backups

	Tenants *tenants.Manager
	Most    int // organizations that a core user may own; 0 means any number
}

var _ operations.Kind = Restoration{}

// RestorationArguments name the backup, and the organization that is made of it.
type RestorationArguments struct {
	As     models.Slug `json:"as"`     // of the new organization
	Backup string      `json:"backup"` // its id
}

// Name is how operations name the kind.
func (Restoration) Name() models.OperationKind { return models.OperationRestore }

// Run makes the organization. It removes the rest of an earlier attempt first.
func (k Restoration) Run(ctx context.Context, task *operations.Task) error {
	var arguments RestorationArguments
	if err := task.Arguments(&arguments); err != nil {
		return err
	}
	again, err := k.Tenants.RemoveUnfinished(ctx, arguments.As)
	if err == nil && !again {
		err = models.ErrSlugTaken
	}
	var made *making
	if err == nil {
		made, err = k.prepare(ctx, task, &arguments)
	}
	if err == nil {
		err = task.Enter(ctx, phaseRestoring, nil)
	}
	if err == nil {
		_, err = k.restore(ctx, k.Tenants, made)
	}
	return k.sorted(ctx, err, arguments.As)
}

// Undo does nothing: a tenant that is not ready is undone by the attempt or, if the worker
// died, by a server that finds it.
func (Restoration) Undo(context.Context, *operations.Task) error { return nil }

// prepare reads all of the backup.
func (k Restoration) prepare(ctx context.Context, task *operations.Task, arguments *RestorationArguments) (*making, error) {
	op := task.Operation()
	owner, err := k.owner(ctx, &op)
	if err != nil {
		return nil, err
	}
	record, err := k.Find(ctx, op.TenantID, arguments.Backup)
	if err != nil {
		return nil, err
	}
	if err := task.Enter(ctx, phaseExamining, nil); err != nil {
		return nil, err
	}
	choice, err := k.examine(ctx, record, k.identities, false)
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", record.ID, err)
	}
	choice.Owner, choice.from.report = owner, func(bytes int64) { task.Report(bytes, record.Bytes) }
	made := choice.making(ctx, arguments.As)
	made.content.Allowed, made.content.Also = tenants.Allowance{Most: k.Most}, task.DoneIn
	made.event = (&models.Event{Action: models.ActionOrganizationRestored, Outcome: models.OutcomeSuccess}).By(&owner.Account)
	return made, nil
}

// owner returns the user who has asked for the operation.
func (k Restoration) owner(ctx context.Context, op *models.Operation) (*models.CoreUser, error) {
	if op.ActorID == nil {
		return nil, operations.Permanent(errors.New("no core user has asked for it"))
	}
	owner, err := models.FindUser[models.CoreUser](ctx, k.databases.Core, *op.ActorID)
	if err == nil && !owner.IsActive {
		err = models.ErrUserNotFound
	}
	return &owner, err
}

// sorted tells the errors that another attempt would not change from the others. A slug
// that a dead worker has taken is free soon, and another process may have the identity: that
// which was asked has it.
func (k Restoration) sorted(ctx context.Context, err error, as models.Slug) error {
	if models.IsKind(err, models.KindBackupIdentityMissing) {
		return operations.Leave(err)
	}
	for _, kind := range []models.Kind{
		models.KindSlugResting, models.KindTooManyOrganizations, models.KindUserNotFound, models.KindBackupNotFound,
		models.KindInvalidSlug, models.KindReservedSlug, models.KindOwnerEmailTaken, models.KindBackupUnusable,
	} {
		if models.IsKind(err, kind) {
			return operations.Permanent(err)
		}
	}
	for _, known := range []error{
		archive.ErrDamaged, ErrIdentityMissing, database.ErrOtherEngine, database.ErrNewerSchema, database.ErrUnloadable,
	} {
		if errors.Is(err, known) {
			return operations.Permanent(err)
		}
	}
	if !models.IsKind(err, models.KindSlugTaken) {
		return err
	}
	if again, looked := k.Tenants.RemoveUnfinished(ctx, as); looked == nil && !again {
		return operations.Permanent(err)
	}
	return err
}
