package tests_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// TestTheAuthorityOfATenantsOwner is what it is when it is used: the token of an owner who
// was changed since opens what their role does now.
func TestTheAuthorityOfATenantsOwner(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		for i, row := range []struct {
			name   string
			change func(of tenantUser)
			status int
			code   string
			login  int // while an owner has suspended the tenant
		}{
			{"nothing", func(tenantUser) {}, 200, "", 200},
			{"renamed", h.change(t, testkit.JSON{"full_name": "Another"}), 200, "", 200},
			{"demoted to admin", h.change(t, testkit.JSON{"role": "admin"}), 403, "role_required", 403},
			{"demoted to member", h.change(t, testkit.JSON{"role": "member"}), 403, "role_required", 403},
			{"demoted and promoted", func(of tenantUser) {
				h.change(t, testkit.JSON{"role": "member"})(of)
				h.change(t, testkit.JSON{"role": "owner"})(of)
			}, 200, "", 200},
			{"deactivated", h.change(t, testkit.JSON{"is_active": false}), 401, "invalid_token", 401},
			{"removed", func(of tenantUser) {
				require.Equal(t, http.StatusNoContent, app.Delete(of.path, h.owner.tokens.access).Code)
			}, 404, "user_not_found", 401},
			{"logged out", func(of tenantUser) {
				require.Equal(t, http.StatusNoContent, app.Post(logoutPath, of.tokens.access, nil).Code)
			}, 401, "invalid_token", 200},
		} {
			owner := hire(t, app, h.owner, "owner"+strconv.Itoa(i)+"@example.com", "owner")
			row.change(owner)
			requests := []testkit.Request{
				{Method: http.MethodGet, Path: tenantPath, Token: owner.tokens.access},
				{Method: http.MethodPut, Path: tenantPath, Token: owner.tokens.access, Body: testkit.JSON{"registration": "open"}},
			}
			if row.status != http.StatusOK {
				requests = append(requests, testkit.Request{Method: http.MethodDelete, Path: tenantPath, Token: owner.tokens.access})
			}
			for _, request := range requests {
				answer := app.Do(request)
				require.Equal(t, row.status, answer.Code, "%s: %s", row.name, answer.Raw)
				require.Contains(t, answer.Raw, row.code)
			}
			h.set(t, h.owner, testkit.JSON{"is_active": false})
			require.Equal(t, row.login, app.Login("acme", owner.email).Code, row.name)
			h.set(t, h.owner, testkit.JSON{"is_active": true})
		}
	})
}

// TestWhatCredentialsAreWorthInATenantOfItsOwners after each change that they can make.
func TestWhatCredentialsAreWorthInATenantOfItsOwners(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		for _, row := range []struct {
			guests string
			bodies []testkit.JSON
			want   string
		}{
			{"1@example.com", []testkit.JSON{{"is_active": false}}, "403 403 403 403 403"},
			{"2@example.com", []testkit.JSON{{"is_active": false}, {"is_active": true}}, "200 200 204 200 204"},
			{"3@example.com", []testkit.JSON{{"registration": "invite"}}, "200 200 204 200 204"},
			{"4@example.com", []testkit.JSON{{"registration": "closed"}}, "200 200 204 403 204"},
		} {
			c := issueAll(t, app, h.owner, row.guests)
			for _, body := range row.bodies {
				h.set(t, h.owner, body)
			}
			require.Equal(t, row.want, c.worth(app), row.bodies)
			h.set(t, h.owner, testkit.JSON{"is_active": true, "registration": "open"})
		}
		c := issueAll(t, app, h.owner, "5@example.com")
		require.Equal(t, http.StatusNoContent, app.Delete(tenantPath, h.owner.tokens.access).Code)
		require.Equal(t, "401 401 400 403 400", c.worth(app))
	})
}

// change has the first owner change a user.
func (h *house) change(t *testing.T, body testkit.JSON) func(of tenantUser) {
	t.Helper()
	return func(of tenantUser) {
		t.Helper()
		answer := h.Put(of.path, h.owner.tokens.access, body)
		require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	}
}

// TestTheGateIsNotTheLastWordOnATenant: who is no owner when the change is made changes
// nothing, whatever the gate has seen.
func TestTheGateIsNotTheLastWordOnATenant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		lent, release, err := app.Tenants.Acquire(t.Context(), "acme")
		require.NoError(t, err)
		defer release()
		for state, kind := range map[string]models.Kind{
			"role = 'admin'":    models.KindRoleRequired,
			"role = 'member'":   models.KindRoleRequired,
			"is_active = false": models.KindInvalidToken,
			"id = 999":          models.KindUserNotFound,
		} {
			id := strconv.Itoa(h.second.id)
			app.Settings.Exec(t, app.Settings.DatabaseName("acme"), "DELETE FROM sessions WHERE user_id = "+id,
				"UPDATE tenant_users SET "+state+" WHERE email = 'olga@example.com'")
			require.True(t, models.IsKind(act(t, lent, h.second, func() error {
				require.Fail(t, "it was done", state)
				return nil
			}), kind), state)
			app.Settings.Exec(t, app.Settings.DatabaseName("acme"),
				"UPDATE tenant_users SET role = 'owner', is_active = true, id = "+id+" WHERE email = 'olga@example.com'")
		}
		done := false
		require.NoError(t, act(t, lent, h.second, func() error { done = true; return nil }))
		require.True(t, done)
	})
}

func act(t *testing.T, lent *tenants.Tenant, by tenantUser, do func() error) error {
	t.Helper()
	event := (&models.Event{Action: models.ActionOrganizationUpdated, Outcome: models.OutcomeSuccess}).By(&models.Account{ID: int64(by.id)})
	return models.ActAsOwner(t.Context(), lent.DB, event, do)
}

// TestAnOwnersChangesWaitForADemotion, and then are refused.
func TestAnOwnersChangesWaitForADemotion(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		for range testkit.Rounds(t) {
			answers := testkit.TryAtOnce(t, []*testkit.App{app}, []testkit.Request{
				{Method: http.MethodPut, Path: h.second.path, Token: h.owner.tokens.access, Body: testkit.JSON{"role": "member"}},
				{Method: http.MethodPut, Path: tenantPath, Token: h.second.tokens.access, Body: testkit.JSON{"registration": "invite"}},
			})
			require.Equal(t, http.StatusOK, answers[0].Code, answers[0].Raw)
			require.Contains(t, []int{http.StatusOK, http.StatusForbidden}, answers[1].Code, answers[1].Raw)
			changed := app.Get(tenantPath, h.owner.tokens.access).Text(app, "registration") == "invite"
			require.Equal(t, answers[1].Code == http.StatusOK, changed)
			h.change(t, testkit.JSON{"role": "owner"})(h.second)
			h.set(t, h.owner, testkit.JSON{"registration": "open"})
		}
	})
}

// TestOwnersAtOnce: of changes of different fields none is lost, and of several deletions
// one is answered 204 at least; the tenant is gone then, whatever else was asked.
func TestOwnersAtOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		h := houseOf(t, app)
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		request := func(by tenantUser, method string, body testkit.JSON) testkit.Request {
			return testkit.Request{Method: method, Path: tenantPath, Token: by.tokens.access, Body: body}
		}
		for _, answer := range testkit.TryAtOnce(t, apps, []testkit.Request{
			request(h.owner, http.MethodPut, testkit.JSON{"registration": "closed"}),
			request(h.second, http.MethodPut, testkit.JSON{"is_active": false}),
			request(h.owner, http.MethodPut, testkit.JSON{"registration": "closed"}),
			request(h.second, http.MethodPut, testkit.JSON{"is_active": false}),
		}) {
			require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
		}
		now := app.Get(tenantPath, h.owner.tokens.access).Object(app)
		require.Equal(t, []any{false, "closed"}, []any{now["is_active"], now["registration"]})

		requests := make([]testkit.Request, 0, 12)
		for range 3 {
			requests = append(requests, request(h.owner, http.MethodDelete, nil), request(h.second, http.MethodDelete, nil),
				request(h.owner, http.MethodPut, testkit.JSON{"is_active": true}), request(h.second, http.MethodGet, nil))
		}
		gone := 0
		for _, answer := range testkit.TryAtOnce(t, apps, requests) {
			require.Contains(t, []int{http.StatusOK, http.StatusNoContent, http.StatusUnauthorized, http.StatusServiceUnavailable},
				answer.Code, answer.Raw)
			if answer.Code == http.StatusNoContent {
				gone++
			}
		}
		require.Equal(t, 1, gone)
		app.Settings.RequireTidy(t)
		require.Empty(t, app.Settings.Databases(t))
	})
}

// TestWhatIsDoneToATenantIsOnRecord, in the tenant for its owners and at core for the
// operator, where no core user of the same id reads it.
func TestWhatIsDoneToATenantIsOnRecord(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		stranger := app.Token("", "eve@example.com") // of the owner's id
		h := houseOf(t, app)
		h.set(t, h.owner, testkit.JSON{})
		h.set(t, h.owner, testkit.JSON{"registration": "invite"})
		h.set(t, h.second, testkit.JSON{"is_active": false, "registration": "open"})
		h.set(t, h.owner, testkit.JSON{"is_active": true})
		inside := audited(t, app, h.owner.tokens.access, "")
		require.Equal(t, []string{
			"organization.updated success by ada to tenant acme registration",
			"organization.suspended success by olga to tenant acme is_active registration",
			"organization.resumed success by ada to tenant acme is_active",
		}, inside[len(inside)-3:])
		require.Equal(t, http.StatusNoContent, app.Delete(tenantPath, h.second.tokens.access).Code)
		kept := auditRows(t, &app.Settings, app.Settings.CoreName())
		for _, line := range []string{
			"organization.updated success ada@example.com tenant acme", "organization.suspended success olga@example.com tenant acme",
			"organization.resumed success ada@example.com tenant acme", "organization.deleted success olga@example.com tenant acme",
		} {
			require.Contains(t, kept, line)
		}
		require.Equal(t, 0, testkit.Scalar[int](t, &app.Settings, app.Settings.CoreName(),
			"SELECT count(*) FROM audit_events WHERE target_kind = 'tenant' AND (actor_id IS NOT NULL OR reader_id IS NOT NULL)"))
		require.Len(t, audited(t, app, stranger, ""), 2, "her own registration and login")
	})
}
