package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// examineStray describes something unexplained. It returns how to remove it if it
// belongs to this core and to no tenant, and nil otherwise.
func (x *examination) examineStray(ctx context.Context, s tenants.Stray) (problem string, repair func(context.Context) error) {
	if !s.Private {
		return "it is not registered, and may belong to another program", nil
	}
	problem = "it was made for a tenant that is no more"
	reason := x.whyKept(ctx, s)
	if reason != "" {
		return problem + ", but " + reason, nil
	}
	return problem, func(ctx context.Context) error { return x.fleet.removeStray(ctx, s) }
}

// whyKept returns why something with a private name must not be removed, or an
// empty string if it may be.
func (x *examination) whyKept(ctx context.Context, s tenants.Stray) string {
	switch s.Noun {
	case tenants.RoleNoun:
		for name, rights := range x.survey.Databases {
			if _, admitted := rights.Roles[s.Name]; admitted && !strings.HasPrefix(name, x.databases.PrivatePrefix(tenants.DatabaseNoun)) {
				return "it may connect to " + name
			}
		}
		if needed := x.survey.Roles[s.Name].Needed; needed != "" {
			return "something depends on it: " + needed
		}
	case tenants.DatabaseNoun:
		if _, err := x.fleet.readStray(ctx, s); err != nil {
			return err.Error()
		}
	}
	return ""
}

// readStray returns the id in the stamp of an unexplained database, or an empty id if
// it has no stamp. The error says why the database must be kept.
func (f *Fleet) readStray(ctx context.Context, s tenants.Stray) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, tenants.OpenTimeout)
	defer cancel()
	db, err := f.databases.Backend.OpenDatabase(ctx, s.Name, nil)
	if errors.Is(err, database.ErrNotExist) || errors.Is(err, database.ErrHalfDropped) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, err = readUnclaimed(ctx, db)
	if err == nil && id != "" && f.databases.PrivateName(id) != s.Name {
		err = fmt.Errorf("it bears the stamp of tenant %s", id)
	}
	return id, errors.Join(err, database.Close(db))
}

// readUnclaimed returns the id in the stamp of a database without users.
func readUnclaimed(ctx context.Context, db *gorm.DB) (id string, err error) {
	hasUsers, err := database.HasTable(ctx, db, "tenant_users")
	if err != nil || !hasUsers {
		return "", err
	}
	users, err := gorm.G[models.TenantUser](db).Count(ctx, "id")
	if err != nil {
		return "", err
	}
	if users > 0 {
		return "", errors.New("it has users")
	}
	hasStamp, err := database.HasTable(ctx, db, "tenant_stamp")
	if err != nil || !hasStamp {
		return "", err
	}
	return models.ReadStamp(ctx, db)
}

// removeStray removes something if it is still unexplained. A database with a stamp
// is removed under the lock of the tenant that the stamp names. One without a stamp
// was never finished, and no process is making it, since it would have a row.
func (f *Fleet) removeStray(ctx context.Context, s tenants.Stray) error {
	id := ""
	if s.Noun == tenants.DatabaseNoun {
		var err error
		if id, err = f.readStray(ctx, s); err != nil {
			return err
		}
	}
	key := tenants.LockKey(id)
	if id == "" {
		key = "unexplained " + s.Name
	}
	session, free, err := f.databases.Backend.TryLock(ctx, key)
	if err != nil {
		return err
	}
	if !free {
		return errAtWork
	}
	defer session.Unlock()
	strays, err := f.databases.ListUnexplained(ctx)
	if err != nil || !slices.Contains(strays, s) {
		return err
	}
	f.databases.Logger.WarnContext(ctx, "removing what no tenant explains", "kind", s.Noun, "name", s.Name)
	return f.drop(ctx, session, s)
}

// drop removes it. The role of a database goes with the database.
func (f *Fleet) drop(ctx context.Context, session database.Session, s tenants.Stray) error {
	switch s.Noun {
	case tenants.RoleNoun:
		return f.databases.Core.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return f.databases.Roles.Drop(tx, s.Name) })
	case tenants.FileNoun:
		name, _, _ := strings.Cut(s.Name, ".")
		return session.Drop(ctx, name, "")
	}
	role := f.databases.PrivatePrefix(tenants.RoleNoun) + strings.TrimPrefix(s.Name, f.databases.PrivatePrefix(tenants.DatabaseNoun))
	return session.Drop(ctx, s.Name, role)
}
