package migrations

import "github.com/go-gormigrate/gormigrate/v2"

// core202611301900LetDeletionsWait lets the deletion of a tenant be queued beside another
// operation of the tenant that has not ended: the tenant's lock makes one wait for the
// other. The rollback forgets the deletions, because the mark in the registry is enough for
// an earlier release to finish them.
func core202611301900LetDeletionsWait() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611301900_let_deletions_wait",
		Migrate: statements(
			"DROP INDEX ix_operations_tenant_id",
			"CREATE UNIQUE INDEX ix_operations_tenant_id ON operations (tenant_id, (kind = 'delete')) WHERE ended_at IS NULL",
		),
		Rollback: statements(
			"DELETE FROM operations WHERE kind = 'delete'",
			"DROP INDEX ix_operations_tenant_id",
			"CREATE UNIQUE INDEX ix_operations_tenant_id ON operations (tenant_id) WHERE ended_at IS NULL",
		),
	}
}
