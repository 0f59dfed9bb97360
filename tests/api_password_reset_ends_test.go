package tests_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

func resetting(by, id string) testkit.Request {
	return testkit.Request{Method: http.MethodPost, Path: "/api/users/" + id + "/password-reset", Token: by}
}

// subjectOf returns the id of the token's user.
func subjectOf(t *testing.T, token string) string {
	t.Helper()
	return fmt.Sprintf("%.0f", claimsOf(t, token)["user_id"])
}

func setRole(t *testing.T, app *testkit.App, email, role string) {
	t.Helper()
	app.Settings.Exec(t, app.Settings.DatabaseName("acme"), "UPDATE tenant_users SET role = '"+role+"' WHERE email = '"+email+"'")
}

func TestWhoMayResetWhosePassword(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		people := map[string]string{"ada": app.TokenOf("acme", "ada@example.com")}
		for _, name := range []string{"owner", "other owner", "admin", "other admin", "member", "other member"} {
			people[name] = app.Token("acme", strings.ReplaceAll(name, " ", "-")+"@example.com")
			setRole(t, app, strings.ReplaceAll(name, " ", "-")+"@example.com", strings.TrimPrefix(name, "other "))
		}
		const created, role, kept = http.StatusCreated, "role_required", "core_password"
		for _, tc := range []struct {
			by, whose string
			want      any
		}{
			{"ada", "owner", created},
			{"ada", "admin", created},
			{"ada", "member", created},
			{"ada", "ada", kept},
			{"owner", "ada", kept},
			{"owner", "other owner", created},
			{"owner", "admin", created},
			{"owner", "member", created},
			{"admin", "ada", kept},
			{"admin", "owner", role},
			{"admin", "other admin", created},
			{"admin", "member", created},
			{"owner", "owner", role},
			{"admin", "admin", role},
			{"member", "ada", role},
			{"member", "owner", role},
			{"member", "admin", role},
			{"member", "other member", role},
			{"member", "member", role},
		} {
			answer := app.Do(resetting(people[tc.by], subjectOf(t, people[tc.whose])))
			switch tc.want {
			case created:
				require.Equal(t, created, answer.Code, "%s: %s", tc, answer.Raw)
			case role:
				answer.RequireProblem(app, 403, role, "Not allowed for your role")
			default:
				answer.RequireProblem(app, 403, kept, "Password is kept at the core")
			}
		}
		for _, id := range []string{"999999", "0", "-1", "x", "2147483648", "9223372036854775808", "1.0"} {
			app.Do(resetting(people["owner"], id)).RequireProblem(app, 404, "user_not_found", "User not found")
			app.Do(resetting(people["member"], id)).RequireProblem(app, 403, role, "Not allowed for your role")
		}
		app.Do(resetting(core, "1")).RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
		app.Do(resetting("", "1")).RequireProblem(app, 403, "not_authenticated", "Not authenticated")
		setRole(t, app, "owner@example.com", "member")
		app.Do(resetting(people["owner"], subjectOf(t, people["member"]))).RequireProblem(app, 403, role, "Not allowed for your role")
	})
}

// TestAResetEndsWithWhatItWasFor: another password, a deactivation and a deletion.
func TestAResetEndsWithWhatItWasFor(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		pending := func(email string) (token string) {
			app.Token(tenant, email)
			return resetOf(t, &app.Settings, tenant, email)
		}
		changed := pending("changed@example.com")
		requireChange(t, app, app.TokenOf(tenant, "changed@example.com"))
		requireNoReset(t, app, changed)

		deactivated := pending("deactivated@example.com")
		activate(t, app, tenant, "deactivated@example.com", false)
		requireNoReset(t, app, deactivated)
		activate(t, app, tenant, "deactivated@example.com", true)
		requireNoReset(t, app, deactivated)

		table := map[bool]string{true: "core_users", false: "tenant_users"}[tenant == ""]
		behind := pending("behind@example.com")
		app.Settings.Exec(t, databaseOf(app, tenant), "UPDATE "+table+" SET is_active = FALSE WHERE email = 'behind@example.com'")
		requireNoReset(t, app, behind)
		app.Settings.Exec(t, databaseOf(app, tenant), "UPDATE "+table+" SET is_active = TRUE WHERE email = 'behind@example.com'")
		requireReset(t, app, behind)

		deleted := pending("deleted@example.com")
		app.Settings.Exec(t, databaseOf(app, tenant), "DELETE FROM "+table+" WHERE email = 'deleted@example.com'")
		requireNoReset(t, app, deleted)
	})
}

// activate changes whether somebody gets in as the application does.
func activate(t *testing.T, app *testkit.App, tenant, email string, active bool) {
	t.Helper()
	if tenant == "" {
		user, err := models.FindUserByEmail[models.CoreUser](t.Context(), app.Tenants.Core(), email)
		require.NoError(t, err)
		user.IsActive = active
		require.NoError(t, models.UpdateProfile(t.Context(), app.Tenants.Core(), &user, "is_active"))
		return
	}
	lent, release, err := app.Tenants.Acquire(t.Context(), models.Slug(tenant))
	require.NoError(t, err)
	defer release()
	user, err := models.FindUserByEmail[models.TenantUser](t.Context(), lent.DB, email)
	require.NoError(t, err)
	user.IsActive = active
	require.NoError(t, models.UpdateProfile(t.Context(), lent.DB, &user, "is_active"))
}

// TestTheOwnersForgottenPassword is the core's: with it end their sessions inside
// the tenants they own, also in other processes.
func TestTheOwnersForgottenPassword(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		first, second := app, testkit.Start(t, app.Settings)
		ada := ownerOf(t, first)
		member := first.Token("acme", "grace@example.com")
		requireLives(t, second, ada.core, ada.acme, ada.globex)

		requireReset(t, first, resetOf(t, &app.Settings, "", "ada@example.com"))

		requireDead(t, first, ada.core, ada.acme, ada.globex)
		requireDead(t, second, ada.core)
		requireSpread(t, second, ada.acme.access, http.StatusUnauthorized)
		requireDead(t, second, ada.acme, ada.globex)
		requireLives(t, second, tokens{access: member})
		for _, tenant := range []string{"", "acme", "globex"} {
			requireNewPassword(t, second, tenant, "ada@example.com")
		}
	})
}

// TestAResetIsOfItsTenant, and of no other that comes to bear its name.
func TestAResetIsOfItsTenant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		app.Token("globex", "grace@example.com")
		app.Token("acme", "grace@example.com")
		token := resetOf(t, &app.Settings, "acme", "grace@example.com")
		named := func(token, tenant string) testkit.Response {
			request := redeeming(token, newPassword)
			request.Tenant = tenant
			return app.Do(request)
		}
		for _, tenant := range []string{"globex", "nobody"} {
			named(token, tenant).RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
		}
		named(resetOf(t, &app.Settings, "", "ada@example.com"), "acme").
			RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
		named(token, "Not A Slug").RequireProblem(app, 400, "invalid_tenant", "Invalid X-TENANT header")
		app.Put(organizationsPath+"acme", core, testkit.JSON{"is_active": false})
		named(token, "").RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		app.Put(organizationsPath+"acme", core, testkit.JSON{"is_active": true})
		require.Equal(t, http.StatusNoContent, named(token, "acme").Code)

		token = resetOf(t, &app.Settings, "acme", "grace@example.com")
		require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"acme", core).Code)
		requireNoReset(t, app, token)
		app.Organization(core, "acme")
		app.Token("acme", "grace@example.com")
		resetOf(t, &app.Settings, "acme", "grace@example.com")
		requireNoReset(t, app, token)
		named(token, "acme").RequireProblem(app, 400, "invalid_reset_token", "Invalid or expired password reset token")
		app.Login("acme", "grace@example.com")
	})
}
