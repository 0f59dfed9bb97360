package tests_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

const organizationsPath = "/api/organizations/"

func TestOrganizationsAreMadeShownAndChanged(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("", "first@example.com")
		core := app.Token("", "ada@example.com")
		created := app.Post(organizationsPath, core, testkit.JSON{
			"name": " Acme Inc. 🐎 ", "slug": "acme", "description": "Makers\nof 'everything'",
			"id": 99, "owner_id": 1, "is_active": false, "tenant_id": "x", "created_at": "2001-01-01T00:00:00Z",
		})
		require.Equal(t, http.StatusOK, created.Code, created.Raw)
		org := created.Object(app)
		require.Len(t, org, 8)
		require.Equal(t, " Acme Inc. 🐎 ", org["name"])
		require.Equal(t, "acme", org["slug"])
		require.Equal(t, "Makers\nof 'everything'", org["description"])
		require.EqualValues(t, 1, org["id"])
		require.EqualValues(t, 2, org["owner_id"])
		require.Equal(t, true, org["is_active"])
		require.Equal(t, "open", org["registration"])
		require.JSONEq(t, created.Raw, app.Get(organizationsPath+"acme", core).Raw)

		steps := []struct{ body, want testkit.JSON }{
			{testkit.JSON{}, nil},
			{testkit.JSON{"name": "Acme"}, testkit.JSON{"name": "Acme"}},
			{testkit.JSON{"description": ""}, testkit.JSON{"description": ""}},
			{testkit.JSON{"description": nil}, testkit.JSON{"description": nil}},
			{testkit.JSON{"owner_id": 1, "id": 9, "tenant_id": nil, "created_at": nil}, nil},
			{testkit.JSON{"is_active": false}, testkit.JSON{"is_active": false}},
			{testkit.JSON{"name": "Asleep", "is_active": false}, testkit.JSON{"name": "Asleep"}},
			{testkit.JSON{"is_active": true, "description": "Awake"}, testkit.JSON{"is_active": true, "description": "Awake"}},
		}
		for _, step := range steps {
			maps.Copy(org, step.want)
			changed := app.Put(organizationsPath+"acme", core, step.body)
			require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
			require.Equal(t, org, changed.Object(app))
			require.JSONEq(t, changed.Raw, app.Get(organizationsPath+"acme", core).Raw)
		}
		app.Get(organizationsPath+"other", core).RequireProblem(app, 404, "organization_not_found", "Organization not found")
	})
}

// TestOrganizationsOfOthersDoNotExist for a stranger, whatever is sent.
func TestOrganizationsOfOthersDoNotExist(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		owner, stranger := app.Token("", "ada@example.com"), app.Token("", "grace@example.com")
		app.Organization(owner, "acme")
		before := app.Get(organizationsPath+"acme", owner)
		for _, slug := range []string{"acme", "nobody"} {
			path := organizationsPath + slug
			for _, request := range []testkit.Request{
				{Method: http.MethodGet, Path: path},
				{Method: http.MethodDelete, Path: path},
				{Method: http.MethodPut, Path: path, Body: testkit.JSON{"name": "Mine"}},
				{Method: http.MethodPut, Path: path, Body: testkit.JSON{"is_active": false}},
				{Method: http.MethodPut, Path: path, Body: testkit.JSON{"name": nil}},
				{Method: http.MethodPut, Path: path, Body: "nonsense"},
			} {
				request.Token = stranger
				app.Do(request).RequireProblem(app, 404, "organization_not_found", "Organization not found")
			}
		}
		require.JSONEq(t, `{"items":[],"next_cursor":null}`, app.Get(organizationsPath, stranger).Raw)
		require.JSONEq(t, before.Raw, app.Get(organizationsPath+"acme", owner).Raw)
		app.CreateOrganization(stranger, "acme").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		app.Login("acme", "grace@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Login("acme", "ada@example.com").Code)
	})
}

// TestSlugsThatAreTaken: by an organization or by a registration, one's own too.
func TestSlugsThatAreTaken(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		member := app.Token("globex", "hank@example.com")
		for _, slug := range []string{"acme", "globex"} {
			app.CreateOrganization(core, slug).RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		}
		app.Get(organizationsPath+"globex", core).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Login("globex", "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Get(profilePath, member).Code)
		require.EqualValues(t, 1, count(t, app, &models.Organization{}))

		// Slugs are not abridged: these share their first 39 bytes.
		for _, last := range []string{"a", "b"} {
			slug := strings.Repeat("x", 39) + last
			app.Organization(core, slug)
			app.Token(slug, last+"@example.com")
		}
		app.Login(strings.Repeat("x", 39)+"a", "b@example.com").
			RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.Settings.RequireTidy(t)
	})
}

func TestMalformedSlugsAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		slugs := []string{" acme", "acme ", "acme\n", "\tacme", "a\u0301cme", "acme\r\nX-Injected: 1"}
		for _, values := range malformedTenants() {
			if len(values) == 1 && strings.ToValidUTF8(values[0], "") == values[0] {
				slugs = append(slugs, values[0])
			}
		}
		require.Greater(t, len(slugs), 50)
		for _, slug := range slugs {
			app.Post(organizationsPath, core, testkit.JSON{"name": "Acme", "slug": slug}).
				RequireProblem(app, 400, "invalid_slug", "Invalid slug format")
		}
		for _, slug := range []string{"ac\x00me", "acme\x00", "ac\uFFFDme"} {
			app.Post(organizationsPath, core, testkit.JSON{"name": "Acme", "slug": slug}).
				RequireInvalid(app, map[string]string{"slug": "invalid_text"})
		}
		// In a path they name no organization.
		for _, escaped := range []string{
			"Acme", "ac%20me", "%00", "acme%00", "%FF", "acme%ff%fe", "%2e%2e", "..%2fcore", "%2e%2e%2fcore", "acme%2f", "acme%3Fx=y",
			"x%3Fhost=evil", "%F0%9F%90%8E", "'%20OR%201=1--", "%25", strings.Repeat("a", 4000), "%EF%BF%BD", "acme%0d%0aX-Injected:1",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				answer := app.Do(testkit.Request{Method: method, Path: organizationsPath + escaped, Token: core, Body: testkit.JSON{}})
				require.Equal(t, http.StatusNotFound, answer.Code, "%s %s: %s", method, escaped, answer.Raw)
			}
		}
		require.Empty(t, app.Settings.Databases(t))
		require.Zero(t, count(t, app, &models.Organization{}))
	})
}

func TestBothFormsOfThePathAnswer(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		for path, slug := range map[string]string{"/api/organizations": "acme", organizationsPath: "globex"} {
			created := app.Post(path, core, testkit.JSON{"name": "Organization", "slug": slug})
			require.Equal(t, http.StatusOK, created.Code, created.Raw)
			require.Equal(t, slug, created.Text(app, "slug"))
		}
		first, second := app.Get("/api/organizations", core), app.Get(organizationsPath, core)
		require.JSONEq(t, first.Raw, second.Raw)
		require.Len(t, first.Object(app)["items"], 2)
		for _, path := range []string{"/api/organizations", organizationsPath} {
			requireAdmission(t, app, app.Get(path, ""), http.StatusForbidden)
			requireAdmission(t, app, app.Post(path, "", testkit.JSON{}), http.StatusForbidden)
		}
		app.Get(organizationsPath+"acme/", core).RequireProblem(app, 404, "not_found", "Not Found")
	})
}

// TestSuspendedMeansRefusedEverywhere, and resumed means as before.
func TestSuspendedMeansRefusedEverywhere(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		app.Organization(core, "globex")
		inside := []string{app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")}
		for range 2 { // suspending what is suspended changes nothing
			require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", core, testkit.JSON{"is_active": false}).Code)
		}
		for _, token := range inside {
			app.Get(profilePath, token).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
			app.Put(profilePath, token, testkit.JSON{"full_name": "X"}).RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
			app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token, Tenant: "globex"}).
				RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
		}
		app.Login("acme", "grace@example.com").RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")
		app.Login("acme", "nobody@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.Register("acme", "new@example.com").RequireProblem(app, 403, "tenant_suspended", "Tenant is suspended")

		// The core and other tenants go on, and the owner still sees it.
		require.Equal(t, http.StatusOK, app.Login("", "ada@example.com").Code)
		require.Equal(t, http.StatusOK, app.Get(profilePath, app.TokenOf("globex", "ada@example.com")).Code)
		require.Equal(t, false, app.Get(organizationsPath+"acme", core).Object(app)["is_active"])
		require.Len(t, app.Get(organizationsPath, core).Object(app)["items"], 2)
		app.CreateOrganization(core, "acme").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")

		for range 2 {
			require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", core, testkit.JSON{"is_active": true}).Code)
		}
		for _, token := range inside {
			require.Equal(t, "Somebody", app.Get(profilePath, token).Text(app, "full_name"))
		}
		app.Login("acme", "new@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		require.Equal(t, http.StatusOK, app.Register("acme", "new@example.com").Code)

		require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", core, testkit.JSON{"is_active": false}).Code)
		require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"acme", core).Code, "what is suspended can be deleted")
		app.Settings.RequireTidy(t)
	})
}

// TestDeletedMeansGone: the token of the old tenant is dead at a new one.
func TestDeletedMeansGone(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		old := []string{app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")}
		firstID := tenantID(t, app, "acme")

		gone := app.Delete(organizationsPath+"acme", core)
		require.Equal(t, http.StatusNoContent, gone.Code, gone.Raw)
		require.Empty(t, gone.Raw)
		require.Empty(t, app.Settings.Databases(t))
		require.Zero(t, count(t, app, &models.Tenant{}))
		app.Delete(organizationsPath+"acme", core).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Get(organizationsPath+"acme", core).RequireProblem(app, 404, "organization_not_found", "Organization not found")
		app.Login("acme", "grace@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")

		requireDead := func() {
			for _, token := range old {
				for _, tenant := range []string{"", "acme"} {
					for _, method := range []string{http.MethodGet, http.MethodPut} {
						app.Do(testkit.Request{Method: method, Path: profilePath, Token: token, Tenant: tenant, Body: testkit.JSON{}}).
							RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
					}
				}
			}
		}
		requireDead()
		app.Organization(core, "acme")
		require.NotEqual(t, firstID, tenantID(t, app, "acme"))
		require.Equal(t, http.StatusOK, app.Get(profilePath, app.TokenOf("acme", "ada@example.com")).Code)
		app.Login("acme", "grace@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
		app.Token("acme", "grace@example.com") // now users 1 and 2 exist in it as they did in the old one
		requireDead()
	})
}
