// Package backups copies the core database and those of tenants to a store, and proves
// that the copies are whole.
package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"filippo.io/age"

	"multitenant/backups/archive"
	"multitenant/backups/store"
	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/tenants"
	"multitenant/version"
)

// Options are the settings of backups.
type Options struct {
	Databases *tenants.Databases
	Store     store.Store
	// Recipients can decrypt the backups, by their identities. They are written as age
	// writes them. Without any, backups are not encrypted.
	Recipients []string
	// TokenKeyFile is the file of the token key, which is kept with core; empty if the
	// program has none. The file may be missing.
	TokenKeyFile string
	// PgDump is the program pg_dump, whose dump goes with the databases that the migrations do
	// not explain; empty for none. Its pg_restore reads the dumps that are proven.
	PgDump string
	// Identities decrypt the backups of which owners make new organizations.
	Identities []age.Identity
}

// Backups makes backups of one installation, beside servers that run.
type Backups struct {
	databases  *tenants.Databases
	store      store.Store
	recipients []age.Recipient
	names      []string // of the recipients
	keyFile    string
	pgDump     string
	identities []age.Identity
	version    string // of the program

	coreLayout, tenantLayout *layout
}

// New returns the backups of an installation. The error is a recipient that cannot be read.
func New(o *Options) (*Backups, error) {
	b := &Backups{
		databases: o.Databases, store: o.Store, names: o.Recipients, keyFile: o.TokenKeyFile, pgDump: o.PgDump,
		identities: o.Identities, version: version.Read().Number,
	}
	b.coreLayout = &layout{look: func(ctx context.Context) (database.Layout, error) {
		return o.Databases.Backend.Layout(ctx, migrations.Core(o.Databases.Prefix))
	}}
	b.tenantLayout = &layout{look: func(ctx context.Context) (database.Layout, error) {
		return o.Databases.Backend.Layout(ctx, o.Databases.Migrations)
	}}
	for _, text := range o.Recipients {
		recipient, err := archive.ParseRecipient(text)
		if err != nil {
			return nil, err
		}
		b.recipients = append(b.recipients, recipient)
	}
	return b, nil
}

// Store returns where the backups are.
func (b *Backups) Store() store.Store { return b.store }

// layout is the set of objects that this code's migrations make. It is found out when it is
// first needed: the engine may have to run them for that.
type layout struct {
	look func(ctx context.Context) (database.Layout, error)

	mu      sync.Mutex // guards the fields below; its waiters need the same result
	isKnown bool
	found   database.Layout
}

func (l *layout) get(ctx context.Context) (database.Layout, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isKnown {
		return l.found, nil
	}
	found, err := l.look(ctx)
	if err == nil {
		l.found, l.isKnown = found, true
	}
	return found, err
}

// try finds out whether the store works, and pg_dump where it is wanted.
func (b *Backups) try(ctx context.Context) error {
	if b.pgDump != "" {
		if err := b.databases.Backend.CheckDump(ctx, b.pgDump); err != nil {
			return err
		}
	}
	return store.Try(ctx, b.store, shelfOf(b.databases.InstallationID(), CoreOwner), trialSuffix)
}

// Entry is a backup in the store, or a record that says of none.
type Entry struct {
	Name   string // of the record's object
	Record *Record
	Err    error // why the record cannot be used; Record is nil then
}

// List returns the backups in a store, of all installations, the oldest of each
// database first.
func List(ctx context.Context, from store.Store) ([]Entry, error) {
	entries := []Entry{}
	err := Each(ctx, from, func(entry *Entry) error {
		entries = append(entries, *entry)
		return nil
	})
	return entries, err
}

// Each calls do with each of the backups that List returns, until it fails. Only the names
// are all in memory.
func Each(ctx context.Context, from store.Store, do func(*Entry) error) error {
	found, err := from.List(ctx, ".")
	if err != nil {
		return err
	}
	for _, object := range found {
		if object.Unfinished || !strings.HasSuffix(object.Name, recordSuffix) {
			continue
		}
		entry := Entry{Name: object.Name}
		entry.Record, entry.Err = readRecord(ctx, from, object.Name)
		if err := errors.Join(do(&entry), ctx.Err()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// List returns the backups in the store, as the function List does.
func (b *Backups) List(ctx context.Context) ([]Entry, error) { return List(ctx, b.store) }

// maxRecord bounds what a damaged record can take of memory.
const maxRecord = 16 << 20

func readRecord(ctx context.Context, from store.Store, name string) (*Record, error) {
	object, err := from.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(object, maxRecord))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, err
	}
	return parseRecord(name, text)
}

// write puts the record into the store, which makes its archive a backup.
func (b *Backups) write(ctx context.Context, r *Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return b.store.Put(ctx, r.objectName(), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}
