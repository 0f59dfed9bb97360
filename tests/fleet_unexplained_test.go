package tests_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// What bears a name of ours and is in no row: removed where it is nobody's, and
// else never touched. A server says it once.
func TestDoctorFindsTheUnexplained(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		app := testkit.Start(t, settings)
		fleetOf(app, "acme")
		awaitSpares(t, &settings)
		core := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT CAST(id AS varchar) FROM core_installation")
		private := func(kind, core, id string) string {
			plain := func(id string) string { return strings.ReplaceAll(id, "-", "") }
			return settings.Database.TenantPrefix + "_" + kind + "_" + plain(core)[:12] + "_" + plain(id)[:16]
		}
		empty, stamped, peopled, mislaid, another := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
		others := private("spare", another, another)
		for _, id := range []string{empty, stamped, peopled, mislaid} {
			settings.CreateDatabase(t, private("spare", core, id))
		}
		settings.CreateDatabase(t, others)
		settings.CreateDatabase(t, settings.DatabaseName("squatter"))
		fill := func(id, stamp string, more ...string) {
			settings.Exec(t, private("spare", core, id), append([]string{
				"CREATE TABLE tenant_users (id integer)",
				"CREATE TABLE tenant_stamp (tenant_id varchar)", "INSERT INTO tenant_stamp VALUES ('" + stamp + "')",
			}, more...)...)
		}
		fill(stamped, stamped)
		fill(peopled, peopled, "INSERT INTO tenant_users VALUES (1)")
		fill(mislaid, another)
		gone := []string{"unexplained_database of -: " + private("spare", core, empty), "unexplained_database of -: " + private("spare", core, stamped)}
		kept := []string{
			"unexplained_database of -: " + private("spare", core, peopled) + ", to be decided",
			"unexplained_database of -: " + private("spare", core, mislaid) + ", to be decided",
			"unexplained_database of -: " + settings.DatabaseName("squatter") + ", to be decided",
		}
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, settings.CoreName(), `CREATE ROLE "`+private("role", core, stamped)+`"`,
				`CREATE ROLE "`+private("role", core, peopled)+`"`,
				`GRANT CONNECT ON DATABASE "`+settings.DatabaseName("squatter")+`" TO "`+private("role", core, peopled)+`"`)
			gone = append(gone, "unexplained_role of -: "+private("role", core, stamped))
			kept = append(kept, "unexplained_role of -: "+private("role", core, peopled)+", to be decided")
		} else {
			require.NoError(t, os.WriteFile(settings.File(private("spare", core, another))+"-wal", nil, 0o600))
			require.NoError(t, os.WriteFile(settings.File(settings.DatabaseName("nobody"))+"-shm", nil, 0o600))
			gone = append(gone, "unexplained_file of -: "+private("spare", core, another)+".db-wal")
			kept = append(kept, "unexplained_file of -: "+settings.DatabaseName("nobody")+".db-shm, to be decided")
		}
		server := testkit.Start(t, settings)
		requireReported(t, server, private("spare", core, empty), settings.DatabaseName("squatter"))
		before := settings.Dump(t, settings.DatabaseName("squatter")) + settings.Dump(t, private("spare", core, peopled))

		all, mended := append([]string{}, kept...), append([]string{}, kept...)
		for _, finding := range gone {
			all, mended = append(all, finding+", repairable"), append(mended, finding+", repaired")
		}
		requireDiagnosis(t, &settings, 1, "", all...)
		requireDiagnosis(t, &settings, 1, "--repair", mended...)
		if settings.Engine == testkit.Postgres { // nothing speaks for the role any more
			settings.Exec(t, settings.CoreName(), `REVOKE CONNECT ON DATABASE "`+settings.DatabaseName("squatter")+`" FROM "`+private("role", core, peopled)+`"`)
			kept[3] = strings.Replace(kept[3], "to be decided", "repaired", 1)
		}
		said := requireDiagnosis(t, &settings, 1, "--repair", kept...)

		require.Contains(t, said, "but it has users")
		require.Contains(t, said, "but it bears the stamp of tenant "+another)
		require.Contains(t, settings.Databases(t), others)
		require.Equal(t, before, settings.Dump(t, settings.DatabaseName("squatter"))+settings.Dump(t, private("spare", core, peopled)))
		requireWhole(t, app, "acme")
	})
}

// requireReported requires that the server has warned of these once each.
func requireReported(t *testing.T, server *testkit.App, names ...string) {
	t.Helper()
	testkit.Await(t, 20*time.Second, func() error {
		for _, name := range names {
			warned := strings.Count(server.Log.String(), `msg="found what no tenant explains: see tenants doctor"`)
			if warned == 0 || !strings.Contains(server.Log.String(), "name="+name+"\n") {
				return fmt.Errorf("no warning of %s", name)
			}
		}
		return nil
	})
}
