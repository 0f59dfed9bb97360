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
	forEachList(t, func(t *testing.T, db *gorm.DB, realm string, list []*gormigrate.Migration) {
		t.Helper()
		migrate(t, db, list)
		before := describe(t, db)

		migrate(t, db, list)

		require.Equal(t, before, describe(t, db), "a second run changes nothing")
		indexes := []string{"ix_tenant_users_id", "ix_tenant_users_email", "ix_tenant_users_email_canonical", "ix_tenant_users_core_user_id"}
		if realm == "core" {
			indexes = []string{
				"ix_core_users_id", "ix_core_users_email", "ix_core_users_email_canonical", "ix_organizations_id", "ix_organizations_slug",
				"ix_organizations_tenant_id", "ix_organizations_owner_id", "ix_tenants_slug", "ix_tenants_database_name",
			}
			ids := rows(t, db, "SELECT CAST(id AS varchar) FROM core_installation")
			require.Len(t, ids, 1)
			require.NoError(t, uuid.Validate(ids[0]))
			require.ErrorIs(t, db.Exec("INSERT INTO core_installation (id) VALUES (?)", uuid.New()).Error, gorm.ErrDuplicatedKey)
		} else {
			run(t, db, "INSERT INTO tenant_stamp (tenant_id) VALUES ('"+uuid.NewString()+"')")
			require.ErrorIs(t, db.Exec("INSERT INTO tenant_stamp (tenant_id) VALUES (?)", uuid.New()).Error, gorm.ErrDuplicatedKey)
		}
		for _, index := range indexes {
			require.True(t, slices.ContainsFunc(before, func(line string) bool { return strings.Contains(line, index) }), index)
		}
	})
}

// A fresh database and an adopted one must not differ, or they would drift apart
// with every later migration.
func TestAdoptedDatabaseEqualsAFreshOne(t *testing.T) {
	t.Parallel()
	// sqlite_master keeps the statements' own words, and the original never ran on SQLite.
	openFresh := engines()["postgres"]
	for realm, list := range lists() {
		t.Run(realm, func(t *testing.T) {
			t.Parallel()
			fresh, adopted := openFresh(t).Core(), openFresh(t).Core()
			if realm == "core" {
				original(t, adopted)
			} else {
				originalUsers(t, adopted, "tenant_users", ", bio TEXT, phone VARCHAR")
			}
			migrate(t, fresh, list)
			migrate(t, adopted, list)
			run(t, adopted, "DROP TABLE IF EXISTS alembic_version")

			require.Equal(t, describe(t, fresh), describe(t, adopted))
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

func TestWayBackLeavesWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	forEachList(t, func(t *testing.T, db *gorm.DB, _ string, list []*gormigrate.Migration) {
		t.Helper()
		adopt, create := list[:1], list[:2]
		migrate(t, db, adopt)
		before := describe(t, db)
		migrate(t, db, create)

		require.NoError(t, database.RollbackTo(t.Context(), db, create, adopt[0].ID))

		require.Equal(t, before, describe(t, db))
		migrate(t, db, create)
		adopted := describe(t, db)
		require.NoError(t, adopt[0].Rollback(db))
		require.Equal(t, adopted, describe(t, db), "the original's tables may have been there before us")
	})
}

// Without the rows it is unknown which database is whose, or what happened.
func TestWayBackKeepsRowsThatCannotBeReplaced(t *testing.T) {
	t.Parallel()
	event := "INSERT INTO audit_events (at, action, outcome, actor, target_kind, target_name, ip, user_agent, request_id, detail) " +
		"VALUES (CURRENT_TIMESTAMP, '', '', '', '', '', '', '', '', '')"
	tenant := "INSERT INTO tenants (id, database_name, status, created_at, updated_at) " +
		"VALUES ('" + uuid.NewString() + "', 'a', 'ready', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
	stamp := "INSERT INTO tenant_stamp (tenant_id) VALUES ('" + uuid.NewString() + "')"
	for engine, openFresh := range engines() {
		for _, tc := range []struct{ realm, table, statement string }{
			{"core", "tenants", tenant},
			{"core", "audit_events", event},
			{"tenant", "tenant_stamp", stamp},
			{"tenant", "audit_events", event},
		} {
			t.Run(engine+"/"+tc.realm+"/"+tc.table, func(t *testing.T) {
				t.Parallel()
				db, list := openFresh(t).Core(), lists()[tc.realm]
				migrate(t, db, list)
				run(t, db, tc.statement)
				before := describe(t, db)

				err := database.RollbackTo(t.Context(), db, list, list[0].ID)

				require.ErrorIs(t, err, migrations.ErrRowsWouldBeLost)
				require.ErrorContains(t, err, tc.table)
				require.Equal(t, before, describe(t, db))
				require.Equal(t, []string{"1"}, rows(t, db, "SELECT CAST(count(*) AS varchar) FROM "+tc.table))
			})
		}
	}
}

// An id that was given once is never given again, so that an old token or event
// cannot point at a new row.
func TestIDsAreNeverUsedAgain(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := openFresh(t).Core()
			migrate(t, db, migrations.Tenant())
			for range 2 {
				run(
					t, db,
					"DELETE FROM tenant_invitations",
					"INSERT INTO tenant_invitations (email, email_canonical, role, token_hash, created_at, expires_at) "+
						"VALUES ('a', 'a', 'member', 'h', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
				)
			}
			require.Equal(t, []string{"2"}, rows(t, db, "SELECT CAST(id AS varchar) FROM tenant_invitations"))
		})
	}
}

// An alias that is the slug of its own tenant goes; those of others stay.
func TestOwnAliasesAreRemoved(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db, list := openFresh(t).Core(), lists()["core"]
			before := slices.IndexFunc(list, func(m *gormigrate.Migration) bool { return strings.HasSuffix(m.ID, "remove_own_aliases") })
			migrate(t, db, list[:before])
			one, other := uuid.NewString(), uuid.NewString()
			for id, slug := range map[string]string{one: "acme", other: "globex"} {
				run(t, db, "INSERT INTO tenants (id, slug, database_name, status, created_at, updated_at) "+
					"VALUES ('"+id+"', '"+slug+"', '"+slug+"', 'ready', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)")
			}
			for slug, id := range map[string]string{"acme": one, "initech": one, "old": other} {
				run(t, db, "INSERT INTO slug_aliases (slug, tenant_id, created_at) VALUES ('"+slug+"', '"+id+"', CURRENT_TIMESTAMP)")
			}

			migrate(t, db, list)

			require.Equal(t, []string{"initech", "old"}, rows(t, db, "SELECT slug FROM slug_aliases ORDER BY slug"))
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
	require.Equal(t, "202611290200_adopt_tenant_original", database.LatestID(migrations.Tenant()[:1]))
	require.Empty(t, database.LatestID(nil))
}
