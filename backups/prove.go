package backups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	"multitenant/backups/archive"
	"multitenant/database"
	"multitenant/database/migrations"
)

// Prove restores a backup into a scratch database and compares that with the archive:
// the rows and the sum of each table, what the migrations make, sequences and keys; for
// a file its integrity, its keys, the rows of each table and the stamp. A dump is read by
// pg_restore, if that is there. The scratch database is dropped, and the store notes the
// result. The errors are those of Verify and Load.
func (b *Backups) Prove(ctx context.Context, r *Record, identities []age.Identity) error {
	return NoteProof(ctx, b.store, r, LevelRestored, b.prove(ctx, r, identities))
}

func (b *Backups) prove(ctx context.Context, r *Record, identities []age.Identity) error {
	if r.IsEncrypted() && len(identities) == 0 {
		return ErrIdentityMissing
	}
	list, err := b.migrationsOf(r)
	if err != nil {
		return err
	}
	copied := &loading{migrations: list}
	from := &reader{from: b.store, record: r, identities: identities}
	load := func(fill database.Fill) error { return copied.load(ctx, from, fill) }
	if r.Dumped {
		load = func(fill database.Fill) error {
			return b.databases.Backend.ReadDump(ctx, cmp.Or(b.pgDump, DefaultPgDump), func(w io.Writer) error {
				copied.dump = w
				return copied.load(ctx, from, fill)
			})
		}
	}
	return b.databases.Scratch(ctx, func(name string) error {
		if err := b.databases.Load(ctx, name, list, load); err != nil {
			return err
		}
		return b.compare(ctx, name, r, copied, false)
	})
}

// compare compares a database with the backup that it was filled with, or with its dump.
func (b *Backups) compare(ctx context.Context, name string, r *Record, copied *loading, byDump bool) error {
	var check database.Check
	if r.TenantID != CoreOwner {
		check = b.databases.StampedWith(r.TenantID)
	}
	if copied.isFile { // which was compared when it was loaded
		db, err := b.databases.Backend.OpenDatabase(ctx, name, check)
		if err != nil {
			return err
		}
		return database.Close(db)
	}
	layout, err := b.layoutOf(ctx, r, copied)
	if err != nil {
		return err
	}
	c := &comparison{byDump: byDump, content: &copied.content, parts: map[string]*archive.Part{}}
	for i := range copied.manifest.Parts {
		c.parts[copied.manifest.Parts[i].Name] = &copied.manifest.Parts[i]
	}
	return b.databases.Backend.Copy(ctx, &database.Source{Name: name, Check: check, Layout: layout}, c)
}

// layoutOf returns what the migrations of a backup make.
func (b *Backups) layoutOf(ctx context.Context, r *Record, copied *loading) (database.Layout, error) {
	switch {
	case r.TenantID == CoreOwner && r.SchemaVersion == database.LatestID(migrations.Core(b.databases.Prefix)):
		return b.coreLayout.get(ctx)
	case r.TenantID != CoreOwner && r.SchemaVersion == b.databases.Version:
		return b.tenantLayout.get(ctx)
	}
	return b.databases.Backend.Layout(ctx, copied.migrations)
}

// comparison compares a database with a backup, while it is copied again.
type comparison struct {
	byDump  bool // it was made of the dump
	content *database.Content
	parts   map[string]*archive.Part
}

// Describe compares all but the rows.
func (c *comparison) Describe(content *database.Content) error {
	for _, name := range content.Unexplained {
		if !c.byDump || !slices.Contains(c.content.Unexplained, name) {
			return fmt.Errorf("restored, it has another %s", name)
		}
	}
	isMoved := !slices.Equal(content.Sequences, c.content.Sequences) && !c.byDump // pg_dump reads them a little later
	if !slices.Equal(content.Applied, c.content.Applied) || isMoved {
		return errors.New("restored, it has other migrations or sequences")
	}
	return nil
}

// Table compares the rows of a table, in any order.
func (c *comparison) Table(name string, write func(io.Writer) (int64, error)) error {
	found, err := archive.SumTable(name, write)
	if err != nil {
		return err
	}
	part := c.parts[found.Name]
	if part == nil || part.Rows == nil || *part.Rows != *found.Rows || part.RowSum != found.RowSum {
		return fmt.Errorf("restored, table %s has other rows", name)
	}
	return nil
}

// File is for copies of another engine.
func (*comparison) File(int64, io.Reader) error { return database.ErrOtherEngine }
