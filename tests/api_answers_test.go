package tests_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// hostile is text that means something wherever it is not taken as text.
const hostile = `"}],</script><script>alert(1)</script>&#39;` + "\u2028'; DROP TABLE core_users; --\r\nSet-Cookie: a=b"

// typeOf is what a body is; of the page's own files in the words of their server.
func typeOf(path string, status int) string {
	files := map[string]string{
		"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "json": "application/json",
		"/docs": "text/html; charset=utf-8", "/docs/": "text/html; charset=utf-8",
		"/console": "text/html; charset=utf-8",
	}
	kind, page := files[path[strings.LastIndex(path, ".")+1:]]
	switch {
	case status >= http.StatusBadRequest:
		return "application/problem+json"
	case page:
		return kind
	}
	return "application/json; charset=utf-8"
}

// TestAnswersAreNothingToRender: each says what it is, forbids a browser to take
// it for anything else, to run what is in it or to show it inside another page,
// and leaves no cookie. Those of routes with a body are errors here.
func TestAnswersAreNothingToRender(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		routes := append(routesOf(t, app), "GET /<script>alert(1)<%2fscript>", "PATCH /health", "GET /api/organizations/<b>", "TRACE /")
		for _, route := range routes {
			method, path, _ := strings.Cut(strings.Replace(route, "{slug}", "acme", 1), " ")
			if method == http.MethodHead || method == http.MethodDelete || strings.HasSuffix(path, "/logout") {
				continue // no body, also where they succeed
			}
			answer := app.Do(testkit.Request{Method: method, Path: path, Token: core, Body: `{"` + hostile})

			require.NotEmpty(t, answer.Raw, route)
			echoed := !testkit.IsDocsPath(path) && strings.Contains(answer.Raw, "<script>")
			require.False(t, echoed, route)
			require.Equal(t, []string{typeOf(path, answer.Code)}, answer.Header["Content-Type"], route)
			require.Equal(t, []string{"nosniff"}, answer.Header["X-Content-Type-Options"], route)
			policy := answer.Header.Get("Content-Security-Policy")
			for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
				require.Contains(t, policy, directive, route)
			}
			require.NotContains(t, policy, "unsafe", route)
			require.NotContains(t, answer.Header, "Set-Cookie", route)
		}
	})
}

// TestTextsStayTexts: what means something to HTML, JavaScript, JSON, SQL or HTTP
// is kept and given back as it was, and nothing comes of it.
func TestTextsStayTexts(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		requests := map[string]testkit.Request{
			"full_name":   {Method: http.MethodPut, Path: profilePath, Token: core},
			"bio":         {Method: http.MethodPut, Path: profilePath, Token: member},
			"name":        {Method: http.MethodPut, Path: organizationsPath + "acme", Token: core},
			"description": {Method: http.MethodPut, Path: organizationsPath + "acme", Token: core},
		}
		for _, field := range slices.Sorted(maps.Keys(requests)) {
			request := requests[field]
			request.Body = testkit.JSON{field: hostile}
			changed := app.Do(request)
			shown := app.Get(request.Path, request.Token)
			for _, answer := range []testkit.Response{changed, shown} {
				require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
				require.Equal(t, hostile, answer.Text(app, field))
				require.NotContains(t, answer.Raw, "<")
				require.NotContains(t, answer.Raw, "\u2028")
				require.NotContains(t, answer.Header, "Set-Cookie")
			}
		}
		require.Equal(t, http.StatusOK, app.Login("", "ada@example.com").Code)
	})
}

// TestReadingChangesNothing: no link that somebody is made to follow, and no image
// that they are shown, does anything in their name.
func TestReadingChangesNothing(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		tokens := []string{core, app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com"), ""}
		state := func() string {
			dump := app.Settings.Dump(t, app.Settings.CoreName()) + app.Settings.Dump(t, app.Settings.DatabaseName("acme"))
			return regexp.MustCompile(`(?m)^.* action=request\.refused .*\n`).ReplaceAllString(dump, "") // all that is added
		}
		before := state()
		for _, route := range routesOf(t, app) {
			method, path, _ := strings.Cut(strings.NewReplacer("{slug}", "acme", "{id}", "1").Replace(route), " ")
			if method != http.MethodGet && method != http.MethodHead {
				continue
			}
			for _, token := range tokens {
				// Neither a parameter nor a header makes another method of it.
				app.Do(testkit.Request{
					Method: method, Path: path + "?_method=DELETE&is_active=false&full_name=x&scope=all&registration=closed", Token: token,
					Header: http.Header{"X-Http-Method-Override": {http.MethodDelete}}, Body: testkit.JSON{"full_name": "x", "is_active": false},
				})
			}
		}
		require.Equal(t, before, state())
	})
}

// TestNobodyIsThereToBeginWith: a new installation has no account, and a new
// tenant none but its maker's.
func TestNobodyIsThereToBeginWith(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares = 1
		app := testkit.Start(t, settings)
		people := func(database, table string) string {
			return settings.Query(t, database, "SELECT email FROM "+table+" ORDER BY id")
		}
		require.Equal(t, "\n", people(settings.CoreName(), "core_users"))

		app.Organization(app.Token("", "ada@example.com"), "acme")
		app.Token("globex", "grace@example.com")
		settings.Command(t, "tenants", "create", "initech").RequireCode(t, 0)

		require.Equal(t, " email=ada@example.com\n", people(settings.CoreName(), "core_users"))
		require.Equal(t, " email=ada@example.com\n", people(settings.DatabaseName("acme"), "tenant_users"))
		require.Equal(t, " email=grace@example.com\n", people(settings.DatabaseName("globex"), "tenant_users"))
		require.Equal(t, "\n", people(settings.DatabaseName("initech"), "tenant_users"))
	})
}
