package tests_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

const notAllowed = "Not allowed for your role"

// TestWhoMayInvite: owners and admins, of whom these have nothing to do with who is
// to be owner.
func TestWhoMayInvite(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		theirs := invite(t, o.App, o.owner, "edith@example.com", "owner")
		for _, request := range []testkit.Request{
			{Method: http.MethodPost, Path: invitationsPath, Body: testkit.JSON{"email": "hank@example.com"}},
			{Method: http.MethodPost, Path: "/api/invitations", Body: testkit.JSON{"email": "hank@example.com"}},
			{Method: http.MethodGet, Path: invitationsPath},
			{Method: http.MethodGet, Path: "/api/invitations"},
			{Method: http.MethodDelete, Path: theirs.path()},
			{Method: http.MethodDelete, Path: invitationsPath + "999999"},
			{Method: http.MethodPost, Path: invitationsPath, Body: "nonsense"},
		} {
			request.Token = o.member
			o.Do(request).RequireProblem(o.App, 403, "role_required", notAllowed)
			request.Token = o.core
			o.Do(request).RequireProblem(o.App, 403, "tenant_token_required", "Tenant authentication required for this tenant")
			request.Token = ""
			requireAdmission(t, o.App, o.Do(request), http.StatusForbidden)
		}
		for _, role := range []string{"owner", "admin", "member"} { // an admin makes no owner, and unmakes none
			answer := o.Post(invitationsPath, o.admin, testkit.JSON{"email": "Edith@example.com", "role": role})
			answer.RequireProblem(o.App, 403, "role_required", notAllowed)
		}
		o.Post(invitationsPath, o.admin, testkit.JSON{"email": "new@example.com", "role": "owner"}).
			RequireProblem(o.App, 403, "role_required", notAllowed)
		o.Delete(theirs.path(), o.admin).RequireProblem(o.App, 403, "role_required", notAllowed)
		require.Equal(t, "owner", listInvitations(t, o.App, o.admin, "").Items[0].Role, "they see it")
		require.Equal(t, "owner", o.Do(accepting("acme", "edith@example.com", theirs.Token)).Text(o.App, "role"))

		// Who has been an owner for a minute may do what Ada may.
		edith := o.TokenOf("acme", "edith@example.com")
		another := invite(t, o.App, edith, "rosa@example.com", "owner")
		require.Equal(t, http.StatusNoContent, o.Delete(another.path(), edith).Code)
	})
}

// TestInvitationsAreShownWithoutTheirInviter: once the inviter is demoted or removed,
// they open nothing. They are shown, and can be withdrawn.
func TestInvitationsAreShownWithoutTheirInviter(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		first := invite(t, o.App, o.admin, "hank@example.com", "admin")
		second := invite(t, o.App, o.admin, "mary@example.com", "")
		name := o.Settings.DatabaseName("acme")
		o.Settings.Exec(t, name, "UPDATE tenant_users SET role = 'member' WHERE id = 2")
		o.Post(invitationsPath, o.admin, testkit.JSON{"email": "rosa@example.com"}).RequireProblem(o.App, 403, "role_required", notAllowed)
		requireNoEntry(t, o.App, "acme", "hank@example.com", first.Token)

		o.Settings.Exec(t, name, pragmaForeignKeys(o.App)+"DELETE FROM tenant_users WHERE id = 2")
		page := listInvitations(t, o.App, o.owner, "")
		require.Len(t, page.Items, 2)
		require.Nil(t, page.Items[0].InvitedBy)
		requireNoEntry(t, o.App, "acme", "mary@example.com", second.Token)
		require.Equal(t, http.StatusNoContent, o.Delete(second.path(), o.owner).Code)
	})
}

// TestWhoIsOutInvitesNobody, although their request was let through while they were
// in.
func TestWhoIsOutInvitesNobody(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		made := invite(t, o.App, o.owner, "hank@example.com", "")
		tenant, release, err := o.Tenants.Acquire(t.Context(), "acme")
		require.NoError(t, err)
		defer release()
		admin, err := models.FindUserByEmail[models.TenantUser](t.Context(), tenant.DB, "alan@example.com")
		require.NoError(t, err)
		for _, tc := range []struct {
			change string
			want   models.Kind
		}{
			{"UPDATE tenant_users SET role = 'member' WHERE id = ?", models.KindRoleRequired},
			{"UPDATE tenant_users SET role = 'admin', is_active = FALSE WHERE id = ?", models.KindInvalidToken},
			{"DELETE FROM tenant_users WHERE id = ?", models.KindUserNotFound},
		} {
			require.NoError(t, tenant.DB.Exec(tc.change, admin.ID).Error)
			another := models.NewInvitation("mary@example.com", models.RoleMember, "a hash", o.now())
			err := models.Invite(t.Context(), tenant.DB, (&models.Event{}).By(&admin.Account), &another)
			require.True(t, models.IsKind(err, tc.want), "%s: %v", tc.change, err)
			err = models.WithdrawInvitation(t.Context(), tenant.DB, (&models.Event{}).By(&admin.Account), made.ID, o.now())
			require.True(t, models.IsKind(err, tc.want), "%s: %v", tc.change, err)
		}
		require.Equal(t, 1, o.kept(t))
	})
}

// pragmaForeignKeys has SQLite do what PostgreSQL does by itself.
func pragmaForeignKeys(app *testkit.App) string {
	if app.Settings.Engine == testkit.SQLite {
		return "PRAGMA foreign_keys = ON; "
	}
	return ""
}

func TestInvitationsAreListedByPages(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		for i := range 5 {
			invite(t, o.App, o.owner, fmt.Sprintf("guest%d@example.com", i), "")
		}
		var seen []string
		query := "?limit=2"
		for {
			page := listInvitations(t, o.App, o.admin, query)
			for _, item := range page.Items {
				seen = append(seen, item.Email[5:6])
			}
			if page.NextCursor == nil {
				break
			}
			require.Len(t, page.Items, 2)
			query = "?limit=2&cursor=" + *page.NextCursor
		}
		require.Equal(t, "43210", strings.Join(seen, ""), "the newest first")
		o.Get(invitationsPath+"?limit=0&cursor=!", o.owner).
			RequireInvalid(o.App, map[string]string{"limit": "out_of_range", "cursor": "invalid_cursor"})
		require.Equal(t, o.Get("/api/invitations", o.owner).Raw, o.Get(invitationsPath, o.owner).Raw)
	})
}

func TestInvitationsRefuseWhatTheyMust(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		for i, tc := range []struct {
			body any
			want map[string]string
		}{
			{testkit.JSON{}, map[string]string{"email": "required"}},
			{testkit.JSON{"email": nil, "role": ""}, map[string]string{"email": "required", "role": "invalid_role"}},
			{testkit.JSON{"email": "hank", "role": "Owner"}, map[string]string{"email": "invalid_email", "role": "invalid_role"}},
			{testkit.JSON{"email": "hank@example.com\x00"}, map[string]string{"email": "invalid_email"}},
			{testkit.JSON{"email": 1}, map[string]string{"email": "wrong_type"}},
			{testkit.JSON{"email": "hank@example.com", "role": 1}, map[string]string{"role": "wrong_type"}},
			{testkit.JSON{"email": "hank@example.com", "role": "guest"}, map[string]string{"role": "invalid_role"}},
			{testkit.JSON{"email": "hank@example.com", "role": "member "}, map[string]string{"role": "invalid_role"}},
		} {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				app := o.For(t)
				app.Post(invitationsPath, o.owner, tc.body).RequireInvalid(app, tc.want)
			})
		}
		require.Zero(t, o.kept(t))
		made := o.Post(invitationsPath, o.owner, testkit.JSON{
			"email": "hank@example.com", "role": nil, "id": 9, "token": "mti_mine", "invited_by": 3, "expires_at": "2999-01-01T00:00:00Z",
		})
		require.Equal(t, http.StatusCreated, made.Code, made.Raw)
		require.Equal(t, "member", made.Text(o.App, "role"))
		require.NotContains(t, made.Raw, "mti_mine")
		require.NotContains(t, made.Raw, "2999-01-01")
	})
}

// invitationRoute: what an owner does to the invitations of acme is done in acme,
// also where globex has one of the same id and address.
func invitationRoute(t *testing.T, s *stage) {
	t.Helper()
	owner, elsewhere := s.app.TokenOf("acme", "ada@example.com"), s.app.TokenOf("globex", "ada@example.com")
	email := strings.ToLower(s.method) + strconv.Itoa(len(s.path)) + "@example.com"
	made, theirs := invite(t, s.app, owner, email, ""), invite(t, s.app, elsewhere, email, "")
	if s.method == http.MethodDelete { // later ones differ: what replaces another skips an id
		require.Equal(t, made.ID, theirs.ID)
	}
	before := s.app.Get(invitationsPath, elsewhere).Raw
	request := testkit.Request{
		Method: s.method, Path: strings.Replace(s.path, "{id}", strconv.FormatInt(made.ID, 10), 1) + "?tenant=globex", Token: owner, Tenant: "globex",
		Body: testkit.JSON{"email": email, "tenant": "globex"},
	}
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
	for _, change := range []testkit.JSON{{"tenant": "globex"}, {"tid": tenantID(t, s.app, "globex")}} {
		request.Token = with(t, claimsOf(t, owner), change)
		for _, request.Tenant = range []string{"", "globex"} {
			refused := s.app.Do(request)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.Code, refused.Raw)
		}
	}
	request.Tenant = "acme"
	request.Token = s.acme
	s.app.Do(request).RequireProblem(s.app, 403, "role_required", notAllowed)
	request.Token = owner
	own := s.app.Do(request)
	require.Less(t, own.Code, 300, own.Raw)
	requireNoEntry(t, s.app, "acme", email, theirs.Token)
	require.Equal(t, before, s.app.Get(invitationsPath, elsewhere).Raw)
	require.Equal(t, http.StatusOK, s.app.Do(accepting("globex", email, theirs.Token)).Code)
}
