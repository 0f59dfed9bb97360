package backups

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// Moment is a tenant as another program has restored it to some moment: on another server,
// or in a file. Nothing there is changed.
type Moment struct {
	// Owner is the core user who will own the new tenant; nil for a tenant without an
	// organization.
	Owner *models.CoreUser
	// Unexplained names what the new tenant will lack.
	Unexplained []string

	id         string // of the tenant
	source     *database.Source
	migrations []*gormigrate.Migration
	then       *organization
}

// Look finds the tenant with that slug, or the deleted tenant of a slug that rests, in a
// database outside, which must have the tenant's stamp. The errors: database.ErrForeign,
// database.ErrOtherEngine, database.ErrNewerSchema, those of the connection, and one that
// says that the owner is gone.
func (b *Backups) Look(ctx context.Context, slug models.Slug, at database.Outside) (*Moment, error) {
	m, err := b.expect(ctx, slug, at)
	if err != nil {
		return nil, err
	}
	seen, err := b.look(ctx, m.source)
	if errors.Is(err, database.ErrForeign) && m.id == "" {
		err = fmt.Errorf("no tenant has the slug or is known to have had it: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if m.migrations, err = b.appliedOf(seen); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if database.LatestID(m.migrations) != b.databases.Version {
		if m.source.Layout, err = b.databases.Backend.Layout(ctx, m.migrations); err == nil {
			seen, err = b.look(ctx, m.source)
		}
		if err != nil {
			return nil, err
		}
	}
	m.Unexplained = seen.Unexplained
	return m, nil
}

// expect says which tenant the database must be of, and to whom it belongs. Without an id
// no database is right.
func (b *Backups) expect(ctx context.Context, slug models.Slug, at database.Outside) (*Moment, error) {
	layout, err := b.tenantLayout.get(ctx)
	if err != nil {
		return nil, err
	}
	m := &Moment{source: &database.Source{Outside: at, Layout: layout}}
	record, err := models.FindTenantBySlug(ctx, b.databases.Core, slug)
	if err == nil {
		if m.then, err = b.describe(ctx, &record); err == nil {
			m.Owner, err = b.databases.FindOwner(ctx, record.ID)
		}
		return b.of(m, &record), err
	}
	if !models.IsKind(err, models.KindTenantNotFound) {
		return nil, err
	}
	deleted, ownerID, err := b.databases.FindDeleted(ctx, slug)
	if models.IsKind(err, models.KindTenantNotFound) {
		return b.of(m, &models.Tenant{}), nil
	}
	if err == nil && ownerID != 0 {
		m.Owner, err = b.ownerNow(ctx, ownerID)
	}
	m.then = &organization{Name: string(slug)} // the rest is gone with the row of core
	return b.of(m, deleted), err
}

func (b *Backups) of(m *Moment, record *models.Tenant) *Moment {
	if record != nil {
		m.id, m.source.Role, m.source.Check = record.ID, record.Role, b.databases.StampedWith(record.ID)
	}
	return m
}

func (b *Backups) ownerNow(ctx context.Context, id int64) (*models.CoreUser, error) {
	owner, err := models.FindUser[models.CoreUser](ctx, b.databases.Core, id)
	if models.IsKind(err, models.KindUserNotFound) {
		return nil, errors.New("its owner is no core user any more")
	}
	return &owner, err
}

// errSeen ends a copy of which only the description is of interest.
var errSeen = errors.New("seen")

// look describes a database.
func (b *Backups) look(ctx context.Context, source *database.Source) (*database.Content, error) {
	seen := &glance{}
	if err := b.databases.Backend.Copy(ctx, source, seen); !errors.Is(err, errSeen) {
		return nil, err
	}
	return seen.content, nil
}

// glance takes a description and no more.
type glance struct {
	database.Sink

	content *database.Content
}

// Describe notes the description.
func (g *glance) Describe(content *database.Content) error {
	g.content = content
	return errSeen
}

// appliedOf returns the migrations that a tenant's database has, or
// database.ErrNewerSchema.
func (b *Backups) appliedOf(content *database.Content) ([]*gormigrate.Migration, error) {
	for i := range b.databases.Migrations {
		list := b.databases.Migrations[:i+1]
		if database.CheckSchema(content.Applied, list) == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("%w: no release that this program knows has its migrations", database.ErrNewerSchema)
}

// RestoreMoment makes a new tenant of one outside, as Restore does of a backup. report is
// told how many bytes have been read.
func (b *Backups) RestoreMoment(
	ctx context.Context, m *tenants.Manager, from *Moment, as models.Slug, report func(bytes int64),
) (*models.Tenant, error) {
	content := &tenants.Copied{
		From: from.id, Migrations: from.migrations, Owner: from.Owner,
		Feed: func(fill database.Fill) error {
			return b.databases.Backend.Copy(ctx, from.source, &database.Relay{
				Fill:   fill,
				Check:  func(seen *database.Content) error { return database.CheckSchema(seen.Applied, from.migrations) },
				Report: func(passed *database.Passage) { report(passed.Bytes) },
			})
		},
	}
	return b.restore(ctx, m, &making{as: as, then: from.then, content: content, source: from.source.Outside.String()})
}
