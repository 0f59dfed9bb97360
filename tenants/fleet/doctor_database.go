package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// examineDatabase opens a tenant's database as a server does, and examines it.
func (x *examination) examineDatabase(ctx context.Context, record *models.Tenant) error {
	x.examineServer(record)
	if record.SchemaVersion == "" {
		db, err := x.databases.OpenOwn(ctx, record)
		return x.closeOrFind(record, db, err)
	}
	open := x.databases.OpenTenant
	if !x.isEntered(record) {
		open = x.databases.OpenStamped
		x.examineRole(record)
	}
	db, err := open(ctx, record)
	if err == nil {
		return x.examineInside(ctx, record, db)
	}
	if explained, err := x.isExplained(ctx, record, err); explained || err != nil {
		return err
	}
	return x.examineRefusal(ctx, record, err)
}

// examineRefusal finds why a database was not opened.
func (x *examination) examineRefusal(ctx context.Context, record *models.Tenant, refusal error) error {
	refused := database.IsDenied(refusal) || database.IsLoginRefused(refusal) || x.survey.Roles[record.Role].IsFull()
	if !x.isEntered(record) || !refused && !errors.Is(refusal, tenants.ErrStampHidden) {
		x.findShut(record, refusal)
		return nil
	}
	kind, problem := kindRole, "its role cannot enter it: "+x.whyRefused(record)
	if !refused {
		kind, problem = kindGrants, "its role may not read the stamp"
	}
	own, err := x.databases.OpenStamped(ctx, record)
	if err == nil {
		x.find(record, kind, problem, func(ctx context.Context) error { return x.fleet.repairRole(ctx, record.ID) })
	}
	return x.closeOrFind(record, own, err)
}

// isEntered reports whether the tenant's role should be able to connect to the
// database. A spare's role may connect only once the spare is claimed.
func (x *examination) isEntered(record *models.Tenant) bool {
	return record.Role != "" && record.Status != models.TenantSpare
}

// whyRefused explains with the catalogs why a role is refused.
func (x *examination) whyRefused(record *models.Tenant) string {
	state, found := x.survey.Roles[record.Role]
	switch {
	case !found:
		return "there is no such role"
	case !state.CanLogin:
		return "it may not log in"
	case state.Expired != "":
		return "it expired, since it was VALID UNTIL " + state.Expired
	case state.IsFull():
		return "its CONNECTION LIMIT is 0"
	case len(x.survey.Databases[record.DatabaseName].Roles[record.Role]) == 0:
		return "it may not connect to the database"
	}
	return "its password is not the one it should have"
}

// examineRole finds that the role of a spare is missing.
func (x *examination) examineRole(record *models.Tenant) {
	if record.Role == "" {
		return
	}
	if state, found := x.survey.Roles[record.Role]; !found || !state.CanLogin || state.Expired != "" || state.IsFull() {
		x.find(record, kindRole, "its role cannot enter it: "+x.whyRefused(record),
			func(ctx context.Context) error { return x.fleet.repairRole(ctx, record.ID) })
	}
}

// examineLimit finds a role with another number of connections than it should have. A
// role that is missing, or may have none, is found when its database is opened.
func (x *examination) examineLimit(record *models.Tenant) {
	state, found := x.survey.Roles[record.Role]
	if !found || state.IsFull() || state.Connections == x.survey.RoleConnections {
		return
	}
	problem := fmt.Sprintf("its role may have %d connections, and not %d", state.Connections, x.survey.RoleConnections)
	if state.Connections < 0 {
		problem = "its role may take all connections of the server"
	}
	x.find(record, kindRole, problem, func(ctx context.Context) error { return x.fleet.repairRole(ctx, record.ID) })
}

// closeOrFind closes the database if it was opened, or finds why it was not.
func (x *examination) closeOrFind(record *models.Tenant, db *gorm.DB, err error) error {
	if err == nil {
		return database.Close(db)
	}
	x.findShut(record, err)
	return nil
}

// findShut adds the finding that a database cannot be opened or read.
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

// examineInside examines an open database and closes it.
func (x *examination) examineInside(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	err := x.examineTables(ctx, record, db)
	if err == nil {
		err = x.examineFaults(ctx, record, db)
	}
	if err == nil && record.Status != models.TenantSpare {
		err = x.examineOwner(ctx, record, db)
	}
	if err != nil {
		x.findShut(record, err)
	}
	return database.Close(db)
}

// examineTables compares the database's migrations with the registry, and the
// rights of the tenant's role with those that it should have.
func (x *examination) examineTables(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	lacking, err := x.databases.ListLacking(ctx, db, record.Role)
	if err != nil {
		return err
	}
	if len(lacking) > 0 && record.SchemaVersion >= x.databases.Version { // otherwise migrating grants them
		x.find(record, kindGrants, "its role may not use "+strings.Join(lacking, ", "),
			func(ctx context.Context) error { return x.fleet.repairRole(ctx, record.ID) })
		return nil
	}
	if err := x.noteForeign(ctx, record, db); err != nil {
		return err
	}
	applied, err := database.Applied(ctx, db)
	if err != nil {
		return err
	}
	err = database.CheckSchema(applied, x.databases.Migrations)
	switch found := lastOf(applied); {
	case errors.Is(err, database.ErrOlderSchema) && record.SchemaVersion >= x.databases.Version:
		x.find(record, kindBehind, fmt.Sprintf("the registry says that it has %s, but it lacks migrations", record.SchemaVersion),
			func(ctx context.Context) error { return x.fleet.repairSchema(ctx, record.ID) })
	case errors.Is(err, database.ErrNewerSchema) && record.SchemaVersion < found:
		x.find(record, kindNewer, fmt.Sprintf("the registry says that it has %s, but it has %s", record.SchemaVersion, found), nil)
	}
	return nil
}

// noteForeign notes what other roles have made in the database. It is theirs, and is
// left alone.
func (x *examination) noteForeign(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	if x.databases.Roles == nil {
		return nil
	}
	foreign, err := x.databases.Roles.ListForeign(ctx, db, tenants.TenantTables())
	if err != nil || len(foreign) == 0 {
		return err
	}
	x.add(&Finding{
		Kind: string(database.FaultForeign), Tenant: string(record.Slug), Name: record.DatabaseName,
		Problem: "left alone, since others have made it: " + someOf(foreign),
	})
	return nil
}

func lastOf(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

// examineOwner finds a tenant that has an owner but no organization.
func (x *examination) examineOwner(ctx context.Context, record *models.Tenant, db *gorm.DB) error {
	if record.SchemaVersion < x.databases.Version { // the table is not migrated yet
		return nil
	}
	owners, err := models.CountOwners(ctx, db)
	if err != nil || owners == 0 {
		return err
	}
	_, err = models.FindOrganizationOf(ctx, x.databases.Core, record.ID)
	if models.IsKind(err, models.KindOrganizationNotFound) {
		x.find(record, kindOrganization, "it has an owner, but belongs to no organization", nil)
		return nil
	}
	return err
}
