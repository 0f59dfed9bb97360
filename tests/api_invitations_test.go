package tests_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

const (
	invitationsPath = "/api/invitations/"
	sqlTime         = "2006-01-02 15:04:05-07:00" // as both engines read times
)

type invitation struct {
	ID        int64     `json:"id"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	InvitedBy *int64    `json:"invited_by"`
	Token     string    `json:"token"`
}

// path is where the invitation is withdrawn.
func (i *invitation) path() string { return fmt.Sprintf("%s%d", invitationsPath, i.ID) }

// invite invites somebody, as member where role is empty.
func invite(t *testing.T, app *testkit.App, token, email, role string) (made invitation) {
	t.Helper()
	body := testkit.JSON{"email": email}
	if role != "" {
		body["role"] = role
	}
	answer := app.Post(invitationsPath, token, body)
	require.Equal(t, http.StatusCreated, answer.Code, answer.Raw)
	require.NoError(t, json.Unmarshal([]byte(answer.Raw), &made))
	require.Equal(t, made.path(), answer.Header.Get("Location"))
	return made
}

type invitationPage struct {
	Items      []invitation `json:"items"`
	NextCursor *string      `json:"next_cursor"`
}

func listInvitations(t *testing.T, app *testkit.App, token, query string) (page invitationPage) {
	t.Helper()
	answer := app.Get(invitationsPath+query, token)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	require.NotContains(t, answer.Raw, "token")
	require.NotContains(t, answer.Raw, "mti_")
	require.NoError(t, json.Unmarshal([]byte(answer.Raw), &page))
	return page
}

// accepting is the registration of somebody who has been invited.
func accepting(tenant, email, token string) testkit.Request {
	request := testkit.Registration(tenant, email)
	request.Body = testkit.JSON{"email": email, "password": testkit.Password, "invitation_token": token}
	return request
}

// requireNoEntry requires that the token opens nothing to the address.
func requireNoEntry(t *testing.T, app *testkit.App, tenant, email, token string) {
	t.Helper()
	app.Do(accepting(tenant, email, token)).RequireProblem(app, 403, "invalid_invitation", "Invalid invitation")
}

// eachOffice runs the test on both engines, in an organization of Ada's with an
// admin and a member, beside another of hers.
func eachOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		o := &office{App: app, clock: &clock{}}
		app.SetClock(o.now)
		o.core = o.Token("", "ada@example.com")
		o.Organization(o.core, "acme")
		o.Organization(o.core, "globex")
		o.owner = o.TokenOf("acme", "ada@example.com")
		require.Equal(t, http.StatusOK, o.Do(accepting("acme", "alan@example.com", invite(t, o.App, o.owner, "alan@example.com", "admin").Token)).Code)
		o.admin = o.TokenOf("acme", "alan@example.com")
		o.member = o.Token("acme", "grace@example.com")
		test(t, o)
	})
}

type office struct {
	*testkit.App
	*clock

	core, owner, admin, member string // tokens
}

func (o *office) users(t *testing.T) int { t.Helper(); return usersOf(t, o.App, "acme") }

func (o *office) kept(t *testing.T) int {
	t.Helper()
	return testkit.Scalar[int](t, &o.Settings, o.Settings.DatabaseName("acme"), "SELECT count(*) FROM tenant_invitations")
}

func TestAnInvitationIsGoodOnce(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		made := invite(t, o.App, o.admin, " Hank@Example.com ", "")
		require.Equal(t, "Hank@Example.com", made.Email)
		require.Equal(t, "member", made.Role)
		require.EqualValues(t, 2, *made.InvitedBy)
		require.WithinDuration(t, o.now(), made.CreatedAt, 30*time.Second)
		require.Equal(t, made.CreatedAt.Add(7*24*time.Hour), made.ExpiresAt)
		require.Regexp(t, `^mti_[A-Za-z0-9_-]{43}$`, made.Token)

		listed := made
		listed.Token = ""
		require.Equal(t, []invitation{listed}, listInvitations(t, o.App, o.owner, "").Items)
		require.NotContains(t, o.Settings.Dump(t, o.Settings.DatabaseName("acme")), made.Token[4:])

		registered := o.Do(accepting("acme", "hank@EXAMPLE.com", made.Token))
		require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
		require.Equal(t, "member", registered.Text(o.App, "role"))
		require.Equal(t, "hank@EXAMPLE.com", registered.Text(o.App, "email"))
		o.TokenOf("acme", "hank@example.com")
		require.Empty(t, listInvitations(t, o.App, o.owner, "").Items)
		require.Zero(t, o.kept(t))

		requireNoEntry(t, o.App, "acme", "hank@example.com", made.Token)
		o.Delete(made.path(), o.owner).RequireProblem(o.App, 404, "invitation_not_found", "Invitation not found")
		require.NotContains(t, o.Log.String(), made.Token)
		require.NotContains(t, o.Log.String(), made.Token[4:])
	})
}

func TestAnInvitationGivesItsRole(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		for _, role := range []string{"owner", "admin", "member"} {
			email := role + "@example.com"
			request := accepting("acme", email, invite(t, o.App, o.owner, email, role).Token)
			body, ok := request.Body.(testkit.JSON)
			require.True(t, ok)
			body["role"] = "owner" // has no say
			require.Equal(t, role, o.Do(request).Text(o.App, "role"))
			require.Equal(t, role, o.Get(profilePath, o.TokenOf("acme", email)).Text(o.App, "role"))
		}
	})
}

// TestInvitationsThatAreNoGood are all refused alike, and nothing is left of who
// came with them, or of the tenant they came to.
func TestInvitationsThatAreNoGood(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		const hank = "hank@example.com"
		made := invite(t, o.App, o.owner, hank, "")
		before, databases := o.users(t), o.Settings.Databases(t)
		for name, tc := range map[string]struct{ tenant, email, token string }{
			"nothing":           {"acme", hank, ""},
			"space":             {"acme", hank, " "},
			"space around":      {"acme", hank, " " + made.Token},
			"no prefix":         {"acme", hank, made.Token[4:]},
			"another prefix":    {"acme", hank, "mtr_" + made.Token[4:]},
			"cut":               {"acme", hank, made.Token[:len(made.Token)-1]},
			"too long":          {"acme", hank, made.Token + "A"},
			"very long":         {"acme", hank, made.Token + strings.Repeat("A", 60_000)},
			"another case":      {"acme", hank, strings.ToLower(made.Token)},
			"another":           {"acme", hank, "mti_" + strings.Repeat("A", 43)},
			"NUL":               {"acme", hank, "mti_" + strings.Repeat("\x00", 43)},
			"no text":           {"acme", hank, "mti_" + strings.Repeat("\uFFFD", 43)},
			"pattern":           {"acme", hank, "mti_" + strings.Repeat("%", 43)},
			"another address":   {"acme", "mallory@example.com", made.Token},
			"a user's address":  {"acme", "grace@example.com", made.Token},
			"another tenant":    {"globex", hank, made.Token},
			"no tenant":         {"fresh", hank, made.Token},
			"no possible one":   {"admin", hank, made.Token},
			"the core":          {"", hank, made.Token},
			"the core, no good": {"", hank, "x"},
		} {
			t.Run(name, func(t *testing.T) { requireNoEntry(t, o.For(t), tc.tenant, tc.email, tc.token) })
		}
		o.Do(testkit.Request{Method: http.MethodPost, Path: "/api/auth/register", Tenant: "acme", Body: testkit.JSON{
			"email": hank, "password": testkit.Password, "invitation_token": 1,
		}}).RequireInvalid(o.App, map[string]string{"invitation_token": "wrong_type"})
		require.Equal(t, before, o.users(t))
		require.Equal(t, databases, o.Settings.Databases(t), "no tenant is made")
		require.Equal(t, 1, usersOf(t, o.App, "globex"))

		absent := accepting("acme", "null@example.com", "")
		absent.Body = testkit.JSON{"email": "null@example.com", "password": testkit.Password, "invitation_token": nil}
		require.Equal(t, http.StatusOK, o.Do(absent).Code, "null is absent")
		require.Equal(t, http.StatusOK, o.Do(accepting("acme", hank, made.Token)).Code, "it was good all the time")
	})
}

func TestInvitationsExpire(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		first := invite(t, o.App, o.owner, "hank@example.com", "")
		o.advance(7*24*time.Hour - time.Minute)
		second := invite(t, o.App, o.TokenOf("acme", "ada@example.com"), "mary@example.com", "")
		o.owner = o.TokenOf("acme", "ada@example.com")
		require.Len(t, listInvitations(t, o.App, o.owner, "").Items, 2)

		o.advance(time.Minute)
		requireNoEntry(t, o.App, "acme", "hank@example.com", first.Token)
		require.Len(t, listInvitations(t, o.App, o.owner, "").Items, 1)
		o.Delete(first.path(), o.owner).RequireProblem(o.App, 404, "invitation_not_found", "Invitation not found")
		require.Equal(t, 2, o.kept(t))
		invite(t, o.App, o.owner, "rosa@example.com", "")
		require.Equal(t, 2, o.kept(t), "what has expired goes when another is made")
		require.Equal(t, http.StatusOK, o.Do(accepting("acme", "mary@example.com", second.Token)).Code)
	})
}

func TestInvitingAgainReplaces(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		first := invite(t, o.App, o.owner, "hank@example.com", "admin")
		second := invite(t, o.App, o.admin, "HANK@example.com", "")
		require.NotEqual(t, first.Token, second.Token)
		require.Equal(t, "HANK@example.com", second.Email)
		page := listInvitations(t, o.App, o.owner, "")
		require.Len(t, page.Items, 1)
		require.Equal(t, "member", page.Items[0].Role)
		require.EqualValues(t, 2, *page.Items[0].InvitedBy)

		requireNoEntry(t, o.App, "acme", "hank@example.com", first.Token)
		require.Equal(t, "member", o.Do(accepting("acme", "hank@example.com", second.Token)).Text(o.App, "role"))
		for _, taken := range []string{"hank@example.com", "Grace@Example.com", "ada@example.com"} {
			o.Post(invitationsPath, o.owner, testkit.JSON{"email": taken}).RequireProblem(o.App, 400, "email_taken", "Email already registered")
		}
		require.Zero(t, o.kept(t))
	})
}

// TestWhoComesUninvited although they were invited is a member like others, and the
// invitation is gone.
func TestWhoComesUninvited(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		made := invite(t, o.App, o.owner, "hank@example.com", "admin")
		require.Equal(t, "member", o.Register("acme", "Hank@example.com").Text(o.App, "role"))
		require.Zero(t, o.kept(t))
		requireNoEntry(t, o.App, "acme", "hank@example.com", made.Token)
	})
}

func TestInvitationsAreWithdrawn(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		made := invite(t, o.App, o.owner, "hank@example.com", "admin")
		gone := o.Delete(made.path(), o.admin)
		require.Equal(t, http.StatusNoContent, gone.Code, gone.Raw)
		requireNoEntry(t, o.App, "acme", "hank@example.com", made.Token)
		ids := []string{"0", "-1", "x", "999999", "9223372036854775807", "9223372036854775808", "1%00", "%FF", strconv.FormatInt(made.ID, 10)}
		for _, id := range ids {
			o.Delete(invitationsPath+id, o.owner).RequireProblem(o.App, 404, "invitation_not_found", "Invitation not found")
		}
		require.Greater(t, invite(t, o.App, o.owner, "hank@example.com", "").ID, made.ID, "an id is never used again")
	})
}

// TestInvitationsAreBounded: an owner who fills the tenant can still replace and withdraw.
func TestInvitationsAreBounded(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.Settings.Exec(t, o.Settings.DatabaseName("acme"), fmt.Sprintf(`INSERT INTO tenant_invitations
			(email, email_canonical, role, token_hash, invited_by, created_at, expires_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT 'a' || i, 'a' || i, 'member', 'hash ' || i, 1, '%s', '%s' FROM n`, models.MaxInvitations-1,
			o.now().UTC().Format(sqlTime), o.now().Add(time.Hour).UTC().Format(sqlTime)))
		last := invite(t, o.App, o.admin, "hank@example.com", "member")
		for _, token := range []string{o.owner, o.admin} {
			refused := o.Post(invitationsPath, token, testkit.JSON{"email": "joan@example.com"})
			requireTooMany(t, o.App, refused, "too_many_invitations", 3600)
			require.Equal(t, "No more than 1000 invitations may be open", refused.Text(o.App, "detail"))
		}
		require.Equal(t, models.MaxInvitations, o.kept(t))

		again := invite(t, o.App, o.admin, "hank@example.com", "member")
		require.Equal(t, last.ID, again.ID)
		require.Equal(t, http.StatusNoContent, o.Delete(again.path(), o.admin).Code)
		invite(t, o.App, o.admin, "joan@example.com", "member")
		o.advance(2 * time.Hour)
		o.admin = o.TokenOf("acme", "alan@example.com")
		invite(t, o.App, o.admin, "hank@example.com", "member")
		require.Equal(t, 2, o.kept(t), "expired ones take no place")
	})
}
