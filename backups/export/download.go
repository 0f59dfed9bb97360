package export

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"filippo.io/age"

	"multitenant/backups/store"
	"multitenant/models"
)

const (
	// Lifetime is how long an export can be downloaded, from its end.
	Lifetime = 24 * time.Hour

	// SendTimeout bounds a download.
	SendTimeout = time.Hour

	folderName   = "exports"
	objectSuffix = ".zip.age"
	// identityPrefix begins each identity of age, and keyPrefix each key, which has the rest.
	identityPrefix = "AGE-SECRET-KEY-1"
	keyPrefix      = "mte_"
	// looseFor is how long the part of an upload is spared: its process may live.
	looseFor = 24 * time.Hour
)

func (e *Exports) folder() string { return path.Join(e.databases.InstallationID(), folderName) }

func (e *Exports) nameOf(operationID string) string {
	return path.Join(e.folder(), operationID+objectSuffix)
}

// operationOf returns the id of the operation that an object is of.
func operationOf(object store.Object) string {
	return strings.TrimSuffix(path.Base(object.Name), objectSuffix)
}

// NewKey returns the only key to the export of a tenant with that slug, and the arguments of
// the operation that makes it, which have no secret. The key must be kept nowhere.
func NewKey(slug models.Slug) (key, args string, err error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	key = keyPrefix + strings.ToLower(strings.TrimPrefix(identity.String(), identityPrefix))
	args, err = marshal(arguments{Slug: slug, Recipient: identity.Recipient().String(), KeyHash: hashOf(key)})
	return key, args, err
}

// identityOf returns the identity that decrypts an export.
func identityOf(key string) (age.Identity, error) {
	return age.ParseX25519Identity(identityPrefix + strings.ToUpper(strings.TrimPrefix(key, keyPrefix)))
}

// hashOf returns the hash of a key, which an operation keeps. A key is random, so its hash
// tells nothing.
func hashOf(key string) string { return sumOf([]byte("key of an export " + key)) }

// Ready is an export that can be downloaded.
type Ready struct {
	Slug  models.Slug
	Bytes int64 // of the ZIP

	exports  *Exports
	op       models.Operation
	identity age.Identity
	object   io.ReadCloser
	content  io.Reader
}

// Look finds the export of the operation with that id, and changes nothing. The errors:
// KindExportNotFound, KindOperationRunning while it is being made, and KindExportExpired.
func (e *Exports) Look(ctx context.Context, id, key string) (*Ready, error) {
	op, err := models.FindOperation(ctx, e.databases.Core, id)
	if models.IsKind(err, models.KindOperationNotFound) {
		return nil, models.ErrExportNotFound
	}
	if err != nil {
		return nil, err
	}
	var asked arguments
	if op.Kind == models.OperationExport {
		err = json.Unmarshal([]byte(op.Arguments), &asked)
	}
	isRight := subtle.ConstantTimeCompare([]byte(hashOf(key)), []byte(asked.KeyHash)) == 1
	if err != nil || !isRight {
		return nil, models.ErrExportNotFound
	}
	ready := &Ready{Slug: asked.Slug, exports: e, op: op}
	if ready.identity, err = identityOf(key); err != nil {
		return nil, models.ErrExportNotFound
	}
	found, err := e.check(&op)
	if err != nil {
		return nil, err
	}
	ready.Bytes = found.Bytes
	return ready, nil
}

// check requires that an export can be downloaded, and returns its findings.
func (e *Exports) check(op *models.Operation) (*findings, error) {
	var found findings
	if err := json.Unmarshal([]byte(op.Findings), &found); err != nil {
		return nil, err
	}
	switch {
	case op.EndedAt == nil && op.EndsAs == "":
		return nil, models.ErrExportNotReady
	case op.Status != models.OperationDone, found.DownloadedAt != "",
		e.databases.Core.NowFunc().Sub(*op.EndedAt) >= Lifetime:
		return nil, models.ErrExportExpired
	}
	return &found, nil
}

// Take gives the export to the caller alone, and records the event. The caller must call
// Open. KindExportExpired if another caller was faster.
func (r *Ready) Take(ctx context.Context, event *models.Event) error {
	if err := r.describe(ctx, event); err != nil {
		return err
	}
	return r.mark(ctx, event, r.exports.databases.Core.NowFunc().UTC().Format(time.RFC3339))
}

// describe says whose export the event is about.
func (r *Ready) describe(ctx context.Context, event *models.Event) error {
	event.Detail = r.op.ID
	org, err := models.FindOrganizationOf(ctx, r.exports.databases.Core, r.op.TenantID)
	switch {
	case err == nil:
		event.AboutOrganization(&org)
	case models.IsKind(err, models.KindOrganizationNotFound):
		event.AboutTenant(r.Slug)
		event.ReaderID = r.op.OwnerID
	default:
		return err
	}
	return nil
}

// mark keeps when the export was downloaded.
func (r *Ready) mark(ctx context.Context, event *models.Event, at string) error {
	return models.KeepFindings(ctx, r.exports.databases.Core, event, r.op.ID, func(op *models.Operation) error {
		found := &findings{Bytes: r.Bytes}
		if at != "" {
			var err error
			if found, err = r.exports.check(op); err != nil {
				return err
			}
		}
		found.DownloadedAt = at
		text, err := marshal(found)
		op.Findings = text
		return err
	})
}

// Open begins to read an export that was taken. ctx is that of Send, which the caller must
// call then. The errors: KindExportExpired, and KindBackupsUnavailable if the store does not
// answer; then the export can be downloaded again.
func (r *Ready) Open(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return errors.Join(err, r.giveBack(ctx))
	}
	return nil
}

// open also reads the first bytes of the object, which say whether the key opens it.
func (r *Ready) open(ctx context.Context) error {
	object, err := r.exports.store.Open(ctx, r.exports.nameOf(r.op.ID))
	if err == nil {
		if r.content, err = age.Decrypt(object, r.identity); err != nil {
			err = errors.Join(err, object.Close())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return models.ErrExportExpired
	}
	if err != nil {
		return models.ErrBackupsUnavailable.Because(err)
	}
	r.object = object
	return nil
}

// giveBackTimeout bounds the last writes, which the end of the request does not stop.
const giveBackTimeout = 5 * time.Second

// giveBack lets the export be downloaded again.
func (r *Ready) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	return r.mark(ctx, nil, "")
}

// Send writes the ZIP to w and removes the export from the store. If not all of it can be
// written, the export can be downloaded again. A store may read until ctx ends.
func (r *Ready) Send(ctx context.Context, w io.Writer) error {
	written, err := io.Copy(&counter{ctx: ctx, w: w}, r.content)
	if err == nil && written != r.Bytes {
		err = ErrDamaged
	}
	if err = errors.Join(err, r.object.Close()); err != nil {
		return errors.Join(err, r.giveBack(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	return r.exports.store.Remove(ctx, r.exports.nameOf(r.op.ID))
}

// Sweep removes the exports that can be downloaded no more, and the parts of some that dead
// processes have left.
func (e *Exports) Sweep(ctx context.Context) error {
	objects, err := e.store.List(ctx, e.folder())
	if err != nil {
		return err
	}
	for _, object := range objects {
		isNeeded := object.Unfinished && e.databases.Core.NowFunc().Sub(object.At) < looseFor
		if !object.Unfinished {
			isNeeded, err = e.isNeeded(ctx, operationOf(object))
		}
		if err == nil && !isNeeded {
			err = e.store.Remove(ctx, object.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Forget removes the exports of a tenant.
func (e *Exports) Forget(ctx context.Context, tenantID string) error {
	objects, err := e.store.List(ctx, e.folder())
	if err != nil {
		return err
	}
	for _, object := range objects {
		op, err := models.FindOperation(ctx, e.databases.Core, operationOf(object))
		if models.IsKind(err, models.KindOperationNotFound) || err == nil && op.TenantID != tenantID {
			continue
		}
		if err == nil {
			err = e.store.Remove(ctx, object.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isNeeded reports whether the operation with that id has not ended, or its export can be
// downloaded still.
func (e *Exports) isNeeded(ctx context.Context, id string) (bool, error) {
	op, err := models.FindOperation(ctx, e.databases.Core, id)
	if models.IsKind(err, models.KindOperationNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = e.check(&op)
	isGone := models.IsKind(err, models.KindExportExpired)
	if isGone && e.isSending(&op) {
		return true, nil
	}
	if isGone || err == nil || models.IsKind(err, models.KindOperationRunning) {
		return !isGone, nil
	}
	return false, err
}

// isSending reports whether a download may be under way.
func (e *Exports) isSending(op *models.Operation) bool {
	var found findings
	if json.Unmarshal([]byte(op.Findings), &found) != nil {
		return false
	}
	at, err := time.Parse(time.RFC3339, found.DownloadedAt)
	return err == nil && e.databases.Core.NowFunc().Sub(at) < SendTimeout
}
