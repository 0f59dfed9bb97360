package tenants

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// Login returns the role and password that open the tenant's database, both empty
// for a tenant without a role. The password is stored nowhere: it is derived from
// a secret of the core's and the tenant's id, neither of which ever changes.
func (d *Databases) Login(record *models.Tenant) database.Login {
	if record.Role == "" {
		return database.Login{}
	}
	mac := hmac.New(sha256.New, []byte(d.installation.Secret))
	mac.Write([]byte("password of the role of tenant " + record.ID))
	return database.Login{Role: record.Role, Password: base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
}

// Entry returns the way of an operator into the tenant's database, with the tenant's rights
// alone. A tenant that has no role, or whose database may not be its own, has none.
func (d *Databases) Entry(record *models.Tenant) (*database.Entry, error) {
	switch {
	case !record.Status.IsFinished():
		return nil, fmt.Errorf("it is %s: what is being made or removed is not touched", record.Status)
	case record.SchemaVersion == "":
		return nil, errors.New("it is not taken over yet: run migrate first")
	case d.Roles != nil && record.Role == "":
		return nil, errors.New("it has no role of its own, and the application's may do too much: run migrate; `tenants doctor` says what is missing")
	}
	return &database.Entry{
		Name: record.DatabaseName, Login: d.Login(record), Check: d.StampedWith(record.ID), Guarded: guardedTables(),
	}, nil
}

// CanCreateRoles reports whether each tenant can have a role of its own.
func (d *Databases) CanCreateRoles() bool { return d.Roles != nil && d.Roles.CanCreate() }

// LacksRole reports whether the tenant could have a role and has none yet.
func (d *Databases) LacksRole(record *models.Tenant) bool {
	return record.Role == "" && d.CanCreateRoles()
}

// GiveRole creates or restores the tenant's role and lets it connect to the
// tenant's database. It sets record.Role and leaves the registry as it is. The role of a
// spare may connect only once the spare is claimed.
func (d *Databases) GiveRole(ctx context.Context, record *models.Tenant) error {
	record.Role = d.roleName(record.ID)
	err := d.Core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return d.Roles.Create(tx, d.Login(record))
	})
	if err != nil || record.Status == models.TenantSpare {
		return err
	}
	return d.Roles.Admit(ctx, record.DatabaseName, record.Role)
}

// GrantTables lets a tenant's role use the tables of its database.
func (d *Databases) GrantTables(tx *gorm.DB, role string) error {
	return d.Roles.GrantTables(tx, role, guardedTables())
}

// ListLacking returns the tables and sequences that the tenant's role should be able to
// use and may not; none for a tenant without a role.
func (d *Databases) ListLacking(ctx context.Context, db *gorm.DB, role string) ([]string, error) {
	if role == "" {
		return nil, nil
	}
	return d.Roles.Lacking(ctx, db, role, guardedTables())
}

const (
	stampTable      = "tenant_stamp"
	auditTable      = "audit_events"
	migrationsTable = "schema_migrations"
)

// guardedTables are the tables that a tenant's role may not change freely.
func guardedTables() database.Guarded {
	return database.Guarded{ReadOnly: []string{stampTable, migrationsTable}, AppendOnly: []string{auditTable}}
}

// CoreTables are the tables of the core database.
func CoreTables() []string {
	return []string{
		"core_users", "organizations", "tenants", "core_installation", "resting_slugs", "slug_aliases", "replaced_databases",
		"operations", "sessions", "password_resets", auditTable, migrationsTable,
	}
}

// TenantTables are the tables of a tenant's database.
func TenantTables() []string {
	return []string{
		"tenant_users", "tenant_invitations", "sessions", "password_resets", stampTable, auditTable, migrationsTable,
	}
}

// dropRole drops the tenant's role, if the engine has roles. The tenant's
// database must be gone.
func (d *Databases) dropRole(tx *gorm.DB, id string) error {
	if d.Roles == nil {
		return nil
	}
	return d.Roles.Drop(tx, d.roleName(id))
}
