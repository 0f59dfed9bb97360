package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

var errAtWork = errors.New("somebody is at work on it")

// mendUnsettled does what the reconciler does.
func (m *Manager) mendUnsettled(ctx context.Context, id string) error {
	free, err := m.trySettle(ctx, id)
	if err == nil && !free {
		return errAtWork
	}
	return err
}

// underLock does something to a tenant of the fleet that is still there.
func (m *Manager) underLock(
	ctx context.Context, id string, do func(ctx context.Context, record *models.Tenant) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	session, err := m.lock(ctx, id)
	if err != nil {
		return err
	}
	defer session.Unlock()
	record, err := models.FindTenant(ctx, m.core, id)
	if models.IsKind(err, models.KindTenantNotFound) || err == nil && !record.Status.IsSettled() {
		return nil
	}
	if err != nil {
		return err
	}
	return do(ctx, &record)
}

// mendSchema migrates, whatever the registry says of the schema.
func (m *Manager) mendSchema(ctx context.Context, id string) error {
	return m.underLock(ctx, id, m.upgrade)
}

// mendOpen closes a database to all but its owner and its role.
func (m *Manager) mendOpen(ctx context.Context, id string) error {
	return m.underLock(ctx, id, func(ctx context.Context, record *models.Tenant) error {
		role := record.Role
		if record.Status == models.TenantSpare {
			role = ""
		}
		return m.roles.Admit(ctx, record.DatabaseName, role)
	})
}

// mendRole gives a tenant its role again: its password, the way in, and the
// tables. The database is the tenant's, or nothing is done.
func (m *Manager) mendRole(ctx context.Context, id string) error {
	if !m.canCreateRoles() {
		return errors.New("the application's own role may not make roles: ALTER ROLE … CREATEROLE")
	}
	return m.underLock(ctx, id, func(ctx context.Context, record *models.Tenant) error {
		db, err := m.backend.OpenDatabase(ctx, record.DatabaseName, stampedWith(record.ID))
		if err != nil {
			return err
		}
		err = m.restoreRole(ctx, record)
		if err == nil {
			err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				return m.roles.GrantTables(tx, record.Role, guardedTables())
			})
		}
		return errors.Join(err, database.Close(db))
	})
}

func (m *Manager) restoreRole(ctx context.Context, record *models.Tenant) error {
	if record.Status != models.TenantSpare {
		return m.giveRole(ctx, record)
	}
	return m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return m.roles.Create(tx, m.login(record))
	})
}

// examineStray says what is known of something unexplained, and how to remove it
// where it is this core's own and nobody's.
func (x *examination) examineStray(ctx context.Context, s stray) (problem string, mend func(context.Context) error) {
	if !s.private {
		return "it is not registered, and may be somebody else's", nil
	}
	problem = "it was made for a tenant that is no more"
	reason := x.whyKept(ctx, s)
	if reason != "" {
		return problem + ", but " + reason, nil
	}
	return problem, func(ctx context.Context) error { return x.removeStray(ctx, s) }
}

// whyKept says why something of a private name is not to be removed; empty where
// nothing speaks against it.
func (x *examination) whyKept(ctx context.Context, s stray) string {
	switch s.noun {
	case roleNoun:
		for name, rights := range x.survey.Databases {
			if _, admitted := rights.Roles[s.name]; admitted && !strings.HasPrefix(name, x.privatePrefix(spareKind)) {
				return "it may connect to " + name
			}
		}
	case databaseNoun:
		if _, err := x.readStray(ctx, s); err != nil {
			return err.Error()
		}
	}
	return ""
}

// readStray returns the id in the stamp of an unexplained database, empty where
// there is none. The error says why it is not nobody's.
func (m *Manager) readStray(ctx context.Context, s stray) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	db, err := m.backend.OpenDatabase(ctx, s.name, nil)
	if errors.Is(err, database.ErrNotExist) || errors.Is(err, database.ErrHalfDropped) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, err = m.readNobodys(ctx, db)
	if err == nil && id != "" && m.privateName(id) != s.name {
		err = fmt.Errorf("it bears the stamp of tenant %s", id)
	}
	return id, errors.Join(err, database.Close(db))
}

func (m *Manager) readNobodys(ctx context.Context, db *gorm.DB) (id string, err error) {
	hasUsers, err := hasTable(ctx, db, "tenant_users")
	if err != nil || !hasUsers {
		return "", err
	}
	people, err := gorm.G[models.TenantUser](db).Count(ctx, "id")
	if err != nil {
		return "", err
	}
	if people > 0 {
		return "", errors.New("there are people in it")
	}
	hasStamp, err := hasTable(ctx, db, "tenant_stamp")
	if err != nil || !hasStamp {
		return "", err
	}
	return models.ReadStamp(ctx, db)
}

// removeStray removes something unexplained, if it still is. A database that
// bears a stamp is removed under the lock of the tenant that it names; one that
// bears none was never whole, and whoever makes one has a row.
func (m *Manager) removeStray(ctx context.Context, s stray) error {
	id := ""
	if s.noun == databaseNoun {
		var err error
		if id, err = m.readStray(ctx, s); err != nil {
			return err
		}
	}
	key := lockKey(id)
	if id == "" {
		key = "unexplained " + s.name
	}
	session, free, err := m.backend.TryLock(ctx, key)
	if err != nil {
		return err
	}
	if !free {
		return errAtWork
	}
	defer session.Unlock()
	strays, err := m.unexplained(ctx)
	if err != nil || !slices.Contains(strays, s) {
		return err
	}
	m.logger.WarnContext(ctx, "removing what no tenant explains", "kind", s.noun, "name", s.name)
	return m.drop(ctx, session, s)
}

func (m *Manager) drop(ctx context.Context, session database.Session, s stray) error {
	switch s.noun {
	case roleNoun:
		return m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return m.roles.Drop(tx, s.name) })
	case fileNoun:
		name, _, _ := strings.Cut(s.name, ".")
		return session.Drop(ctx, name, "")
	}
	role := m.privatePrefix(roleKind) + strings.TrimPrefix(s.name, m.privatePrefix(spareKind))
	return session.Drop(ctx, s.name, role)
}
