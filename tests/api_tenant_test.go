package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const tenantPath = "/api/tenant"

// house is acme, which a registration made, with two owners, an admin and a member.
type house struct {
	*testkit.App

	owner, second, admin, member tenantUser
}

func houseOf(t *testing.T, app *testkit.App) *house {
	t.Helper()
	registered := app.Register("acme", "ada@example.com")
	require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
	h := &house{App: app, owner: insider(t, app, "ada@example.com")}
	h.second = hire(t, app, h.owner, "olga@example.com", "owner")
	h.admin = hire(t, app, h.owner, "alan@example.com", "admin")
	h.member = hire(t, app, h.owner, "grace@example.com", "member")
	return h
}

// set changes the tenant on behalf of a user.
func (h *house) set(t *testing.T, by tenantUser, body testkit.JSON) testkit.Response {
	t.Helper()
	answer := h.Put(tenantPath, by.tokens.access, body)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	return answer
}

func requireSuspended(app *testkit.App, answers ...testkit.Response) {
	for _, answer := range answers {
		answer.RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
	}
}

// requireShut requires that acme refuses all but the wrong password and /api/tenant.
func requireShut(t *testing.T, app *testkit.App, users ...tenantUser) {
	t.Helper()
	for _, user := range users {
		requireSuspended(app, app.Get(profilePath, user.tokens.access), app.Get(usersPath, user.tokens.access),
			app.Put(profilePath, user.tokens.access, testkit.JSON{}), app.Post(logoutPath, user.tokens.access, nil),
			app.Do(testkit.Refreshing(user.tokens.refresh)))
		app.LoginWith("acme", user.email, "a wrong password").
			RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
	}
	requireSuspended(app, app.Register("acme", "new@example.com"))
}

func TestATenantIsShownAndChanged(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		shown := app.Get(tenantPath, h.owner.tokens.access)
		require.Equal(t, http.StatusOK, shown.Code, shown.Raw)
		want := shown.Object(app)
		require.Len(t, want, 4)
		require.Equal(t, []any{"acme", true, "open"}, []any{want["slug"], want["is_active"], want["registration"]})
		for _, step := range []struct {
			body     testkit.JSON
			isActive bool
			mode     string
		}{
			{testkit.JSON{}, true, "open"},
			{testkit.JSON{"slug": "other", "status": "deleting", "role": "", "suspended_by_owner": true, "id": 1}, true, "open"},
			{testkit.JSON{"registration": "invite"}, true, "invite"},
			{testkit.JSON{"is_active": false}, false, "invite"},
			{testkit.JSON{"is_active": false, "registration": "closed"}, false, "closed"},
			{testkit.JSON{}, false, "closed"},
			{testkit.JSON{"is_active": true}, true, "closed"},
			{testkit.JSON{"is_active": true, "registration": "open"}, true, "open"},
		} {
			want["is_active"], want["registration"] = step.isActive, step.mode
			require.Equal(t, want, h.set(t, h.owner, step.body).Object(app))
			require.Equal(t, want, app.Get(tenantPath, h.second.tokens.access).Object(app))
		}
		for field, codes := range map[string]map[any]string{
			"is_active":    {nil: "required", "no": "wrong_type", 0: "wrong_type"},
			"registration": {nil: "required", "": "invalid_registration", "OPEN": "invalid_registration", true: "wrong_type"},
		} {
			for value, code := range codes {
				app.Put(tenantPath, h.owner.tokens.access, testkit.JSON{field: value, "unknown": false}).
					RequireInvalid(app, map[string]string{field: code})
			}
		}
		require.Equal(t, want, app.Get(tenantPath, h.owner.tokens.access).Object(app))
	})
}

// TestWhoMayRegisterInATenant without an organization is seen at once, in every process.
func TestWhoMayRegisterInATenant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		replica := testkit.Start(t, app.Settings)
		made := invite(t, app, h.owner.tokens.access, "hank@example.com", "")
		h.set(t, h.owner, testkit.JSON{"registration": "closed"})
		requireClosed(replica, replica.Register("acme", "new@example.com"))
		requireClosed(replica, replica.Do(accepting("acme", "hank@example.com", made.Token)))
		h.set(t, h.second, testkit.JSON{"registration": "invite"})
		requireInvitationRequired(replica, replica.Register("acme", "new@example.com"))
		require.Equal(t, http.StatusOK, replica.Do(accepting("acme", "hank@example.com", made.Token)).Code)
		h.set(t, h.owner, testkit.JSON{"registration": "open"})
		require.Equal(t, http.StatusOK, replica.Register("acme", "new@example.com").Code)
	})
}

// TestAnOwnersSuspension shuts the tenant for all but its owners, and for them all but
// the route that ends it, in every process.
func TestAnOwnersSuspension(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		replica := testkit.Start(t, app.Settings)
		require.Equal(t, http.StatusOK, replica.Get(profilePath, h.member.tokens.access).Code)
		h.set(t, h.owner, testkit.JSON{"is_active": false})
		requireSpread(t, replica, h.member.tokens.access, http.StatusForbidden)
		for _, process := range []*testkit.App{app, replica, testkit.Start(t, app.Settings)} {
			requireShut(t, process, h.owner, h.second, h.admin, h.member)
			requireSuspended(process, process.Login("acme", h.admin.email), process.Login("acme", h.member.email))
			for _, user := range []tenantUser{h.admin, h.member} {
				requireSuspended(process, process.Get(tenantPath, user.tokens.access), process.Delete(tenantPath, user.tokens.access),
					process.Put(tenantPath, user.tokens.access, testkit.JSON{"is_active": true}))
			}
			for _, email := range []string{h.owner.email, h.second.email} {
				late := login(t, process, "acme", email)
				require.Equal(t, http.StatusOK, process.Get(tenantPath, late.access).Code)
				requireShut(t, process, tenantUser{email: email, tokens: late})
			}
		}
		late := login(t, replica, "acme", h.second.email)
		h.set(t, tenantUser{tokens: late}, testkit.JSON{"is_active": true})
		for _, token := range []string{late.access, h.owner.tokens.access, h.admin.tokens.access, h.member.tokens.access} {
			require.Equal(t, http.StatusOK, replica.Get(profilePath, token).Code, "another process has resumed it")
		}
		require.Equal(t, http.StatusOK, replica.Login("acme", h.member.email).Code)
	})
}

// TestTheOperatorsSuspension is the operator's to end, also where an owner was first.
func TestTheOperatorsSuspension(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		for _, first := range []testkit.JSON{{}, {"is_active": false}} {
			h.set(t, h.owner, first)
			app.Settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
			token := h.owner.tokens.access
			for _, process := range []*testkit.App{app, testkit.Start(t, app.Settings)} { // the first one does not know yet
				for _, body := range []testkit.JSON{{"is_active": true}, {"is_active": false}, {"registration": "closed"}} {
					requireSuspended(process, process.Put(tenantPath, token, body))
				}
				requireSuspended(process, process.Get(tenantPath, token), process.Delete(tenantPath, token), process.Login("acme", h.owner.email))
			}
			requireSpread(t, app, h.member.tokens.access, http.StatusForbidden)
			app.Settings.Command(t, "tenants", "resume", "acme").RequireCode(t, 0)
			require.Equal(t, "open", app.Get(tenantPath, h.owner.tokens.access).Text(app, "registration"))
			require.Equal(t, http.StatusOK, app.Get(profilePath, h.member.tokens.access).Code)
		}
	})
}

// TestADeletedTenantIsGone as a deleted organization is: its database, its tokens and,
// for a while, its slug.
func TestADeletedTenantIsGone(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.SlugRest = monthOfRest
		app := testkit.Start(t, settings)
		h := houseOf(t, app)
		replica := testkit.Start(t, settings)
		stranger := app.Token("", "eve@example.com")
		old := []tokens{h.owner.tokens, h.second.tokens, h.member.tokens}
		requireLives(t, replica, old...)
		for i := range old {
			old[i] = renew(t, app, old[i].refresh)
		}
		h.set(t, h.second, testkit.JSON{"is_active": false}) // what is suspended can be deleted
		gone := replica.Delete(tenantPath, old[0].access)
		require.Equal(t, http.StatusNoContent, gone.Code, gone.Raw)
		require.Empty(t, gone.Raw)
		require.Empty(t, settings.Databases(t))
		requireSpread(t, app, old[0].access, http.StatusUnauthorized)
		for _, process := range []*testkit.App{app, replica} {
			requireDead(t, process, old...)
			process.Delete(tenantPath, old[1].access).RequireProblem(process, 401, "invalid_token", "Could not validate credentials")
			process.Login("acme", h.owner.email).RequireProblem(process, 401, "invalid_credentials", "Incorrect email or password")
			requireResting(t, process, stranger)
		}
		settings.Command(t, "tenants", "release", "acme").RequireCode(t, 0)
		again := houseOf(t, app) // users of the same ids and addresses
		require.Equal(t, http.StatusOK, app.Get(tenantPath, again.owner.tokens.access).Code)
		app.Delete(tenantPath, old[0].access).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		requireDead(t, app, old...)
		settings.RequireTidy(t)
	})
}

// TestATenantOfAnOrganization is managed by the core user who owns the organization.
func TestATenantOfAnOrganization(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		requireEach := func(token, code, detail string) {
			t.Helper()
			for _, request := range []testkit.Request{
				{Method: http.MethodGet, Path: tenantPath, Token: token},
				{Method: http.MethodPut, Path: tenantPath, Token: token, Body: testkit.JSON{"is_active": false, "registration": "closed"}},
				{Method: http.MethodDelete, Path: tenantPath, Token: token},
			} {
				app.Do(request).RequireProblem(app, 403, code, detail)
			}
		}
		for _, user := range []tenantUser{s.owner, second} {
			requireEach(user.tokens.access, "core_token_required", "Core authentication required")
		}
		for _, user := range []tenantUser{s.admin, s.member} {
			requireEach(user.tokens.access, "role_required", "Not allowed for your role")
		}
		requireEach(s.core, "tenant_token_required", "Tenant authentication required for this tenant")
		requireEach("", "not_authenticated", "Not authenticated")
		require.Equal(t, true, app.Get(organizationsPath+"acme", s.core).Object(app)["is_active"])

		require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", s.core, testkit.JSON{"is_active": false}).Code)
		for _, user := range []tenantUser{s.owner, second} { // an owner inside is not who suspended it
			requireEach(user.tokens.access, "tenant_suspended", "Tenant is suspended")
			requireSuspended(app, app.Login("acme", user.email))
		}
	})
}
