package tests_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const entryPath = organizationsPath + "acme/token"

// enter lets the core user of the token into acme.
func enter(t *testing.T, app *testkit.App, core string) tenantUser {
	t.Helper()
	p := tenantUser{tokens: tokensOf(t, app, app.Post(entryPath, core, nil))}
	me := app.Get(profilePath, p.tokens.access)
	p.email = me.Text(app, "email")
	id, ok := me.Object(app)["id"].(float64)
	require.True(t, ok, me.Raw)
	p.id = int(id)
	p.path = fmt.Sprintf("%s%d", usersPath, p.id)
	return p
}

// TestTheOwnerEnters: as a login there would let them in.
func TestTheOwnerEnters(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		entered := enter(t, app, s.core)
		require.Equal(t, s.owner.id, entered.id)
		claims := claimsOf(t, entered.tokens.access)
		require.Equal(t, []any{"tenant", "acme", tenantID(t, app, "acme")}, []any{claims["context"], claims["tenant"], claims["tid"]})
		require.Equal(t, http.StatusOK, app.Get(usersPath, entered.tokens.access).Code)
		require.Equal(t, "acme", claimsOf(t, renew(t, app, entered.tokens.refresh).access)["tenant"])
		app.Get(organizationsPath, entered.tokens.access).RequireProblem(app, 403, "core_token_required", "Core authentication required")
		for _, header := range []string{"globex", "Not A Slug"} { // it is ignored, as at all organizations
			app.Do(testkit.Request{Method: http.MethodPost, Path: entryPath, Token: s.core, Tenant: header, Body: "nor is a body looked at"})
		}
		require.Len(t, listSessions(t, app, entered.tokens.access, "").Items, 4)
		log := app.Log.String()
		for _, secret := range []string{entered.tokens.access, entered.tokens.refresh, testkit.Password} {
			require.NotContains(t, log, secret)
		}
		require.Empty(t, testkit.Scalar[string](t, &app.Settings, app.Settings.DatabaseName("acme"),
			"SELECT hashed_password FROM tenant_users WHERE core_user_id IS NOT NULL"))
	})
}

func TestStrangersDoNotEnter(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		stranger := app.Token("", "eve@example.com")
		app.Organization(stranger, "globex")
		app.Token("initech", "ada@example.com") // has no organization
		before := app.Get(usersPath, s.owner.tokens.access).Raw
		app.Post(entryPath, stranger, nil).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		for _, slug := range []string{"globex", "initech", "nobody", "..", "Acme", "%00", "%ff", "acme%20"} {
			app.Post(organizationsPath+slug+"/token", s.core, nil).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		}
		app.Post(entryPath, "", nil).RequireProblem(app, 403, "not_authenticated", "Not authenticated")
		for _, token := range []string{s.owner.tokens.access, s.member.tokens.access} {
			app.Post(entryPath, token, nil).RequireProblem(app, 403, "core_token_required", "Core authentication required")
		}
		require.JSONEq(t, before, app.Get(usersPath, s.owner.tokens.access).Raw)
		require.Equal(t, 1, usersOf(t, app, "globex"))

		deactivate(t, app, "", "ada@example.com")
		app.Post(entryPath, s.core, nil).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
	})
}

// TestWhatEndsAnEntry: suspension, deletion, and what ends all of the core user's
// sessions.
func TestWhatEndsAnEntry(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		entered := enter(t, app, s.core)
		suspend := func(active bool) {
			t.Helper()
			require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", s.core, testkit.JSON{"is_active": active}).Code)
		}
		suspend(false)
		app.Post(entryPath, s.core, nil).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		app.Get(profilePath, entered.tokens.access).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		suspend(true)
		requireLives(t, app, entered.tokens)

		s.core = requireChange(t, app, s.core).access
		requireDead(t, app, entered.tokens)
		requireLives(t, app, enter(t, app, s.core).tokens, s.member.tokens)

		entered = enter(t, app, s.core)
		require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"acme", s.core).Code)
		app.Post(entryPath, s.core, nil).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Organization(s.core, "acme")
		requireDead(t, app, entered.tokens)
		requireLives(t, app, enter(t, app, s.core).tokens)
	})
}

// TestAnOwnerWhoWasPutOut gets in again; one who was demoted stays so.
func TestAnOwnerWhoWasPutOut(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		change := func(body testkit.JSON) {
			t.Helper()
			require.Equal(t, http.StatusOK, app.Put(s.owner.path, second.tokens.access, body).Code)
		}
		change(testkit.JSON{"role": "member"})
		entered := enter(t, app, s.core)
		require.Equal(t, s.owner.id, entered.id)
		requireRole(t, app, second, entered, "member")
		app.Get(usersPath, entered.tokens.access).RequireProblem(app, 403, "role_required", "Not allowed for your role")

		change(testkit.JSON{"is_active": false})
		requireDead(t, app, entered.tokens)
		app.Login("acme", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		again := enter(t, app, s.core)
		require.Equal(t, s.owner.id, again.id)
		requireRole(t, app, again, again, "owner")
		requireDead(t, app, entered.tokens)

		require.Equal(t, http.StatusNoContent, app.Delete(s.owner.path, second.tokens.access).Code)
		anew := enter(t, app, s.core)
		require.NotEqual(t, s.owner.id, anew.id)
		requireRole(t, app, anew, anew, "owner")
		require.Equal(t, "Somebody", app.Get(anew.path, anew.tokens.access).Text(app, "full_name"))
		requireLives(t, app, login(t, app, "acme", "ada@example.com"))
		requireDiagnosis(t, &app.Settings, 0, "")
	})
}

// TestSomebodyElseHasTheOwnersAddress: they are not taken over, nor is anything
// of theirs changed.
func TestSomebodyElseHasTheOwnersAddress(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		require.Equal(t, http.StatusNoContent, app.Delete(s.owner.path, second.tokens.access).Code)
		other := hire(t, app, second, "ADA@example.com", "member")
		before := app.Get(usersPath, second.tokens.access).Raw

		for range 2 {
			app.Post(entryPath, s.core, nil).
				RequireProblem(app, 409, "owner_email_taken", "Somebody else in the organization has your email address")
		}
		require.JSONEq(t, before, app.Get(usersPath, second.tokens.access).Raw)
		requireLives(t, app, other.tokens)

		require.Equal(t, http.StatusNoContent, app.Delete(other.path, second.tokens.access).Code)
		anew := enter(t, app, s.core)
		requireRole(t, app, second, anew, "owner")
	})
}

// TestManyEntriesMakeOneOwner, also while people inside remove them.
func TestManyEntriesMakeOneOwner(t *testing.T) {
	eachPair(t, func(t *testing.T, apps []*testkit.App) {
		app := apps[0]
		s := staffOf(t, app)
		second := hire(t, app, s.owner, "olga@example.com", "owner")
		entries := repeat(crowd, func(int) testkit.Request {
			return testkit.Request{Method: http.MethodPost, Path: entryPath, Token: s.core}
		})
		require.Equal(t, http.StatusNoContent, app.Delete(s.owner.path, second.tokens.access).Code)

		answers := testkit.TryAtOnce(t, apps, entries)

		require.Equal(t, map[int]int{http.StatusOK: crowd}, testkit.Count(answers), "%+v", answers)
		ids := map[any]bool{}
		for _, answer := range answers {
			ids[claimsOf(t, answer.Text(app, "access_token"))["user_id"]] = true
		}
		require.Len(t, ids, 1)
		require.Equal(t, 4, usersOf(t, app, "acme"))

		inside := enter(t, app, s.core)
		for _, way := range []int{1, 2} {
			entries[crowd/2] = ousting(second, inside, way)
			answers = testkit.TryAtOnce(t, apps, entries)
			require.Less(t, answers[crowd/2].Code, 300, answers[crowd/2].Raw)
			require.Equal(t, crowd, testkit.Count(answers)[http.StatusOK]+testkit.Count(answers)[http.StatusNoContent], "%+v", answers)
			inside = enter(t, app, s.core)
			requireRole(t, app, second, inside, "owner")
		}
		require.Equal(t, 4, usersOf(t, app, "acme"))
	})
}
