package models

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// OperationKind names the work of an operation; its text is stable and is on the wire.
type OperationKind string

// The kinds of operations.
const (
	OperationBackup OperationKind = "backup"
	OperationDelete OperationKind = "delete" // of a tenant, with its last backup
	OperationExport OperationKind = "export"
	// OperationRestore makes a new organization of a backup of the tenant.
	OperationRestore OperationKind = "restore"
)

// OperationKinds lists them all.
func OperationKinds() []OperationKind {
	return []OperationKind{OperationBackup, OperationDelete, OperationExport, OperationRestore}
}

// OperationStatus says how far an operation is.
type OperationStatus string

// An operation is queued until a worker takes it, and again when an attempt has failed. It
// is running while a worker does or undoes it, and after the death of the worker, until
// another takes it. The other three are its ends.
const (
	OperationQueued    OperationStatus = "queued"
	OperationRunning   OperationStatus = "running"
	OperationDone      OperationStatus = "done"
	OperationFailed    OperationStatus = "failed"
	OperationCancelled OperationStatus = "cancelled"
)

// OperationStatuses lists them all.
func OperationStatuses() []OperationStatus {
	return []OperationStatus{OperationQueued, OperationRunning, OperationDone, OperationFailed, OperationCancelled}
}

// coreServer names the database server of core.
const coreServer = "core"

// Operation is long work that a worker in any server process does.
// It has no secret in it.
type Operation struct {
	ID       string `gorm:"primaryKey"` // a UUID; later operations have greater ones
	Kind     OperationKind
	TenantID string // also after the tenant is gone
	Server   string // where the tenant's database is
	Status   OperationStatus
	// EndsAs is set once the operation is to be undone: it ends with that status then.
	EndsAs OperationStatus
	Phase  string
	// IsCommitted says that the operation can only go forward, and not be cancelled.
	IsCommitted bool
	Arguments   string // JSON
	Findings    string // JSON
	Done, Total int64  // bytes or rows; Total is 0 while it is not known
	Error       string // of the last attempt that failed, for the operator
	ErrorCode   Kind   // the same for others
	Attempts    int64
	Worker      string // the last one
	ActorID     *int64 // the core user who asked for it; nil for another actor
	Actor       string // as in an event
	OwnerID     *int64 // the core user who owns the organization; nil if there is none
	CreatedAt   time.Time
	UpdatedAt   time.Time
	StartedAt   *time.Time
	EndedAt     *time.Time // nil while it is open: queued or running
}

// CreateOperation queues an operation, of which the caller has set the kind, the tenant and
// perhaps the arguments. The event says who asks for it, and its reader is the owner of
// the organization. allow, unless it is nil, is called last in the transaction, and its
// error undoes all. KindOperationRunning if another operation of the tenant is open.
func CreateOperation(ctx context.Context, db *gorm.DB, event *Event, op *Operation, allow func() error) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		return queueOperation(ctx, tx, event, op, allow)
	})
}

// QueueOperation is CreateOperation for an operation that records its own event at its end.
// The user asks for it, and owns the organization.
func QueueOperation(ctx context.Context, db *gorm.DB, user *CoreUser, op *Operation, allow func() error) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return queueOperation(ctx, tx, (&Event{}).By(&user.Account), op, allow)
	})
}

func queueOperation(ctx context.Context, tx *gorm.DB, event *Event, op *Operation, allow func() error) error {
	if err := insertOperation(ctx, tx, event, op); err != nil || allow == nil {
		return err
	}
	return allow()
}

// insertOperation queues an operation, as CreateOperation does, and records nothing.
func insertOperation(ctx context.Context, db *gorm.DB, event *Event, op *Operation) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	op.ID, op.Server, op.Status = id.String(), coreServer, OperationQueued
	op.Actor, op.ActorID, op.OwnerID = event.Actor, event.ActorID, event.ReaderID
	if op.Arguments == "" {
		op.Arguments = "{}"
	}
	op.Findings = "{}"
	return insert(gorm.G[Operation](db).Create(ctx, op), ErrOperationRunning, "ix_operations_tenant_id")
}

// FindOperation returns the operation with that id, or KindOperationNotFound.
func FindOperation(ctx context.Context, db *gorm.DB, id string) (Operation, error) {
	return findOperation(ctx, gorm.G[Operation](db).Where("id IS NOT NULL"), id)
}

// FindOperationOf returns the operation with that id if the core user owns its
// organization or has asked for it; otherwise KindOperationNotFound.
func FindOperationOf(ctx context.Context, db *gorm.DB, userID int64, id string) (Operation, error) {
	return findOperation(ctx, gorm.G[Operation](db).Where("(owner_id = ? OR actor_id = ?)", userID, userID), id)
}

func findOperation(ctx context.Context, query gorm.ChainInterface[Operation], id string) (Operation, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id {
		return Operation{}, ErrOperationNotFound
	}
	op, err := query.Where("id = ?", id).Take(ctx)
	return op, lookup(err, ErrOperationNotFound)
}

// EachOperation calls do with each operation and the slug of its tenant, the newest first,
// until it fails. The slug is empty if the tenant is gone. However many there are, only
// some are in memory.
func EachOperation(ctx context.Context, db *gorm.DB, do func(op *Operation, slug Slug) error) error {
	before := ""
	for {
		var page []struct {
			Operation Operation `gorm:"embedded"`
			Slug      Slug
		}
		query := db.WithContext(ctx).Table("operations").Select("operations.*, tenants.slug").
			Joins("LEFT JOIN tenants ON tenants.id = operations.tenant_id").Order("operations.id DESC").Limit(fleetPage)
		if before != "" {
			query = query.Where("operations.id < ?", before)
		}
		if err := query.Find(&page).Error; err != nil {
			return err
		}
		for i := range page {
			if err := do(&page[i].Operation, page[i].Slug); err != nil {
				return err
			}
		}
		if len(page) < fleetPage {
			return nil
		}
		before = page[len(page)-1].Operation.ID
	}
}

// ListOpenOperations returns the operations of these kinds that have not ended, the oldest
// first.
func ListOpenOperations(ctx context.Context, db *gorm.DB, kinds []OperationKind) ([]Operation, error) {
	return gorm.G[Operation](db).Where("ended_at IS NULL AND kind IN ?", kinds).Order("id").Find(ctx)
}

// TakeOperation gives an open operation to a worker that holds the tenant's lock, and
// returns it as it is then. KindOperationNotFound if it has ended.
func TakeOperation(ctx context.Context, db *gorm.DB, id, worker string) (op Operation, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		op, err = gorm.G[Operation](tx, forUpdate()).Where("id = ? AND ended_at IS NULL", id).Take(ctx)
		if err != nil {
			return lookup(err, ErrOperationNotFound)
		}
		if op.StartedAt == nil {
			now := tx.NowFunc()
			op.StartedAt = &now
		}
		op.Status, op.Worker = OperationRunning, worker
		op.Attempts++
		_, err = gorm.G[Operation](tx).Where("id = ?", id).
			Select("status", "worker", "attempts", "started_at", "updated_at").Updates(ctx, op)
		return err
	})
	return op, err
}

// SaveOperation writes how far the worker of an operation is, and reports whether it is
// still that worker's: it is not once another worker has taken it, or it was cancelled.
func SaveOperation(ctx context.Context, db *gorm.DB, op *Operation) (bool, error) {
	op.UpdatedAt = db.NowFunc()
	saved, err := gorm.G[Operation](db).
		Where("id = ? AND worker = ? AND ends_as IN ? AND ended_at IS NULL", op.ID, op.Worker, []OperationStatus{"", op.EndsAs}).
		Select("status", "ends_as", "phase", "is_committed", "findings", "done", "total", "error", "error_code", "attempts",
			"updated_at", "ended_at").Updates(ctx, *op)
	return saved > 0, err
}

// Reasons why an operation is not cancelled.
var (
	errHasEnded    = errors.New("it has ended")
	errIsCommitted = errors.New("it can only go forward now")
)

// CancelOperation ends an operation that has not begun, and lets a worker undo one that
// has. It fails if the operation has ended or is committed; KindOperationNotFound if there
// is none.
func CancelOperation(ctx context.Context, db *gorm.DB, event *Event, id string) (op Operation, err error) {
	event.Detail = id
	err = recorded(ctx, db, event, func(tx *gorm.DB) error {
		op, err = findOperation(ctx, gorm.G[Operation](tx, forUpdate()).Where("id IS NOT NULL"), id)
		switch {
		case err != nil:
			return err
		case op.EndedAt != nil:
			return errHasEnded
		case op.IsCommitted:
			return errIsCommitted
		}
		op.EndsAs = OperationCancelled
		if op.StartedAt == nil {
			now := tx.NowFunc()
			op.Status, op.EndedAt = OperationCancelled, &now
		}
		_, err = gorm.G[Operation](tx).Where("id = ?", id).Select("status", "ends_as", "ended_at", "updated_at").Updates(ctx, op)
		return err
	})
	return op, err
}

// KeepFindings lets change write the findings of an operation that has ended, while no other
// process does so, and records the event unless it is nil. KindOperationNotFound if there is
// none.
func KeepFindings(ctx context.Context, db *gorm.DB, event *Event, id string, change func(op *Operation) error) error {
	keep := func(tx *gorm.DB) error {
		op, err := findOperation(ctx, gorm.G[Operation](tx, forUpdate()).Where("ended_at IS NOT NULL"), id)
		if err != nil {
			return err
		}
		if err := change(&op); err != nil {
			return err
		}
		_, err = gorm.G[Operation](tx).Where("id = ?", id).Update(ctx, "findings", op.Findings)
		return err
	}
	if event == nil {
		return db.WithContext(ctx).Transaction(keep)
	}
	return recorded(ctx, db, event, keep)
}

// PruneOperations removes the operations that ended before a time.
func PruneOperations(ctx context.Context, db *gorm.DB, before time.Time) error {
	_, err := gorm.G[Operation](db).Where("ended_at < ?", before).Delete(ctx)
	return err
}

// OperationCount says how many operations of a kind have a status.
type OperationCount struct {
	Kind       OperationKind
	Status     OperationStatus
	Operations int
}

// CountOperations counts all operations by their kind and status, also where there are
// none.
func CountOperations(ctx context.Context, db *gorm.DB) ([]OperationCount, error) {
	var found []OperationCount
	err := gorm.G[Operation](db).Select("kind, status, count(*) AS operations").Group("kind, status").Scan(ctx, &found)
	if err != nil {
		return nil, err
	}
	counts := make([]OperationCount, 0, len(OperationKinds())*len(OperationStatuses()))
	for _, kind := range OperationKinds() {
		for _, status := range OperationStatuses() {
			counts = append(counts, OperationCount{Kind: kind, Status: status})
		}
	}
	for i := range counts {
		for _, some := range found {
			if some.Kind == counts[i].Kind && some.Status == counts[i].Status {
				counts[i] = some
			}
		}
	}
	return counts, nil
}
