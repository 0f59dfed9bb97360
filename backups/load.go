package backups

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/backups/archive"
	"multitenant/database"
	"multitenant/database/migrations"
)

// migrationsOf returns those that the database of a backup had. The error is
// database.ErrOtherEngine, or database.ErrNewerSchema for one that this code does not
// know.
func (b *Backups) migrationsOf(r *Record) ([]*gormigrate.Migration, error) {
	if engine := b.databases.Core.Name(); r.Engine != engine {
		return nil, fmt.Errorf("%w: of %s, and the databases here are of %s", database.ErrOtherEngine, r.Engine, engine)
	}
	list := b.databases.Migrations
	if r.TenantID == CoreOwner {
		list = migrations.Core(b.databases.Prefix)
	}
	for i, migration := range list {
		if migration.ID == r.SchemaVersion {
			return list[:i+1], nil
		}
	}
	return nil, fmt.Errorf("%w: its schema is %s", database.ErrNewerSchema, r.SchemaVersion)
}

// loading is the content of a backup on its way into a database. Without a database it
// is looked at only.
type loading struct {
	fill       database.Fill // may be nil
	migrations []*gormigrate.Migration

	content      database.Content
	organization *organization // nil for core
	tokenKey     []byte        // empty for tenants, and where core keeps none
	dump         io.Writer     // takes the dump, if there is one; nil if it is not wanted
	isFile       bool
	rows         map[string]int64 // that the database has taken, by the names of the parts
	manifest     archive.Manifest
}

// load reads a backup into fill, and requires that all of it has arrived.
func (l *loading) load(ctx context.Context, from *reader, fill database.Fill) (err error) {
	l.fill, l.rows = fill, map[string]int64{}
	if l.manifest, err = from.read(ctx, l); err != nil || fill == nil {
		return err
	}
	for i := range l.manifest.Parts {
		part := &l.manifest.Parts[i]
		if part.Rows != nil && *part.Rows != l.rows[part.Name] {
			return fmt.Errorf("%w: %s has %d rows, and %d arrived", database.ErrUnloadable, part.Name, *part.Rows, l.rows[part.Name])
		}
	}
	return nil
}

// File takes a part that is no table.
func (l *loading) File(name string, _ int64, content io.Reader) error {
	switch name {
	case schemaPart:
		if err := decode(name, content, &l.content); err != nil {
			return err
		}
		if err := database.CheckSchema(l.content.Applied, l.migrations); err != nil {
			return err
		}
		if l.fill != nil {
			return l.fill.Describe(&l.content)
		}
	case organizationPart:
		return decode(name, content, &l.organization)
	case tokenKeyPart:
		var err error
		l.tokenKey, err = io.ReadAll(content)
		return err
	case databasePart:
		l.isFile = true
		if l.fill != nil {
			return l.fill.File(content)
		}
	default:
		if l.dump != nil && isDump(name) {
			_, err := io.Copy(l.dump, content)
			return err
		}
	}
	return nil
}

// Table takes the rows of a table.
func (l *loading) Table(name string, rows io.Reader) (err error) {
	if l.fill != nil {
		l.rows[archive.TableName(name)], err = l.fill.Table(name, rows)
	}
	return err
}

func decode(name string, content io.Reader, value any) error {
	if err := json.NewDecoder(content).Decode(value); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
