package tests_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// malformedTenants are values of X-TENANT that name no tenant in any case. Those
// with a database's or a file's name in them once reached it.
func malformedTenants() map[string][]string {
	values := map[string][]string{
		"empty":         {""},
		"spaces alone":  {"  "},
		"doubled":       {"acme", "globex"},
		"doubled alike": {"acme", "acme"},
		"one is empty":  {"acme", ""},
		"first empty":   {"", "acme"},
	}
	for _, value := range []string{
		"Acme", "ACME", "ac me", "ac\tme", "acme,globex", "acme, globex", "acme;globex", "\"acme\"", "'acme'", "acme'",
		"-", "-acme", "acme-", "--", "xn--acme", "a-xn--b", "acme.com", "acme.", ".", "..", "ac_me", "_acme", "__spare_",
		"../core", "..\\core", "./acme", "/acme", "acme/", "acme/../core", "%2e%2e%2f", "%2e%2e%2fcore", "acme%00", "%61cme",
		"a?mode=memory", "acme?x=y", "x?host=evil", "x dbname=postgres", "acme&x", "acme#", "file:acme", "acme.db", ":memory:",
		"acme;DROP DATABASE core", "\" OR 1=1", "a\"b", "$acme", "{acme}", "[acme]", "<acme>", "acme*", "acme|ls", "`acme`", "@acme",
		"acmé", "аcme", "ａcme", "ſcme", "acme\u200b", "\ufeffacme", "acme\u00a0", "K\u212a", "🐎", "\xff\xfe", "acme\xff", "１２",
	} {
		values[value] = []string{value}
	}
	return values
}

// TestMalformedTenantsAreRefused, and never mean the core.
func TestMalformedTenantsAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("acme", "grace@example.com")
		databases := app.Settings.Databases(t)
		requests := []testkit.Request{
			testkit.Registration("", "new@example.com"),
			{Method: http.MethodPost, Path: "/api/auth/login", Body: testkit.JSON{"email": "ada@example.com", "password": testkit.Password}},
			{Method: http.MethodPost, Path: "/api/auth/register", Body: "the header is looked at first"},
			{Method: http.MethodGet, Path: profilePath, Token: core},
			{Method: http.MethodGet, Path: profilePath, Token: member},
			{Method: http.MethodPut, Path: profilePath, Token: member, Body: testkit.JSON{"full_name": "Changed"}},
			testkit.Refreshing("the header is looked at first"),
			{Method: http.MethodPost, Path: logoutPath, Token: member},
			{Method: http.MethodGet, Path: sessionsPath, Token: core},
			{Method: http.MethodDelete, Path: sessionsPath + "/1", Token: member},
			change(member, testkit.Password, newPassword),
			{Method: http.MethodGet, Path: usersPath, Token: member},
			{Method: http.MethodPost, Path: usersPath, Token: member, Body: "the header is looked at first"},
			{Method: http.MethodDelete, Path: usersPath + "1", Token: member},
		}
		for name, values := range malformedTenants() {
			t.Run(name, func(t *testing.T) {
				app := app.For(t)
				for _, request := range requests {
					request.Header = http.Header{"X-Tenant": values}
					app.Do(request).RequireProblem(app, 400, "invalid_tenant", "Invalid X-TENANT header")
				}
				// At organizations the header is ignored, whatever it says.
				for _, path := range []string{"/api/organizations", "/api/organizations/"} {
					list := app.Do(testkit.Request{
						Method: http.MethodGet, Path: path, Token: core, Header: http.Header{"X-Tenant": values},
					})
					require.Equal(t, http.StatusOK, list.Code, list.Raw)
				}
			})
		}
		require.Equal(t, databases, app.Settings.Databases(t))
		require.EqualValues(t, 1, count(t, app, &models.CoreUser{}), "nobody is registered at the core instead")
		require.Equal(t, "Somebody", app.Get(profilePath, member).Text(app, "full_name"))
	})
}

// TestNamesThatNoNewTenantMayHave: the length and the reserved words bind where
// a tenant is made, and nowhere else.
func TestNamesThatNoNewTenantMayHave(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		names := []string{
			"a", "7", strings.Repeat("a", 41), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 3000),
			"postgres", "template0", "template1", "core", "public", "admin", "root", "system", "api", "auth", "login", "register",
			"docs", "health", "ready", "metrics", "www", "mail", "static", "internal", "tenant", "tenants", "organization",
			"organizations", "users", "me", "null", "undefined", "default", "con", "nul", "prn", "aux", "com1", "com9", "lpt1", "lpt9",
		}
		for _, name := range names {
			app.Register(name, "ada@example.com").RequireProblem(app, 400, "invalid_tenant", "Invalid tenant name")
			app.Login(name, "ada@example.com").RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			code, detail := "reserved_slug", "Organization slug is reserved"
			if len(name) < models.MinSlugBytes || len(name) > models.MaxSlugBytes {
				code, detail = "invalid_slug", "Invalid slug format"
			}
			app.Post("/api/organizations/", core, testkit.JSON{"name": "Acme", "slug": name}).RequireProblem(app, 400, code, detail)
		}
		require.Empty(t, app.Settings.Databases(t))
		require.Zero(t, count(t, app, &models.Tenant{}))

		// A tenant that has such a name from before stays reachable.
		app.Token("acme", "grace@example.com")
		require.NoError(t, app.Tenants.Core().Exec("UPDATE tenants SET slug = 'admin' WHERE slug = 'acme'").Error)
		app.Close() // what is open bears the old name
		app = testkit.Start(t, app.Settings)
		token := app.TokenOf("admin", "grace@example.com")
		require.Equal(t, "grace@example.com", app.Get(profilePath, token).Text(app, "email"))
		require.Equal(t, http.StatusOK, app.Register("admin", "hank@example.com").Code)
	})
}

// TestAuthorization: which forms of the header are a token, and which are none.
func TestAuthorization(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, other := app.Token("", "ada@example.com"), app.Token("", "grace@example.com")
		cases := []struct {
			name   string
			values []string
			status int
		}{
			{"bearer", []string{"Bearer " + core}, 200},
			{"lower case", []string{"bearer " + core}, 200},
			{"upper case", []string{"BEARER " + core}, 200},
			{"absent", nil, 403},
			{"empty", []string{""}, 403},
			{"scheme alone", []string{"Bearer"}, 403},
			{"scheme and space", []string{"Bearer "}, 403},
			{"token alone", []string{core}, 403},
			{"Basic", []string{"Basic YWRhQGV4YW1wbGUuY29tOmNvcnJlY3QgaG9yc2U="}, 403},
			{"Basic with the token", []string{"Basic " + core}, 403},
			{"Token", []string{"Token " + core}, 403},
			{"tab instead of space", []string{"Bearer\t" + core}, 403},
			{"colon", []string{"Bearer: " + core}, 403},
			{"no space", []string{"Bearer" + core}, 403},
			{"two spaces", []string{"Bearer  " + core}, 401},
			{"doubled", []string{"Bearer " + core, "Bearer " + other}, 401},
			{"doubled alike", []string{"Bearer " + core, "Bearer " + core}, 401},
			{"an empty one before", []string{"", "Bearer " + core}, 401},
			{"a Basic one behind", []string{"Bearer " + core, "Basic eDp5"}, 401},
			{"two in a list", []string{"Bearer " + core + ", Bearer " + other}, 401},
			{"comma", []string{"Bearer " + core + ","}, 401},
			{"word behind", []string{"Bearer " + core + " x"}, 401},
			{"quoted", []string{`Bearer "` + core + `"`}, 401},
			{"twice the scheme", []string{"Bearer Bearer " + core}, 401},
			{"nonsense", []string{"Bearer nonsense"}, 401},
			{"null", []string{"Bearer null"}, 401},
			{"not ASCII", []string{"Bearer \xff\xfe.é.ü"}, 401},
			{"10,000 letters", []string{"Bearer " + strings.Repeat("a", 10_000)}, 401},
		}
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				app := app.For(t)
				for _, path := range []string{profilePath, "/api/organizations/"} {
					answer := app.Do(testkit.Request{Method: http.MethodGet, Path: path, Header: http.Header{"Authorization": tc.values}})
					requireAdmission(t, app, answer, tc.status)
				}
			})
		}
		t.Run("elsewhere", func(t *testing.T) {
			t.Parallel()
			app := app.For(t)
			for _, query := range []string{"?access_token=" + core, "?token=" + core, "?authorization=Bearer%20" + core} {
				requireAdmission(t, app, app.Get(profilePath+query, ""), http.StatusForbidden)
			}
			for _, header := range []string{"Cookie", "Proxy-Authorization", "X-Authorization", "X-Access-Token"} {
				requireAdmission(t, app, app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Header: http.Header{
					header: {"Bearer " + core, "access_token=" + core},
				}}), http.StatusForbidden)
			}
		})
	})
}

func requireAdmission(t *testing.T, app *testkit.App, answer testkit.Response, status int) {
	t.Helper()
	switch status {
	case http.StatusForbidden:
		answer.RequireProblem(app, 403, "not_authenticated", "Not authenticated")
	case http.StatusUnauthorized:
		answer.RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
	default:
		require.Equal(t, status, answer.Code, answer.Raw)
	}
}

// TestTheTokenDecidesWhichTenantIsMeant: X-TENANT may only agree.
func TestTheTokenDecidesWhichTenantIsMeant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		tokens := map[string]string{
			"core": core, "owner": app.TokenOf("acme", "ada@example.com"),
			"acme": app.Token("acme", "grace@example.com"), "globex": app.Token("globex", "grace@example.com"),
		}
		cases := []struct {
			token, tenant string
			admitted      bool
		}{
			{"acme", "acme", true},
			{"owner", "acme", true},
			{"globex", "globex", true},
			{"core", "", true},
			{"acme", "", true},
			{"acme", "globex", false},
			{"globex", "acme", false},
			{"owner", "globex", false},
			{"core", "acme", false},
			{"core", "globex", false},
			{"core", "nobody", false},
			{"acme", "nobody", false},
			{"core", "core", false},
			{"acme", "core", false},
			{"acme", "acme2", false},
			{"acme", "acm", false},
			{"acme", strings.Repeat("a", 500), false},
		}
		for _, tc := range cases {
			t.Run(tc.token+" at "+tc.tenant, func(t *testing.T) {
				app := app.For(t)
				for _, method := range []string{http.MethodGet, http.MethodPut} {
					answer := app.Do(testkit.Request{
						Method: method, Path: profilePath, Token: tokens[tc.token], Tenant: tc.tenant, Body: testkit.JSON{"full_name": tc.token},
					})
					if !tc.admitted {
						answer.RequireProblem(app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
						continue
					}
					require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
				}
			})
		}
		for name, token := range tokens {
			require.Equal(t, name, app.Get(profilePath, token).Text(app, "full_name"))
		}
	})
}
