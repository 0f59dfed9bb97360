package migrations_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
)

func TestFreshDatabasesGetTheTables(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			db := b.Core()
			migrate(t, db, core())
			migrate(t, db, both()) // they share no table but the history and the audit trail's
			before := describe(t, db)

			migrate(t, db, both())

			require.Equal(t, before, describe(t, db), "a second run changes nothing")
			ids := rows(t, db, "SELECT CAST(id AS varchar) FROM core_installation")
			require.Len(t, ids, 1)
			require.NoError(t, uuid.Validate(ids[0]))
			require.ErrorIs(t, db.Exec("INSERT INTO core_installation (id) VALUES (?)", uuid.New()).Error, gorm.ErrDuplicatedKey)
			run(t, db, "INSERT INTO tenant_stamp (tenant_id) VALUES ('"+uuid.NewString()+"')")
			require.ErrorIs(t, db.Exec("INSERT INTO tenant_stamp (tenant_id) VALUES (?)", uuid.New()).Error, gorm.ErrDuplicatedKey)
			for _, index := range []string{
				"ix_core_users_id", "ix_core_users_email", "ix_core_users_email_canonical", "ix_organizations_id", "ix_organizations_slug",
				"ix_organizations_tenant_id", "ix_organizations_owner_id", "ix_tenants_slug", "ix_tenants_database_name", "ix_tenant_users_id",
				"ix_tenant_users_email", "ix_tenant_users_email_canonical", "ix_tenant_users_core_user_id",
			} {
				require.True(t, slices.ContainsFunc(before, func(line string) bool { return strings.Contains(line, index) }), index)
			}
		})
	}
}

// A fresh database and an adopted one must not differ, or they would drift apart
// with every later migration.
func TestAdoptedDatabaseEqualsAFreshOne(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			if b.Core().Name() == "sqlite" {
				t.Skip("sqlite_master keeps the statements' own words, and the original never ran on it")
			}
			s, err := b.Lock(t.Context(), "k")
			require.NoError(t, err)
			defer s.Unlock()
			name := "t_" + strings.ToLower(strings.ReplaceAll(uuid.NewString(), "-", ""))
			require.NoError(t, s.Create(t.Context(), name))
			fresh, err := b.OpenDatabase(t.Context(), name, nil)
			require.NoError(t, err)
			defer func() { require.NoError(t, database.Close(fresh)) }()

			original(t, b.Core())
			people(t, b.Core(), "tenant_users", ", bio TEXT, phone VARCHAR")
			for _, db := range []*gorm.DB{b.Core(), fresh} {
				migrate(t, db, core())
				migrate(t, db, both())
			}
			run(t, b.Core(), "DROP TABLE alembic_version")

			require.Equal(t, describe(t, fresh), describe(t, b.Core()))
		})
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			next := append(core(), &gormigrate.Migration{
				ID:      "209901010000_from_the_future",
				Migrate: func(tx *gorm.DB) error { return tx.Exec("CREATE TABLE future (id integer)").Error },
			})
			migrate(t, b.Core(), next)
			before := describe(t, b.Core())

			err := database.Migrate(t.Context(), b.Core(), core())

			require.ErrorIs(t, err, database.ErrNewerSchema)
			require.False(t, database.IsUnavailable(err))
			require.Equal(t, before, describe(t, b.Core()))
		})
	}
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			broken := append(core(), &gormigrate.Migration{
				ID:      "209901010000_broken",
				Migrate: func(tx *gorm.DB) error { return tx.Exec("CREATE TABLE core_users (id integer)").Error },
			})
			before := describe(t, b.Core())

			require.ErrorContains(t, database.Migrate(t.Context(), b.Core(), broken), "migrate database")
			require.Equal(t, before, describe(t, b.Core()))

			migrate(t, b.Core(), core())
		})
	}
}

func TestTwoMigratorsUnderTheLock(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			original(t, b.Core())
			run(
				t, b.Core(), "INSERT INTO core_users (id, email, hashed_password) VALUES (1, 'Ada@x.org', 'h')",
				"INSERT INTO organizations (id, name, slug, owner_id, is_active) VALUES (1, 'Acme', 'acme', 1, TRUE)",
			)
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					s, err := b.Lock(t.Context(), "migrate")
					if err == nil {
						defer s.Unlock()
						err = database.Migrate(t.Context(), b.Core(), core())
					}
					if err != nil {
						t.Errorf("migrate: %v", err)
					}
				})
			}
			group.Wait()
			require.Equal(t, []string{"acme multitenant_acme ready"}, rows(t, b.Core(), "SELECT slug || ' ' || database_name || ' ' || status FROM tenants"))
		})
	}
}

func TestRollbackOfEmailCanonical(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := openFresh(t)

			migrate(t, b.Core(), core()[:2])
			before := describe(t, b.Core())
			migrate(t, b.Core(), core()[:3])

			require.NoError(t, database.RollbackTo(t.Context(), b.Core(), core()[:3], core()[1].ID))

			require.Equal(t, before, describe(t, b.Core()))
			require.ErrorIs(t, database.RollbackTo(t.Context(), b.Core(), core()[:2], core()[0].ID), gormigrate.ErrRollbackImpossible)
		})
	}
}

func TestIDsAreUniqueAndInOrder(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, list := range [][]*gormigrate.Migration{core(), migrations.Tenant()} {
		require.True(t, slices.IsSortedFunc(list, func(a, b *gormigrate.Migration) int { return strings.Compare(a.ID, b.ID) }))
		for _, m := range list {
			require.False(t, ids[m.ID], "%s is there twice", m.ID)
			ids[m.ID] = true
		}
	}
	require.Equal(t, "202611251000_create_tenant_sessions", database.LatestID(migrations.Tenant()[:5]))
	require.Empty(t, database.LatestID(nil))
}
