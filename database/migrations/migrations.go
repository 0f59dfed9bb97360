// Package migrations is the history of the schema. What was released stays as it
// is; a change of mind is another migration.
//
// The first ones adopt what an installation of the Python original left, or make
// it: table by table, column by column, index by index, whatever is missing.
package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// Core lists the migrations of the core database. prefix begins the names of the
// tenants' databases: the original's are registered by it.
func Core(prefix string) []*gormigrate.Migration {
	return []*gormigrate.Migration{
		core202611240100AdoptUsers(),
		core202611240110AdoptOrganizations(),
		core202611240120AddEmailCanonical(),
		core202611240130CreateTenants(prefix),
		core202611250900AddDatabasePrefix(prefix),
		core202611250910AddTenantRoles(),
		core202611251000CreateSessions(),
		core202611251310CreatePasswordResets(),
		core202611251320AddOrganizationRegistration(),
		core202611251340CreateAuditEvents(),
	}
}

// Tenant lists the migrations of a tenant's database.
func Tenant() []*gormigrate.Migration {
	return []*gormigrate.Migration{
		tenant202611240200AdoptUsers(),
		tenant202611240210AddEmailCanonical(),
		tenant202611240220AddCoreUserID(),
		tenant202611240230CreateStamp(),
		tenant202611251000CreateSessions(),
		tenant202611251300AddUserRoles(),
		tenant202611251310CreatePasswordResets(),
		tenant202611251320CreateInvitations(),
		tenant202611251340CreateAuditEvents(),
	}
}
