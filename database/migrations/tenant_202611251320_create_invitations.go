package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611251320CreateInvitations makes room for those who are invited, of
// whose tokens only hashes are kept. The ids are never used again.
func tenant202611251320CreateInvitations() *gormigrate.Migration {
	const notNull, key = " NOT NULL", " PRIMARY KEY"
	invitations := table{
		name: "tenant_invitations",
		columns: []column{
			{"id", "bigserial" + key, "integer" + key + " AUTOINCREMENT"},
			same("email", "varchar"+notNull),
			same("email_canonical", "varchar"+notNull),
			same("role", "varchar"+notNull),
			same("token_hash", "varchar"+notNull),
			same("invited_by", "integer REFERENCES tenant_users (id) ON DELETE SET NULL"),
			{createdAt, "timestamptz" + notNull, "datetime" + notNull},
			{expiresAt, "timestamptz" + notNull, "datetime" + notNull},
		},
		// That of invited_by is for the deletion of a user, who may have invited some.
		indexes: []index{{"email_canonical", true}, {"token_hash", true}, {"invited_by", false}},
	}
	return &gormigrate.Migration{
		ID:       "202611251320_create_tenant_invitations",
		Migrate:  invitations.adopt,
		Rollback: func(tx *gorm.DB) error { return run(tx, "DROP TABLE tenant_invitations") },
	}
}
