package tests_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/tests/testkit"
)

// Whoever could have a tenant's own connections run whatever they like, as by an
// injection, would still be that tenant, and see nobody else.
func TestInjectionStaysInItsTenant(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := newPair(t, settings)
		lease, release, err := p.Tenants.Acquire(t.Context(), "acme")
		require.NoError(t, err)
		defer release()
		db := lease.DB.WithContext(t.Context())
		injected := map[string]string{
			"ATTACH '" + settings.File(p.globexDB) + "' AS other":      "too many attached databases",
			"ATTACH '" + settings.File("core") + "' AS other":          "too many attached databases",
			"VACUUM INTO '" + settings.File("copy") + "'":              "too many attached databases",
			"SELECT email FROM " + p.globexDB + ".tenant_users":        "no such table",
			"SELECT readfile('" + settings.File(p.globexDB) + "')":     "no such function",
			"SELECT load_extension('" + settings.File("globex") + "')": "not authorized",
		}
		if settings.Engine == testkit.Postgres {
			app, globex := appRole(t, &settings), roleOf(t, &settings, "globex")
			injected = map[string]string{
				`SET ROLE "` + globex + `"`:                                   "SQLSTATE 42501",
				`SET ROLE "` + app + `"`:                                      "SQLSTATE 42501",
				`SET SESSION AUTHORIZATION "` + globex + `"`:                  "SQLSTATE 42501",
				`SELECT email FROM "` + p.globexDB + `".public.tenant_users`:  "cross-database references",
				"CREATE EXTENSION dblink":                                     "SQLSTATE 42501",
				"CREATE EXTENSION postgres_fdw":                               "SQLSTATE 42501",
				"COPY tenant_users FROM '/etc/passwd'":                        "SQLSTATE 42501",
				"SELECT pg_read_file('global/pg_control')":                    "SQLSTATE 42501",
				"DO $$ BEGIN EXECUTE 'SET ROLE \"" + globex + "\"'; END $$":   "SQLSTATE 42501",
				"DO $$ BEGIN EXECUTE 'RESET ROLE; CREATE ROLE other'; END $$": "SQLSTATE 42501",
				"SELECT rolpassword FROM pg_authid":                           "SQLSTATE 42501",
			}
		}
		for statement, refusal := range injected {
			require.ErrorContains(t, db.Exec(statement).Error, refusal, statement)
		}
		if settings.Engine == testkit.Postgres {
			mine := roleOf(t, &settings, "acme")
			for _, reset := range []string{"RESET ROLE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE"} {
				var me string
				err := db.Connection(func(tx *gorm.DB) error {
					if err := tx.Exec(reset).Error; err != nil {
						return err
					}
					return tx.Raw("SELECT CAST(current_user AS varchar)").Scan(&me).Error
				})
				require.NoError(t, err)
				require.Equal(t, mine, me, reset)
			}
		}
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	})
}
