package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// A foreign key of an administrator that refers to a tenant's rows in core refuses the
// deletion of the tenant, before anything is removed. Without the reference it goes.
func TestADeletionIsRefusedByAForeignKey(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		core := fleetOf(app, "acme")
		owner := app.Token("initech", "hank@example.com")
		id := map[testkit.Engine]string{testkit.Postgres: "uuid", testkit.SQLite: "text"}[settings.Engine]
		settings.Exec(t, settings.CoreName(),
			"CREATE TABLE crm (org integer REFERENCES organizations(id) DEFERRABLE)",
			"INSERT INTO crm SELECT id FROM organizations",
			"CREATE TABLE contracts (tenant "+id+" REFERENCES tenants(id))",
			"INSERT INTO contracts SELECT id FROM tenants WHERE slug = 'initech'")

		for range 2 {
			for _, answer := range []testkit.Response{app.Delete(orgPath, core), app.Delete(tenantPath, owner)} {
				answer.RequireProblem(app, 409, "conflict", "Refused by a rule of this installation")
			}
		}
		settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 1)

		requireWhole(t, app, "acme")
		require.Equal(t, http.StatusOK, app.Get(tenantPath, owner).Code)
		require.Equal(t, 2, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM tenants WHERE status = 'ready'"))
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE action = 'organization.deleted'"))
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM resting_slugs"))
		settings.Exec(t, settings.CoreName(), "DELETE FROM crm", "DELETE FROM contracts")
		require.Equal(t, http.StatusNoContent, app.Delete(orgPath, core).Code)
		require.Equal(t, http.StatusNoContent, app.Delete(tenantPath, owner).Code)
		settings.Exec(t, settings.CoreName(), "DROP TABLE crm", "DROP TABLE contracts")
		settings.RequireTidy(t)
	})
}
