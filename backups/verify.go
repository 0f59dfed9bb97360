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
	LevelRestored = 3 // it can be restored, and has all its rows then
)

// ErrIdentityMissing says that an encrypted backup cannot be read without an identity. It
// begins with its code.
var ErrIdentityMissing = errors.New("backup_identity_missing: it is encrypted, and there is no identity: set BACKUP_IDENTITY_FILE")

// Verify reads a backup again and proves it to that level, of those that need no
// database. The error is archive.ErrDamaged where the backup is not what was written.
func Verify(ctx context.Context, from store.Store, r *Record, level int, identities []age.Identity) error {
	if level < LevelReadable {
		return readBack(ctx, from, r)
	}
	whole := &reader{from: from, record: r, identities: identities}
	_, err := whole.read(ctx, archive.Discard{})
	return err
}

// reader reads the content of one backup.
type reader struct {
	from       store.Store
	record     *Record
	identities []age.Identity
	report     func(bytes int64) // is told how much of the archive was read; may be nil
}

// read gives the parts of the archive to sink. They are known to be whole only when it
// has returned without an error.
func (b *reader) read(ctx context.Context, sink archive.Sink) (manifest archive.Manifest, err error) {
	identities := b.identities
	if !b.record.IsEncrypted() {
		identities = nil
	} else if len(identities) == 0 {
		return manifest, ErrIdentityMissing
	}
	err = readWith(ctx, b.from, b.record, func(object io.Reader) error {
		var err error
		counted := io.TeeReader(object, &counter{report: b.report})
		manifest, err = archive.Read(counted, b.record.owner(), identities, sink)
		return err
	})
	return manifest, err
}

// counter reports how many bytes it was given.
type counter struct {
	bytes  int64
	report func(bytes int64)
}

// Write counts.
func (c *counter) Write(piece []byte) (int, error) {
	c.bytes += int64(len(piece))
	if c.report != nil {
		c.report(c.bytes)
	}
	return len(piece), nil
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
