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
		return m.backend.GrantTables(tx, role, guardedTables())
	})
}

// guardedTables are those that a tenant's role cannot write as it likes.
func guardedTables() database.Guarded {
	return database.Guarded{ReadOnly: []string{"tenant_stamp", "schema_migrations"}, AppendOnly: []string{"audit_events"}}
}

// lacksRole reports whether the tenant could have a role and has none yet.
func (m *Manager) lacksRole(record *models.Tenant) bool {
	return record.Role == "" && m.backend.HasRoles()
}

// giveRole makes the tenant's role and opens its database to it. It counts once
// the registry has it, which is when the database has been migrated.
func (m *Manager) giveRole(ctx context.Context, session database.Session, record *models.Tenant) error {
	record.Role = m.roleName(record.ID)
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return m.backend.CreateRole(tx, m.login(record))
	})
	if err != nil {
		return err
	}
	return session.Admit(ctx, record.DatabaseName, record.Role)
}
