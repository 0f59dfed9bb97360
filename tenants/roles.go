package tenants

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

// roleName is the name of a tenant's role, whether it has one or not.
func (m *Manager) roleName(id string) string {
	return m.privatePrefix(roleKind) + shortID(id)
}

// login is how the tenant's database is entered. The password is derived, so
// that it is kept nowhere: from a secret for this alone, which does not change
// when the key of the tokens does, and the tenant's id, which never does.
func (m *Manager) login(record *models.Tenant) database.Login {
	if record.Role == "" {
		return database.Login{}
	}
	mac := hmac.New(sha256.New, []byte(m.installation.Secret))
	mac.Write([]byte("password of the role of tenant " + record.ID))
	return database.Login{Role: record.Role, Password: base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
}

// migrate brings a database up to this code's schema, and lets role use what is
// there then, in the same transaction.
func (m *Manager) migrate(ctx context.Context, db *gorm.DB, role string) error {
	return database.Migrate(ctx, db, m.migrations, func(tx *gorm.DB) error {
		if role == "" {
			return nil
		}
		return m.roles.GrantTables(tx, role, guardedTables())
	})
}

// guardedTables are those that a tenant's role cannot write as it likes.
func guardedTables() database.Guarded {
	return database.Guarded{ReadOnly: []string{"tenant_stamp", "schema_migrations"}, AppendOnly: []string{"audit_events"}}
}

// lacksRole reports whether the tenant could have a role and has none yet.
func (m *Manager) lacksRole(record *models.Tenant) bool {
	return record.Role == "" && m.canCreateRoles()
}

// canCreateRoles reports whether each tenant can have a role of its own.
func (m *Manager) canCreateRoles() bool { return m.roles != nil && m.roles.CanCreate() }

// giveRole makes the tenant's role and opens its database to it. It counts once
// the registry has it, which is when the database has been migrated.
func (m *Manager) giveRole(ctx context.Context, record *models.Tenant) error {
	record.Role = m.roleName(record.ID)
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return m.roles.Create(tx, m.login(record))
	})
	if err != nil {
		return err
	}
	return m.roles.Admit(ctx, record.DatabaseName, record.Role)
}

// dropRole removes the tenant's role, if it can have one, once its database is gone.
func (m *Manager) dropRole(tx *gorm.DB, id string) error {
	if m.roles == nil {
		return nil
	}
	return m.roles.Drop(tx, m.roleName(id))
}

// survey lists rights and roles. It is empty on an engine without roles.
func (m *Manager) survey(ctx context.Context) (database.Survey, error) {
	if m.roles == nil {
		return database.Survey{}, nil
	}
	return m.roles.Survey(ctx, m.prefix)
}
