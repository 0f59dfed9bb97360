package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// core202611301910RemoveOwnAliases removes aliases that are the slug of their own tenant. Two
// equal renamings at once could make one. On PostgreSQL such a tenant could not be deleted.
// There is nothing to roll back.
func core202611301910RemoveOwnAliases() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611301910_remove_own_aliases",
		Migrate: statements(`DELETE FROM slug_aliases WHERE EXISTS (SELECT 1 FROM tenants
			WHERE tenants.id = slug_aliases.tenant_id AND tenants.slug = slug_aliases.slug)`),
		Rollback: statements(),
	}
}
