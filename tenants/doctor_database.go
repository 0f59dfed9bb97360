package tenants

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// examineDatabase opens a tenant's database as those do that serve it, and looks
// inside.
func (x *examination) examineDatabase(ctx context.Context, record *models.Tenant) error {
	if record.SchemaVersion == "" {
		db, err := x.openOwn(ctx, record)
		return x.closeOrFind(record, db, err)
	}
	if !x.isEntered(record) {
		db, err := x.backend.OpenDatabase(ctx, record.DatabaseName, stampedWith(record.ID))
		x.examineRole(record)
		return x.examineInside(ctx, record, db, err)
	}
	db, err := x.backend.OpenTenant(ctx, record.DatabaseName, x.login(record), stampedWith(record.ID))
	refused := database.IsDenied(err) || database.IsLoginRefused(err)
	if !refused && !errors.Is(err, errStampHidden) {
		return x.examineInside(ctx, record, db, err)
	}
	kind, problem := kindRole, "its role cannot enter it: "+x.whyRefused(record)
	if !refused {
		kind, problem = kindGrants, "its role may not read the stamp"
	}
	own, err := x.backend.OpenDatabase(ctx, record.DatabaseName, stampedWith(record.ID))
	if err == nil {
		x.find(record, kind, problem, func(ctx context.Context) error { return x.mendRole(ctx, record.ID) })
	}
	return x.closeOrFind(record, own, err)
}

// isEntered reports whether the tenant's role may connect to its database: a
// spare's is let in when it is claimed.
func (x *examination) isEntered(record *models.Tenant) bool {
	return record.Role != "" && record.Status != models.TenantSpare
}

// whyRefused says what the catalogs tell about a role that is refused.
func (x *examination) whyRefused(record *models.Tenant) string {
	state, found := x.survey.Roles[record.Role]
	switch {
	case !found:
		return "there is no such role"
	case !state.CanLogin:
		return "it may not log in"
	case len(x.survey.Databases[record.DatabaseName].Roles[record.Role]) == 0:
		return "it may not connect to the database"
	}
	return "its password is not the one it should have"
}

// examineRole finds the role of a spare missing.
func (x *examination) examineRole(record *models.Tenant) {
	if record.Role == "" {
		return
	}
	if state, found := x.survey.Roles[record.Role]; !found || !state.CanLogin {
		x.find(record, kindRole, "its role cannot enter it: "+x.whyRefused(record),
			func(ctx context.Context) error { return x.mendRole(ctx, record.ID) })
	}
}

// closeOrFind closes a database that could be opened.
func (x *examination) closeOrFind(record *models.Tenant, db *gorm.DB, err error) error {
	if err == nil {
		return database.Close(db)
	}
	x.findShut(record, err)
	return nil
}

// findShut finds why a database cannot be opened or read.
func (x *examination) findShut(record *models.Tenant, cause error) {
	switch {
	case errors.Is(cause, database.ErrNotExist):
		x.find(record, kindMissing, "its database is not there; it is never made anew: restore it, or delete the tenant", nil)
	case errors.Is(cause, database.ErrForeign):
		x.find(record, kindForeign, cause.Error(), nil)
	default:
		x.find(record, kindUnreachable, cause.Error(), nil)
	}
}

// examineInside looks at an open database, and closes it.
func (x *examination) examineInside(ctx context.Context, record *models.Tenant, db *gorm.DB, err error) error {
	if err != nil {
		x.findShut(record, err)
		return nil
	}
	err = x.examineTables(ctx, record, db)
	if err == nil && record.Status != models.TenantSpare {
		err = x.examineOwner(ctx, record, db)
	}
	if err != nil {
		x.findShut(record, err)
	}
	return database.Close(db)
}

// examineTables compares the database's migrations with the registry's word, and
// what its role may do with what it should.
func (x *examination) examineTables(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	lacking, err := x.lacking(ctx, record, db)
	if err != nil {
		return err
	}
	if len(lacking) > 0 && record.SchemaVersion >= x.version { // else migrating it grants them
		x.find(record, kindGrants, "its role may not use "+strings.Join(lacking, ", "),
			func(ctx context.Context) error { return x.mendRole(ctx, record.ID) })
		return nil
	}
	applied, err := database.Applied(ctx, db)
	if err != nil {
		return err
	}
	err = database.CheckSchema(applied, x.migrations)
	switch found := lastOf(applied); {
	case errors.Is(err, database.ErrOlderSchema) && record.SchemaVersion >= x.version:
		x.find(record, kindBehind, fmt.Sprintf("the registry says that it has %s, but it lacks migrations", record.SchemaVersion),
			func(ctx context.Context) error { return x.mendSchema(ctx, record.ID) })
	case errors.Is(err, database.ErrNewerSchema) && record.SchemaVersion < found:
		x.find(record, kindNewer, fmt.Sprintf("the registry says that it has %s, but it has %s", record.SchemaVersion, found), nil)
	}
	return nil
}

// lacking lists the tables and sequences that the tenant's role may not use.
func (x *examination) lacking(ctx context.Context, record *models.Tenant, db *gorm.DB) ([]string, error) {
	if record.Role == "" {
		return nil, nil
	}
	return x.roles.Lacking(ctx, db, record.Role, guardedTables())
}

func lastOf(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

// examineOwner finds an owner without the organization that made them one.
func (x *examination) examineOwner(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	if record.SchemaVersion < x.version { // the table is another yet
		return nil
	}
	owners, err := models.CountOwners(ctx, db)
	if err != nil || owners == 0 {
		return err
	}
	_, err = models.FindOrganizationOf(ctx, x.core, record.ID)
	if models.IsKind(err, models.KindOrganizationNotFound) {
		x.find(record, kindOrganization, "it has an owner, but belongs to no organization", nil)
		return nil
	}
	return err
}
