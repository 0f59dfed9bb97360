package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestWhatIsDoneToOrganizationsIsOnRecord at the core, for their owner alone,
// whoever has done it.
func TestWhatIsDoneToOrganizationsIsOnRecord(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		ada, mallory := app.Token("", "ada@example.com"), app.Token("", "mallory@example.com")
		app.Organization(ada, "acme")
		path := organizationsPath + "acme"
		require.Equal(t, http.StatusBadRequest, app.CreateOrganization(mallory, "acme").Code)
		app.Put(path, ada, testkit.JSON{"name": "Acme Ltd", "description": nil})
		app.Put(path, ada, testkit.JSON{})
		app.Put(path, mallory, testkit.JSON{"name": "Mine"})
		app.Put(path, ada, testkit.JSON{"is_active": false})
		app.Settings.Command(t, "tenants", "resume", "acme").RequireCode(t, 0)
		app.Settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		app.Put(path, ada, testkit.JSON{"is_active": true, "name": "Acme"})
		require.Equal(t, http.StatusNoContent, app.Delete(path, ada).Code)
		app.Delete(path, ada).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Settings.Command(t, "tenants", "create", "globex", "--owner", "ada@example.com").RequireCode(t, 0)
		app.Settings.Command(t, "tenants", "delete", "globex", "--yes").RequireCode(t, 0)

		require.Equal(t, []string{
			"user.registered success by ada to user ada@example.com",
			"user.signed_in success by ada to session",
			"organization.created success by ada to organization acme",
			"organization.updated success by ada to organization acme name description",
			"organization.suspended success by ada to organization acme is_active",
			"organization.resumed success by operator to organization acme",
			"organization.suspended success by operator to organization acme",
			"organization.resumed success by ada to organization acme name is_active",
			"organization.deleted success by ada to organization acme",
			"organization.created success by operator to organization globex",
			"organization.deleted success by operator to organization globex",
		}, audited(t, app, ada, ""))

		app.Organization(mallory, "acme") // on SQLite it has the id of one that is gone
		require.Equal(t, []string{
			"user.registered success by mallory to user mallory@example.com",
			"user.signed_in success by mallory to session",
			"organization.created success by mallory to organization acme",
		}, audited(t, app, mallory, ""))
	})
}

// TestATenantOfNobodysIsOnRecord as what it is.
func TestATenantOfNobodysIsOnRecord(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("acme", "grace@example.com")
		app.Settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		app.Settings.Command(t, "tenants", "delete", "acme", "--yes").RequireCode(t, 0)
		kept := auditRows(t, &app.Settings, app.Settings.CoreName())
		require.Contains(t, kept, "organization.suspended success operator tenant acme")
		require.Contains(t, kept, "organization.deleted success operator tenant acme")
	})
}

// TestAnOrganizationThatFailsIsNotOnRecord as created.
func TestAnOrganizationThatFailsIsNotOnRecord(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		ada := app.Token("", "ada@example.com")
		app.Settings.CreateDatabase(t, app.Settings.DatabaseName("acme")) // somebody else's
		require.NotEqual(t, http.StatusOK, app.CreateOrganization(ada, "acme").Code)
		require.Equal(t, 0, countAudit(t, app, "", "organization.created"))
		app.Settings.RequireTidy(t, app.Settings.DatabaseName("acme"))
	})
}

// TestMembersReadNothing: it takes an owner or an admin, as the database says at
// that moment.
func TestMembersReadNothing(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Organization(app.Token("", "ada@example.com"), "acme")
		grace := app.Token("acme", "grace@example.com")
		app.Get(auditPath, grace).RequireProblem(app, 403, "role_required", "Not allowed for your role")
		require.NotEmpty(t, audited(t, app, app.TokenOf("acme", "ada@example.com"), ""))

		database := databaseOf(app, "acme")
		app.Settings.Exec(t, database, "UPDATE tenant_users SET role = 'admin' WHERE email = 'grace@example.com'")
		require.Contains(t, audited(t, app, grace, ""), "user.registered success by grace to user grace@example.com")
		app.Settings.Exec(t, database, "UPDATE tenant_users SET role = 'member' WHERE email = 'grace@example.com'")
		app.Get(auditPath, grace).RequireProblem(app, 403, "role_required", "Not allowed for your role")
	})
}

// auditRoute: owners read what is on record in their own tenant, and members
// nothing.
func auditRoute(t *testing.T, s *stage) {
	t.Helper()
	s.app.Register("globex", "of-globex-alone@example.com")
	request := testkit.Request{Method: s.method, Path: s.path + "?tenant=globex&X-TENANT=globex", Token: s.acme}
	s.app.Do(request).RequireProblem(s.app, 403, "role_required", "Not allowed for your role")

	request.Token = s.app.TokenOf("acme", "ada@example.com")
	own := s.app.Do(request)
	require.Equal(t, http.StatusOK, own.Code, own.Raw)
	require.Contains(t, own.Raw, "grace@example.com")
	require.NotContains(t, own.Raw, "of-globex-alone")
	owner := claimsOf(t, request.Token)
	request.Tenant = "globex"
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
	for _, change := range []testkit.JSON{{"tenant": "globex"}, {"tid": tenantID(t, s.app, "globex")}} {
		request.Token = with(t, owner, change)
		for _, request.Tenant = range []string{"", "globex"} {
			refused := s.app.Do(request)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.Code, refused.Raw)
		}
	}

	core := s.app.Get(s.path, s.app.TokenOf("", "ada@example.com"))
	require.Equal(t, http.StatusOK, core.Code, core.Raw)
	require.NotContains(t, core.Raw, "grace@example.com", "what happens in a tenant is the tenant's")
	require.Contains(t, s.app.Get(s.path, s.app.TokenOf("globex", "ada@example.com")).Raw, "of-globex-alone")
}
