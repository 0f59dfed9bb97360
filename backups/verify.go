package backups

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"filippo.io/age"

	"multitenant/backups/archive"
	"multitenant/backups/store"
)

// The levels of proof.
const (
	LevelStored   = 1 // the object is the one that was written
	LevelReadable = 2 // its content is: each table, to its last row
)

// ErrIdentityMissing says that an encrypted backup cannot be read without an identity.
var ErrIdentityMissing = errors.New("it is encrypted, and there is no identity")

// Verify reads a backup again and proves it to that level. The error is
// archive.ErrDamaged where the backup is not what was written.
func Verify(ctx context.Context, from store.Store, r *Record, level int, identities []age.Identity) error {
	if level < LevelReadable {
		return readBack(ctx, from, r)
	}
	if !r.IsEncrypted() {
		identities = nil
	} else if len(identities) == 0 {
		return ErrIdentityMissing
	}
	return readWith(ctx, from, r, func(object io.Reader) error {
		_, err := archive.Verify(object, r.owner(), identities)
		return err
	})
}

// readBack compares the object with the record.
func readBack(ctx context.Context, from store.Store, r *Record) error {
	return readWith(ctx, from, r, func(io.Reader) error { return nil })
}

// readWith lets use read the archive, and compares all of it with the record. Where
// both find something wrong, the error of use says more.
func readWith(ctx context.Context, from store.Store, r *Record, use func(io.Reader) error) error {
	object, err := from.Open(ctx, r.Archive)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(archive.ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }() // it was only read
	sums := newSums(ctx, io.Discard)
	reader := io.TeeReader(object, sums)
	if err := use(reader); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return err
	}
	return sums.compare(r)
}
