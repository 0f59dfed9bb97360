package tests_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const profilePath = "/api/users/me"

func TestProfileKeepsWhatIsAbsentAndClearsWhatIsNull(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		tokens := map[string]string{
			"core": core, "owner": app.TokenOf("acme", "ada@example.com"), "member": app.Token("acme", "grace@example.com"),
		}
		steps := []struct{ body, want testkit.JSON }{
			{testkit.JSON{}, testkit.JSON{"full_name": "Somebody", "bio": nil, "phone": nil}},
			{testkit.JSON{"bio": "b", "phone": "p"}, testkit.JSON{"full_name": "Somebody", "bio": "b", "phone": "p"}},
			{testkit.JSON{"full_name": "Ada"}, testkit.JSON{"full_name": "Ada", "bio": "b", "phone": "p"}},
			{testkit.JSON{"bio": nil}, testkit.JSON{"full_name": "Ada", "bio": nil, "phone": "p"}},
			{testkit.JSON{"phone": ""}, testkit.JSON{"full_name": "Ada", "bio": nil, "phone": ""}},
			{testkit.JSON{"full_name": nil, "bio": "ᚠ🐎\n\t'\";--"}, testkit.JSON{"full_name": nil, "bio": "ᚠ🐎\n\t'\";--", "phone": ""}},
		}
		for name, token := range tokens {
			t.Run(name, func(t *testing.T) {
				app := app.For(t)
				for i, step := range steps {
					changed := app.Put(profilePath, token, step.body)
					require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
					require.JSONEq(t, changed.Raw, app.Get(profilePath, token).Raw, "step %d", i)
					for field, want := range step.want {
						got, found := changed.Object(app)[field]
						inTenant := name != "core"
						require.Equal(t, field == "full_name" || inTenant, found, "%s: %s", field, changed.Raw)
						if found {
							require.Equal(t, want, got, "step %d: %s", i, field)
						}
					}
				}
			})
		}
	})
}

// TestProfileChangesNothingElse: a request sets the fields it is for.
func TestProfileChangesNothingElse(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		member := app.Token("acme", "grace@example.com")
		for _, token := range []string{core, member} {
			before := app.Get(profilePath, token)
			after := app.Put(profilePath, token, testkit.JSON{
				"id": 99, "email": "root@example.com", "email_canonical": "root@example.com", "is_active": false,
				"hashed_password": "x", "password": "another horse battery", "core_user_id": 1, "created_at": "2001-01-01T00:00:00Z",
				"Account": testkit.JSON{"id": 99}, "role": "admin",
			})
			require.Equal(t, http.StatusOK, after.Code, after.Raw)
			require.JSONEq(t, before.Raw, after.Raw)
			require.JSONEq(t, before.Raw, app.Get(profilePath, token).Raw)
		}
		require.Equal(t, http.StatusOK, app.Login("", "ada@example.com").Code)
		require.Equal(t, http.StatusOK, app.Login("acme", "grace@example.com").Code)
		app.Login("acme", "root@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
	})
}

// TestProfileBelongsToOneUser: nobody else's row is touched.
func TestProfileBelongsToOneUser(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		tokens := []string{
			app.Token("", "ada@example.com"), app.Token("", "grace@example.com"),
			app.Token("acme", "ada@example.com"), app.Token("acme", "grace@example.com"),
			app.Token("globex", "ada@example.com"),
		}
		for i, token := range tokens {
			name := fmt.Sprintf("Number %d", i)
			changed := app.Put(profilePath, token, testkit.JSON{"full_name": name, "bio": name})
			require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
			for j, other := range tokens {
				want := fmt.Sprintf("Number %d", j)
				if j > i {
					want = "Somebody"
				}
				require.Equal(t, want, app.Get(profilePath, other).Text(app, "full_name"))
			}
		}
	})
}

func TestUsersWhoAreGone(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("acme", "grace@example.com")
		requests := func(t *testing.T, status int, code, detail string) {
			t.Helper()
			for _, token := range []string{core, member} {
				app.Get(profilePath, token).RequireProblem(app, status, code, detail)
				app.Put(profilePath, token, testkit.JSON{"full_name": "Ghost"}).RequireProblem(app, status, code, detail)
			}
			app.Get("/api/organizations/", core).RequireProblem(app, status, code, detail)
			app.CreateOrganization(core, "ghost").RequireProblem(app, status, code, detail)
		}
		deactivate(t, app, "", "ada@example.com")
		deactivate(t, app, "acme", "grace@example.com")
		requests(t, 401, "invalid_token", "Could not validate credentials")

		app.Settings.Exec(t, app.Settings.CoreName(), "DELETE FROM core_users")
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), "DELETE FROM tenant_users")
		requests(t, 404, "user_not_found", "User not found")
	})
}
