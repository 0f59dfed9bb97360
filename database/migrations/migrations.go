// Package migrations is the history of the schema. A released migration is never
// edited; every later change is another migration.
//
// The first migration of each list adopts the tables of the Python original: it
// creates each table, column and index that is missing. The second creates ours.
package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// Core lists the migrations of the core database. prefix begins the names of the
// tenants' databases: the original's organizations are registered with it.
func Core(prefix string) []*gormigrate.Migration {
	return []*gormigrate.Migration{
		core202611290100AdoptOriginal(),
		core202611290110CreateTables(prefix),
		core202611291000AddResetIssuers(),
		core202611291110SetSequences(),
		core202611291200CreateRestingSlugs(),
		core202611291400LetOwnersManageTenants(),
		core202611291601AddSessionParents(),
		core202611291740CreateSlugAliases(),
		core202611291810CreateReplacedDatabases(),
		core202611291820AddLastBackups(),
		core202611291850IndexRegistry(),
		core202611301800CreateOperations(),
		core202611301900LetDeletionsWait(),
		core202611301910RemoveOwnAliases(),
	}
}

// Tenant lists the migrations of a tenant's database.
func Tenant() []*gormigrate.Migration {
	return []*gormigrate.Migration{
		tenant202611290200AdoptOriginal(),
		tenant202611290210CreateTables(),
		tenant202611291010AddResetIssuers(),
		tenant202611291111SetSequences(),
		tenant202611291602AddSessionParents(),
	}
}
