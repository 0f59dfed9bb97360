package backups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"filippo.io/age"

	"multitenant/backups/archive"
	"multitenant/backups/store"
	"multitenant/database"
)

// DefaultPgDump is the program that makes dumps, where no other is named.
const DefaultPgDump = "pg_dump"

// ErrNoDump says that a backup has no dump.
var ErrNoDump = errors.New("it has no dump: backup list shows which backups have one")

// isDump reports whether a part is a piece of the dump.
func isDump(part string) bool { return path.Dir(part) == dumpPart }

// Lacks names the things that a database made of the backup lacks, and says where they are.
func (r *Record) Lacks() string {
	names := strings.Join(r.Unexplained, ", ")
	if r.Dumped {
		names += ", which the dump in backup " + r.ID + " has"
	}
	return names
}

// Lacks names the things that a database made of the chosen backup lacks; empty for none.
func (c *Choice) Lacks() string {
	if c.make == nil {
		if c.Record.IsExplained() {
			return ""
		}
		return c.Record.Lacks()
	}
	return strings.Join(slices.DeleteFunc(slices.Clone(c.Record.Unexplained), isLoaded), ", ")
}

// isLoaded reports whether database.Loader.LoadDump makes such a thing again.
func isLoaded(unexplained string) bool {
	for _, left := range []string{"privileges of ", "default privileges of ", "setting "} {
		if strings.HasPrefix(unexplained, left) {
			return false
		}
	}
	return true
}

// useDump has the database be made of the dump. It refuses a dump with objects of roles that
// have fewer powers than the application's own, to which all would belong: a function of such a
// role could do more then.
func (b *Backups) useDump(c *Choice) error {
	if owners := c.copied.content.Owners; len(owners) > 0 {
		return fmt.Errorf("%w: things in its dump belong to %s, and would belong to the application's role: take them out by backup extract-dump",
			database.ErrUnloadable, strings.Join(owners, ", "))
	}
	c.make = func(ctx context.Context, name string) error {
		err := b.databases.Backend.LoadDump(ctx, name, cmp.Or(b.pgDump, DefaultPgDump), func(w io.Writer) error {
			c.copied.dump = w
			return c.copied.load(ctx, c.from, nil)
		})
		if err != nil {
			return err
		}
		return b.compare(ctx, name, c.Record, c.copied, true)
	}
	return nil
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
