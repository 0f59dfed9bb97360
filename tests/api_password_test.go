package tests_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const (
	passwordPath = "/api/users/me/password"
	newPassword  = "staple of a better kind"
)

func change(token, current, next string) testkit.Request {
	return testkit.Request{
		Method: http.MethodPut, Path: passwordPath, Token: token,
		Body: testkit.JSON{"current_password": current, "new_password": next, "email": "other@example.com"},
	}
}

// requireChange returns the tokens that the change is answered with.
func requireChange(t *testing.T, app *testkit.App, token string) tokens {
	t.Helper()
	return tokensOf(t, app, app.Do(change(token, testkit.Password, newPassword)))
}

// requireNewPassword requires that the old one opens nothing, and the new one does.
func requireNewPassword(t *testing.T, app *testkit.App, tenant, email string) {
	t.Helper()
	app.Login(tenant, email).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
	requireLives(t, app, tokensOf(t, app, app.LoginWith(tenant, email, newPassword)))
}

// TestPasswordsAreChanged: every token from before is worth nothing, the ones that the
// change was asked for with included, since somebody else may have a copy.
func TestPasswordsAreChanged(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		app.Token(tenant, "grace@example.com")
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		stranger := login(t, app, tenant, "grace@example.com")

		next := requireChange(t, app, phone.access)

		requireDead(t, app, laptop, phone)
		requireLives(t, app, next, renew(t, app, next.refresh), stranger)
		require.Len(t, listSessions(t, app, next.access, "").Items, 1)
		requireNewPassword(t, app, tenant, "ada@example.com")
		require.Equal(t, "ada@example.com", app.Get(profilePath, next.access).Text(app, "email"), "other fields are ignored")
		app.Login(tenant, "grace@example.com")
	})
}

func TestPasswordsThatAreRefused(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		for _, wrong := range []string{"", "another password", testkit.Password + " ", strings.Repeat("x", 73)} {
			app.Do(change(phone.access, wrong, newPassword)).RequireProblem(app, 400, "wrong_password", "Incorrect password")
		}
		for next, code := range map[string]string{
			"short": "too_short", strings.Repeat("x", 73): "too_long", "ADA@example.com": "same_as_email", "a\x00 NUL in it": "invalid_text",
		} {
			app.Do(change(phone.access, testkit.Password, next)).RequireInvalid(app, map[string]string{"new_password": code})
		}
		for body, want := range map[string]map[string]string{
			`{}`: {"current_password": "required", "new_password": "required"},
			`{"current_password":null,"new_password":null}`: {"current_password": "required", "new_password": "required"},
			`{"current_password":1,"new_password":"x"}`:     {"current_password": "wrong_type"},
		} {
			app.Put(passwordPath, phone.access, body).RequireInvalid(app, want)
		}
		app.Do(change("", testkit.Password, newPassword)).RequireProblem(app, 403, "not_authenticated", "Not authenticated")
		requireLives(t, app, phone, laptop, login(t, app, tenant, "ada@example.com"))
	})
}

// TestAPasswordIsChangedOnce, however many change it at the same time.
func TestAPasswordIsChangedOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		for _, tenant := range []string{"", "acme"} {
			token := apps[0].Token(tenant, "ada@example.com")
			answers := testkit.TryAtOnce(t, apps, slices.Repeat([]testkit.Request{change(token, testkit.Password, newPassword)}, 10))
			counted := testkit.Count(answers)
			require.Equal(t, 1, counted[http.StatusOK], "%v", counted)
			// A request that comes later finds its session ended.
			require.Equal(t, 9, counted[http.StatusBadRequest]+counted[http.StatusUnauthorized], "%v", counted)
			requireNewPassword(t, apps[1], tenant, "ada@example.com")
		}
	})
}

// owner is somebody with two organizations, signed in everywhere.
type owner struct{ core, acme, globex tokens }

func ownerOf(t *testing.T, app *testkit.App) owner {
	t.Helper()
	core := app.Token("", "ada@example.com")
	app.Organization(core, "acme")
	app.Organization(core, "globex")
	return owner{
		core:   login(t, app, "", "ada@example.com"),
		acme:   login(t, app, "acme", "ada@example.com"),
		globex: login(t, app, "globex", "ada@example.com"),
	}
}

// TestTheOwnerHasOnePassword, wherever it is changed.
func TestTheOwnerHasOnePassword(t *testing.T) {
	for realm, by := range map[string]func(o owner) tokens{
		"":     func(o owner) tokens { return o.core },
		"acme": func(o owner) tokens { return o.acme },
	} {
		t.Run("changed in realm "+realm, func(t *testing.T) {
			testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
				ada := ownerOf(t, app)
				second := login(t, app, realm, "ada@example.com")
				member := app.Token("acme", "grace@example.com")
				current := by(ada)
				app.Do(change(current.access, "another password", newPassword)).
					RequireProblem(app, 400, "wrong_password", "Incorrect password")
				app.Do(change(current.access, testkit.Password, "ada@example.com")).
					RequireInvalid(app, map[string]string{"new_password": "same_as_email"})
				requireLives(t, app, ada.core, ada.acme, ada.globex, second)

				next := requireChange(t, app, current.access)

				requireDead(t, app, ada.core, ada.acme, ada.globex, second)
				requireLives(t, app, next, renew(t, app, next.refresh), tokens{access: member})
				require.Len(t, listSessions(t, app, next.access, "").Items, 1)
				for _, tenant := range []string{"", "acme", "globex"} {
					requireNewPassword(t, app, tenant, "ada@example.com")
				}
				require.Empty(t, testkit.Scalar[string](t, &app.Settings, app.Settings.DatabaseName("acme"),
					"SELECT hashed_password FROM tenant_users WHERE core_user_id IS NOT NULL"), "no copy of the hash")
			})
		})
	}
}
