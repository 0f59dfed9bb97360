package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/go-gormigrate/gormigrate/v2"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// Import makes a new tenant of an export.
type Import struct {
	File *File
	As   models.Slug // of the new tenant
	// Owner is the core user who gets the tenant; nil for one without an organization.
	Owner  *models.CoreUser
	Report func(bytes int64) // is told how much has been loaded; it may be called often
}

// Run makes the tenant and records the event. The tenant has a new id, and nothing that
// opened the one that was exported opens it: users have no passwords, there are no sessions,
// password resets and invitations, and the only core user inside is the owner. The errors
// are those of tenants.Manager.Restore, and database.ErrNewerSchema.
func (i *Import) Run(ctx context.Context, m *tenants.Manager, d *tenants.Databases) (*models.Tenant, error) {
	then := &i.File.Manifest
	list, err := i.File.migrationsOf(d.Migrations)
	if err != nil {
		return nil, err
	}
	registration := then.Registration
	if !registration.IsValid() {
		registration = models.RegistrationClosed
	}
	content := &tenants.Copied{
		From: then.Tenant.ID, Migrations: list, Registration: registration, Owner: i.Owner, NeedsOwner: true, Feed: i.feed,
	}
	event := models.NewOperatorEvent(models.ActionOrganizationImported)
	event.Detail = "from " + string(then.Tenant.Slug)
	if err := m.Restore(ctx, event, i.As, i.organization(registration), content); err != nil {
		return nil, err
	}
	made, err := models.FindTenantBySlug(ctx, d.Core, i.As)
	return &made, err
}

// organization returns the organization of the new tenant, or nil.
func (i *Import) organization(registration models.Registration) *models.Organization {
	if i.Owner == nil {
		return nil
	}
	org := &models.Organization{Name: string(i.As), IsActive: true, Registration: registration}
	if then := i.File.Manifest.Organization; then != nil && then.Name != "" && isShort(then) {
		org.Name, org.Description = then.Name, then.Description
	}
	return org
}

// isShort reports whether the API would accept the texts of an organization.
func isShort(org *Organization) bool {
	return utf8.RuneCountInString(org.Name) <= models.MaxNameLength &&
		(org.Description == nil || utf8.RuneCountInString(*org.Description) <= models.MaxDescriptionLength)
}

// migrationsOf returns the migrations that the exported database had.
func (f *File) migrationsOf(list []*gormigrate.Migration) ([]*gormigrate.Migration, error) {
	for i := range list {
		if database.CheckSchema(f.schema.Applied, list[:i+1]) == nil {
			return list[:i+1], nil
		}
	}
	known := make([]string, len(list))
	for i, migration := range list {
		known[i] = migration.ID
	}
	for _, id := range f.schema.Applied {
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("%w: this program has no migration %s", database.ErrNewerSchema, id)
		}
	}
	return nil, errors.New("its migrations are those of no release")
}

// The tables that an import changes.
const (
	usersTable       = "tenant_users"
	invitationsTable = "tenant_invitations"
	stampTable       = "tenant_stamp"
)

// feed fills a database that has the schema of the export.
func (i *Import) feed(fill database.Fill) error {
	content := i.content()
	if err := fill.Describe(content); err != nil {
		return err
	}
	if _, err := fill.Table(stampTable, newText(i.File.Manifest.Tenant.ID)); err != nil {
		return err
	}
	var read int64
	for j := range i.File.Manifest.Tables {
		table := &i.File.Manifest.Tables[j]
		if table.Name == invitationsTable || table.Rows == 0 {
			continue
		}
		err := i.table(fill, table, func(bytes int) {
			read += int64(bytes)
			i.Report(read)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// content describes the rows that are loaded: the tables of the export without the invitations, the
// passwords of the users, which are none, and the stamp.
func (i *Import) content() *database.Content {
	content := i.File.schema
	content.Engine = database.AnyEngine
	content.Tables = []database.ContentTable{{Name: stampTable, Columns: []database.ContentColumn{{Name: "tenant_id"}}}}
	for _, table := range i.File.schema.Tables {
		if table.Name == invitationsTable {
			continue
		}
		if table.Name == usersTable {
			table.Columns = append(slices.Clone(table.Columns), database.ContentColumn{Name: "hashed_password"})
		}
		content.Tables = append(content.Tables, table)
	}
	return &content
}

func (i *Import) table(fill database.Fill, table *Table, report func(bytes int)) error {
	file, err := i.File.zip.Open(table.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	rows := &rowReader{columns: i.File.tableOf(table.Name).Columns, lines: bufio.NewReader(file), report: report}
	if table.Name == usersTable {
		rows.added = []string{""}
	}
	arrived, err := fill.Table(table.Name, rows)
	if err == nil && arrived != table.Rows {
		err = fmt.Errorf("%d of %d rows arrived", arrived, table.Rows)
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", table.Name, err)
	}
	return nil
}
