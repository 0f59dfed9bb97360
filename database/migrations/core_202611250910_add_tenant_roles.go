package migrations

import (
	"crypto/rand"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// core202611250910AddTenantRoles makes room for the roles of tenants: for their
// names, which are empty until a tenant has been given its role, and for the
// secret that their passwords are derived from.
func core202611250910AddTenantRoles() *gormigrate.Migration {
	role := same("role", "varchar NOT NULL DEFAULT ''")
	secret := same("secret", "varchar NOT NULL DEFAULT ''")
	return &gormigrate.Migration{
		ID: "202611250910_add_tenant_roles",
		Migrate: func(tx *gorm.DB) error {
			if err := role.add(tx, "tenants"); err != nil {
				return err
			}
			if err := secret.add(tx, "core_installation"); err != nil {
				return err
			}
			// 256 bits, of which Text has 26 characters for 128.
			return run(tx, "UPDATE core_installation SET secret = ?", rand.Text()+rand.Text())
		},
	}
}
