package tests_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestOnlyManagersManage: what is refused has changed nothing.
func TestOnlyManagersManage(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		before := app.Get(usersPath, s.owner.tokens.access).Raw
		for _, request := range []testkit.Request{
			{Method: http.MethodGet, Path: "/api/users"},
			{Method: http.MethodGet, Path: usersPath},
			{Method: http.MethodPost, Path: usersPath, Body: newcomer("new@example.com", "member")},
			{Method: http.MethodPost, Path: usersPath, Body: "is not looked at"},
			{Method: http.MethodGet, Path: s.member.path},
			{Method: http.MethodPut, Path: s.member.path, Body: testkit.JSON{"role": "owner"}},
			{Method: http.MethodPut, Path: s.member.path, Body: "is not looked at"},
			{Method: http.MethodDelete, Path: s.member.path},
			{Method: http.MethodDelete, Path: s.owner.path},
			{Method: http.MethodGet, Path: usersPath + "999"},
		} {
			request.Token = s.member.tokens.access
			app.Do(request).RequireProblem(app, 403, "role_required", "Not allowed for your role")
			request.Token = s.core
			app.Do(request).RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
			request.Token = ""
			app.Do(request).RequireProblem(app, 403, "not_authenticated", "Not authenticated")
		}
		mine := app.Put(profilePath, s.member.tokens.access, testkit.JSON{"role": "owner", "is_active": false})
		require.Equal(t, "member", mine.Text(app, "role"))
		require.JSONEq(t, before, app.Get(usersPath, s.owner.tokens.access).Raw)
	})
}

// TestARoleCountsAtOnce, without another login, up and down.
func TestARoleCountsAtOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		for role, status := range map[string]int{"admin": 200, "owner": 200, "member": 403} {
			require.Equal(t, http.StatusOK, app.Put(s.member.path, s.owner.tokens.access, testkit.JSON{"role": role}).Code)
			require.Equal(t, status, app.Get(usersPath, s.member.tokens.access).Code, role)
			requireRole(t, app, s.owner, s.member, role)
		}
	})
}

// TestAdminsCannotTouchOwners, nor make one, themselves included.
func TestAdminsCannotTouchOwners(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		before := app.Get(usersPath, s.owner.tokens.access).Raw
		for _, request := range []testkit.Request{
			{Method: http.MethodPut, Path: s.owner.path, Body: testkit.JSON{}},
			{Method: http.MethodPut, Path: s.owner.path, Body: testkit.JSON{"full_name": "Changed"}},
			{Method: http.MethodPut, Path: second.path, Body: testkit.JSON{"role": "member"}},
			{Method: http.MethodPut, Path: second.path, Body: testkit.JSON{"is_active": false}},
			{Method: http.MethodDelete, Path: second.path},
			{Method: http.MethodPut, Path: s.member.path, Body: testkit.JSON{"role": "owner", "full_name": "Changed"}},
			{Method: http.MethodPut, Path: s.admin.path, Body: testkit.JSON{"role": "owner"}},
		} {
			request.Token = s.admin.tokens.access
			app.Do(request).RequireProblem(app, 403, "role_required", "Not allowed for your role")
		}
		require.JSONEq(t, before, app.Get(usersPath, s.admin.tokens.access).Raw)

		other := hire(t, app, s.admin, "alice@example.com", "admin")
		for _, target := range []tenantUser{other, s.member} {
			require.Equal(t, http.StatusOK, app.Put(target.path, s.admin.tokens.access, testkit.JSON{"role": "member"}).Code)
			require.Equal(t, http.StatusNoContent, app.Delete(target.path, s.admin.tokens.access).Code)
		}
		require.Equal(t, http.StatusOK, app.Put(s.admin.path, s.admin.tokens.access, testkit.JSON{"role": "member"}).Code)
		app.Get(usersPath, s.admin.tokens.access).RequireProblem(app, 403, "role_required", "Not allowed for your role")
	})
}

// TestTheLastOwnerStays; one who is deactivated does not count.
func TestTheLastOwnerStays(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		requireStays := func(last tenantUser) {
			t.Helper()
			for _, body := range []testkit.JSON{{"role": "admin"}, {"role": "member"}, {"is_active": false}, {"is_active": false, "role": "admin"}} {
				app.Put(last.path, last.tokens.access, body).RequireProblem(app, 409, "last_owner", "A tenant must keep an owner")
			}
			app.Delete(last.path, last.tokens.access).RequireProblem(app, 409, "last_owner", "A tenant must keep an owner")
			requireRole(t, app, last, last, "owner")
		}
		require.Equal(t, http.StatusOK, app.Put(second.path, s.owner.tokens.access, testkit.JSON{"is_active": false}).Code)
		requireStays(s.owner)
		require.Equal(t, http.StatusOK, app.Put(s.owner.path, s.owner.tokens.access, testkit.JSON{"full_name": "Ada", "role": "owner"}).Code)
		require.Equal(t, http.StatusOK, app.Put(second.path, s.owner.tokens.access, testkit.JSON{"role": "member"}).Code)
		require.Equal(t, http.StatusOK, app.Put(second.path, s.owner.tokens.access, testkit.JSON{"is_active": true, "role": "owner"}).Code)
		second = insider(t, app, second.email)

		// The organization's owner goes like any other.
		require.Equal(t, http.StatusOK, app.Put(s.owner.path, s.owner.tokens.access, testkit.JSON{"role": "member"}).Code)
		requireStays(second)
		require.Equal(t, http.StatusNoContent, app.Delete(s.owner.path, second.tokens.access).Code)
		requireStays(second)
		app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Get(organizationsPath+"acme", s.core).Code, "it is hers all the same")
		requireDiagnosis(t, &app.Settings, 0, "")
	})
}

// TestWhoIsOutIsOutAtOnce, in other processes too, and no session revives.
func TestWhoIsOutIsOutAtOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		replica := testkit.Start(t, app.Settings)
		s := staffOf(t, app)
		second := insider(t, app, s.member.email)
		requireLives(t, replica, s.member.tokens, second.tokens)

		off := app.Put(s.member.path, s.admin.tokens.access, testkit.JSON{"is_active": false})
		require.Equal(t, false, off.Object(app)["is_active"])
		requireDead(t, replica, s.member.tokens, second.tokens)
		app.Login("acme", s.member.email).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Put(s.member.path, s.admin.tokens.access, testkit.JSON{"is_active": true}).Code)
		requireDead(t, replica, s.member.tokens, second.tokens)
		again := insider(t, replica, s.member.email)
		requireLives(t, app, again.tokens)

		removed := app.Delete(s.member.path, s.admin.tokens.access)
		require.Equal(t, http.StatusNoContent, removed.Code, removed.Raw)
		replica.Get(profilePath, again.tokens.access).RequireProblem(replica, 404, "user_not_found", "User not found")
		requireNoRefresh(t, replica, again.tokens.refresh)
		replica.Login("acme", s.member.email).RequireProblem(replica, 401, "invalid_credentials", "Incorrect email or password")
		app.Delete(s.member.path, s.admin.tokens.access).RequireProblem(app, 404, "user_not_found", "User not found")
		require.Zero(t, testkit.Scalar[int](t, &app.Settings, app.Settings.DatabaseName("acme"),
			fmt.Sprintf("SELECT count(*) FROM sessions WHERE user_id = %d", s.member.id)))

		next := hire(t, app, s.admin, s.member.email, "member") // the address is free again
		require.NotEqual(t, s.member.id, next.id)
		replica.Get(profilePath, again.tokens.access).RequireProblem(replica, 404, "user_not_found", "User not found")
	})
}

// TestUsersOfAnotherTenantAreNotThere, also where the ids are the same.
func TestUsersOfAnotherTenantAreNotThere(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		foreign := app.Token("globex", "hank@example.com") // an owner there
		before := app.Get(usersPath, s.owner.tokens.access).Raw
		list := app.Get(usersPath, foreign)
		require.NotContains(t, list.Raw, "grace")
		require.Contains(t, list.Raw, "hank@example.com")
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			app.Do(testkit.Request{Method: method, Path: s.member.path, Token: foreign, Body: testkit.JSON{"full_name": "Taken"}}).
				RequireProblem(app, 404, "user_not_found", "User not found")
		}
		require.Equal(t, http.StatusCreated, app.Post(usersPath, foreign, newcomer("grace@example.com", "admin")).Code)
		require.JSONEq(t, before, app.Get(usersPath, s.owner.tokens.access).Raw)
	})
}
