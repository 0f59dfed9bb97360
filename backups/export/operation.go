package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"multitenant/backups/store"
	"multitenant/database"
	"multitenant/models"
	"multitenant/operations"
	"multitenant/tenants"
)

// The phases of an operation that makes an export.
const (
	phaseCopying = "copying"
	phaseReading = "reading_back"
)

// Exports are the exports in a store, which owners download once.
type Exports struct {
	databases *tenants.Databases
	store     store.Store
}

// New returns the exports of an installation.
func New(d *tenants.Databases, kept store.Store) *Exports { return &Exports{databases: d, store: kept} }

// arguments are those of an operation.
type arguments struct {
	Slug      models.Slug `json:"slug"`
	Recipient string      `json:"recipient"` // whose identity the key alone has
	KeyHash   string      `json:"key_hash"`
}

// findings are those of an operation.
type findings struct {
	Bytes        int64  `json:"bytes"`         // of the ZIP
	DownloadedAt string `json:"downloaded_at"` // empty before
}

// Operation is the kind of operation that makes an export in the store.
type Operation struct{ *Exports }

var _ operations.Kind = Operation{}

// Name is how operations name the kind.
func (Operation) Name() models.OperationKind { return models.OperationExport }

// Run makes the export, again if an earlier worker has made it.
func (o Operation) Run(ctx context.Context, task *operations.Task) error {
	op := task.Operation()
	var asked arguments
	if err := task.Arguments(&asked); err != nil {
		return err
	}
	recipient, err := age.ParseX25519Recipient(asked.Recipient)
	if err != nil {
		return operations.Permanent(err)
	}
	if err := task.Enter(ctx, phaseCopying, nil); err != nil {
		return err
	}
	if err := o.databases.UpgradeIfBehind(ctx, op.TenantID); err != nil {
		return err
	}
	name := o.nameOf(op.ID)
	if err := o.store.Remove(ctx, name); err != nil {
		return err
	}
	kept, size := newSum(), int64(0)
	err = o.store.Put(ctx, name, func(w io.Writer) error {
		kept = newSum()
		size, err = o.write(ctx, io.MultiWriter(w, kept), recipient, task)
		return err
	})
	if errors.Is(err, tenants.ErrUnfinished) || errors.Is(err, tenants.ErrBehind) || errors.Is(err, database.ErrNewerSchema) {
		return operations.Permanent(err)
	}
	if err == nil {
		err = task.Enter(ctx, phaseReading, findings{Bytes: size})
	}
	if err != nil {
		return err
	}
	return o.readBack(ctx, name, kept)
}

// write writes the ZIP for the recipient, and returns its size.
func (o Operation) write(ctx context.Context, w io.Writer, to age.Recipient, task *operations.Task) (size int64, err error) {
	encrypted, err := age.Encrypt(w, to)
	if err != nil {
		return 0, err
	}
	_, err = Write(ctx, o.databases, task.Operation().TenantID, encrypted, func(written int64) {
		size = written
		task.Report(written, 0)
	})
	if err != nil {
		return 0, err
	}
	return size, encrypted.Close()
}

// readBack requires that the store has the object that was written: an upload can succeed
// and be another.
func (o Operation) readBack(ctx context.Context, name string, written *sum) error {
	object, err := o.store.Open(ctx, name)
	if err != nil {
		return err
	}
	found := newSum()
	_, err = io.Copy(io.MultiWriter(found, &counter{ctx: ctx, w: io.Discard}), object)
	if err = errors.Join(err, object.Close()); err != nil {
		return err
	}
	if found.text() != written.text() {
		return fmt.Errorf("%w: the store has another object than was written", ErrDamaged)
	}
	return nil
}

// Undo removes the export.
func (o Operation) Undo(ctx context.Context, task *operations.Task) error {
	return o.store.Remove(ctx, o.nameOf(task.Operation().ID))
}

func marshal(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
