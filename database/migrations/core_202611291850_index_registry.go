package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// core202611291850IndexRegistry creates the indexes that keep the work on a few tenants, such
// as spares and unfinished ones, from reading the whole registry.
func core202611291850IndexRegistry() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611291850_index_registry",
		Migrate: statements(
			"CREATE INDEX ix_tenants_unsettled ON tenants (status, created_at) WHERE status NOT IN ('ready', 'suspended')",
			"CREATE INDEX ix_resting_slugs_since ON resting_slugs (since)",
		),
		Rollback: statements("DROP INDEX ix_tenants_unsettled", "DROP INDEX ix_resting_slugs_since"),
	}
}
