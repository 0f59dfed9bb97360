package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestRefreshAgreesWithTheHeader, where it is sent.
func TestRefreshAgreesWithTheHeader(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("", "ada@example.com")
		app.Token("acme", "ada@example.com")
		app.Token("globex", "ada@example.com")
		core, member := login(t, app, "", "ada@example.com"), login(t, app, "acme", "ada@example.com")
		named := func(token, tenant string) testkit.Response {
			request := testkit.Refreshing(token)
			request.Tenant = tenant
			return app.Do(request)
		}
		for _, tenant := range []string{"globex", "nobody"} {
			named(member.refresh, tenant).
				RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
		}
		named(core.refresh, "acme").
			RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
		named(core.refresh, "Not A Slug").RequireProblem(app, 400, "invalid_tenant", "Invalid X-TENANT header")
		requireLives(t, app, tokensOf(t, app, named(member.refresh, "acme")), renew(t, app, core.refresh))
	})
}

func TestRefreshInATenantThatIsNotOpen(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme")
		app.Token("acme", "grace@example.com")
		member, boss := login(t, app, "acme", "grace@example.com"), login(t, app, "acme", "ada@example.com")

		require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", owner, testkit.JSON{"is_active": false}).Code)
		app.Do(testkit.Refreshing(member.refresh)).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", owner, testkit.JSON{"is_active": true}).Code)
		member = renew(t, app, member.refresh)
		requireLives(t, app, member)

		// Its next life is another tenant, with sessions of the same ids.
		require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"acme", owner).Code)
		requireDead(t, app, member, boss)
		app.Organization(owner, "acme")
		app.Token("acme", "grace@example.com")
		app.TokenOf("acme", "grace@example.com")
		requireDead(t, app, member, boss)
	})
}

func TestRefreshInATenantOutOfReach(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		app.Token("acme", "grace@example.com")
		member := login(t, app, "acme", "grace@example.com")
		app.Close()
		app = testkit.Start(t, settings)
		settings.RenameDatabase(t, settings.DatabaseName("acme"), settings.DatabaseName("elsewhere"))
		app.Do(testkit.Refreshing(member.refresh)).RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
		settings.RenameDatabase(t, settings.DatabaseName("elsewhere"), settings.DatabaseName("acme"))
		testkit.Await(t, spread, func() error {
			answer := app.Do(testkit.Refreshing(member.refresh))
			if answer.Code == http.StatusServiceUnavailable {
				return errStill
			}
			requireLives(t, app, tokensOf(t, app, answer))
			return nil
		})
	})
}

func TestTheDeactivatedRefreshNothing(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for tenant, table := range map[string]string{"": "core_users", "acme": "tenant_users"} {
			app.Token(tenant, "ada@example.com")
			ada := login(t, app, tenant, "ada@example.com")
			app.Settings.Exec(t, databaseOf(app, tenant), "UPDATE "+table+" SET is_active = FALSE")
			requireDead(t, app, ada)
			app.Settings.Exec(t, databaseOf(app, tenant), "UPDATE "+table+" SET is_active = TRUE")
			requireLives(t, app, renew(t, app, ada.refresh))
			app.Settings.Exec(t, databaseOf(app, tenant), "DELETE FROM "+table)
			requireNoRefresh(t, app, ada.refresh)
			app.Get(profilePath, ada.access).RequireProblem(app, 404, "user_not_found", "User not found")
		}
	})
}
