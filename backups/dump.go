package backups

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"filippo.io/age"

	"multitenant/backups/archive"
	"multitenant/backups/store"
)

// DefaultPgDump is the program that makes dumps, where no other is named.
const DefaultPgDump = "pg_dump"

// ErrNoDump says that a backup has no dump.
var ErrNoDump = errors.New("it has no dump: backup list shows which backups have one")

// isDump reports whether a part is a piece of the dump.
func isDump(part string) bool { return path.Dir(part) == dumpPart }

// Lacks names what a database that is made of the backup lacks, and says where it is.
func (r *Record) Lacks() string {
	names := strings.Join(r.Unexplained, ", ")
	if r.Dumped {
		names += ", which the dump in backup " + r.ID + " has"
	}
	return names
}

// FindIn returns the backup in a store with that id; ErrNoBackup.
func FindIn(ctx context.Context, from store.Store, id string) (*Record, error) {
	var found *Record
	err := Each(ctx, from, func(entry *Entry) error {
		if entry.Record != nil && entry.Record.ID == id {
			found = entry.Record
		}
		return nil
	})
	if err == nil && found == nil {
		err = ErrNoBackup
	}
	return found, err
}

// ExtractDump reads a backup to its end, as Verify does, and writes its dump to w. The dump is
// whole only if the error is nil. The errors are those of Verify, ErrNoDump, and those of w.
func ExtractDump(ctx context.Context, from store.Store, r *Record, identities []age.Identity, w io.Writer) error {
	if !r.Dumped {
		return ErrNoDump
	}
	whole := &reader{from: from, record: r, identities: identities}
	_, err := whole.read(ctx, extraction{to: w})
	return err
}

// extraction writes the pieces of the dump.
type extraction struct {
	archive.Discard

	to io.Writer
}

// File takes a piece.
func (e extraction) File(name string, _ int64, content io.Reader) error {
	if !isDump(name) {
		return nil
	}
	_, err := io.Copy(e.to, content)
	return err
}
