package migrations

import (
	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// tenant202611251300AddUserRoles says who may manage the people of a tenant. The
// organization's owner may; where there is none, who registered first. A database
// without a stamp is being taken over, or made: its owner gets the role with the
// link to the core user.
func tenant202611251300AddUserRoles() *gormigrate.Migration {
	const first = `UPDATE tenant_users SET role = 'owner'
		WHERE id = (SELECT min(id) FROM tenant_users)
		AND EXISTS (SELECT 1 FROM tenant_stamp)
		AND NOT EXISTS (SELECT 1 FROM tenant_users WHERE role = 'owner')`
	return &gormigrate.Migration{
		ID: "202611251300_add_tenant_user_roles",
		Migrate: func(tx *gorm.DB) error {
			if err := same("role", "varchar NOT NULL DEFAULT 'member'").add(tx, "tenant_users"); err != nil {
				return err
			}
			if err := run(tx, "UPDATE tenant_users SET role = 'owner' WHERE core_user_id IS NOT NULL"); err != nil {
				return err
			}
			return run(tx, first)
		},
		Rollback: func(tx *gorm.DB) error { return run(tx, "ALTER TABLE tenant_users DROP COLUMN role") },
	}
}
