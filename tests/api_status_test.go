package tests_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/docs"
	"multitenant/tests/testkit"
)

func TestStatus(t *testing.T) {
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		for path, want := range map[string]string{
			"/":       `{"message":"Multi-Tenant API is running"}`,
			"/health": `{"status":"healthy"}`,
			"/ready":  `{"status":"ready"}`,
		} {
			// They ask for nothing, and are put off by nothing.
			answer := app.Do(testkit.Request{Method: http.MethodGet, Path: path, Token: "nonsense", Tenant: "Not A Slug"})
			require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
			require.Equal(t, want, answer.Raw)
			require.Equal(t, "application/json; charset=utf-8", answer.Header.Get("Content-Type"))
		}
		core := app.Token("", "ada@example.com")
		app.Status.Leave()
		app.Get("/ready", "").RequireProblem(app, 503, "core_unavailable", "Service is unavailable")
		require.Equal(t, http.StatusOK, app.Get("/health", "").Code)
		require.Equal(t, http.StatusOK, app.Get(profilePath, core).Code, "requests under way are served to their end")
	})
}

// TestRootIsAPageForBrowsers, and for all others the original's JSON.
func TestRootIsAPageForBrowsers(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		ask := func(method, accept string) testkit.Response {
			header := http.Header{"Accept": strings.Split(accept, "\n")}
			if accept == "absent" {
				header = nil
			}
			// The page is none of the API's answers, which the contract is about.
			answer, _, err := app.Measure(testkit.Request{Method: method, Path: "/", Header: header})
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer.Code)
			require.Equal(t, []string{"Accept"}, answer.Header["Vary"], accept)
			return answer
		}
		for _, accept := range []string{
			"text/html", "TEXT/HTML; charset=utf-8", "text/html;q=0.1", "application/json;q=0.5\ntext/html", "text/html, */*",
			"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "text/html;q=0.5, application/json;q=0, */*",
		} {
			page := ask(http.MethodGet, accept)
			require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"), accept)
			require.Contains(t, page.Raw, "<h1>Multi-Tenant API</h1>")
			require.Equal(t, []string{docs.NewPage().ContentSecurityPolicy()}, page.Header["Content-Security-Policy"])
			require.Equal(t, []string{"no-store"}, page.Header["Cache-Control"])
			for _, link := range captures(`(?:src|href)="([^"]+)"`, page.Raw) {
				require.Equal(t, http.StatusOK, app.Get(link, "").Code, link)
			}
			head := ask(http.MethodHead, accept)
			require.Empty(t, head.Raw)
			require.Equal(t, page.Header.Get("Content-Type"), head.Header.Get("Content-Type"))
		}
		greeted := app.Get("/", "").Raw // whose bytes TestStatus knows
		for _, accept := range []string{
			"absent", "", "*/*", "text/*", "application/json", "application/json, text/html", "application/json, text/plain, */*",
			"text/html;q=0", "text/html;q=0.000", "text/html;q=0.5, application/json;q=0.6", "text/html;q=0.5, */*", "text/html;q=x",
			"text/html;q=0.5, application/*;q=0.7", "text/html;q=NaN", "text/htmlx", "image/png", "html", ",;q=,",
		} {
			greeting := ask(http.MethodGet, accept)
			require.Equal(t, "application/json; charset=utf-8", greeting.Header.Get("Content-Type"), accept)
			require.Equal(t, greeted, greeting.Raw, accept)
			head := ask(http.MethodHead, accept)
			require.Empty(t, head.Raw)
			require.Equal(t, greeting.Header.Get("Content-Type"), head.Header.Get("Content-Type"), accept)
		}
	})
}

func TestDocumentation(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		want, err := docs.OpenAPI()
		require.NoError(t, err)
		document := app.Get("/openapi.json", "")
		require.Equal(t, http.StatusOK, document.Code)
		require.JSONEq(t, string(want), document.Raw)
		require.True(t, strings.HasPrefix(document.Header.Get("Content-Type"), "application/json"))

		for _, path := range docs.NewPage().Paths() {
			page := app.Get(path, "")
			require.Equal(t, http.StatusOK, page.Code, path)
			policy := page.Header.Get("Content-Security-Policy")
			require.Contains(t, policy, "script-src 'self'", path)
			require.NotContains(t, policy, "unsafe", path)
			require.NotContains(t, policy, "http", path)
			head := app.Do(testkit.Request{Method: http.MethodHead, Path: path})
			require.Equal(t, http.StatusOK, head.Code, path)
			require.Empty(t, head.Raw, path)
		}
		page := app.Get("/docs", "")
		require.Contains(t, page.Header.Get("Content-Type"), "text/html")
		require.NotContains(t, page.Raw, "//", "the page loads nothing from elsewhere")
		again := app.Do(testkit.Request{Method: http.MethodGet, Path: "/docs", Header: http.Header{"If-None-Match": {page.Header.Get("Etag")}}})
		require.Equal(t, http.StatusNotModified, again.Code)
	})
}

// TestConsoleIsServed with its own headers in the place of the API's, and nothing besides its files.
func TestConsoleIsServed(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		page := app.Get("/console", "")
		require.Equal(t, http.StatusOK, page.Code)
		files := captures(`(?:src|href)="([^"]+)"`, page.Raw)
		require.Len(t, files, 3)
		for _, path := range append(files, "/console", "/console/") {
			file := app.Get(path, "")
			require.Equal(t, http.StatusOK, file.Code, path)
			require.Len(t, file.Header["Content-Security-Policy"], 1, path)
			require.Contains(t, file.Header.Get("Content-Security-Policy"), "trusted-types 'none'", path)
			require.NotContains(t, file.Header.Get("Content-Security-Policy"), "unsafe", path)
			head := app.Do(testkit.Request{Method: http.MethodHead, Path: path})
			require.Equal(t, http.StatusOK, head.Code, path)
			require.Empty(t, head.Raw, path)
			again := app.Do(testkit.Request{Method: http.MethodGet, Path: path, Header: http.Header{"If-None-Match": {file.Header.Get("Etag")}}})
			require.Equal(t, http.StatusNotModified, again.Code, path)
		}
		for _, path := range []string{"/console/nothing", "/console/app/main.js", "/console/../main.go", "/console/%2e%2e/main.go"} {
			answer := app.Get(path, "")
			require.Equal(t, http.StatusNotFound, answer.Code, path)
			answer.RequireProblem(app, 404, "not_found", "Not Found")
		}
	})
}

func TestUnknownPaths(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		for _, path := range []string{
			"/nothing", "/index.html", "/favicon.ico", "/api", "/api/", "/api/auth", "/api/auth/", "/api/auth/register/", "/api/auth/logout/",
			"/api/users/1/", "/api/users/1/role", "/api/users/me/", "/API/users/me", "/api/Users/me", "//api/users/me", "/api//users/me",
			"/health/", "/ready/", "/openapi.yaml", "/docs/nothing", "/docs/../main.go", "/docs/%2e%2e/main.go", "/../etc/passwd",
			"/%2e%2e/etc/passwd", "/.env", "/.git/config", "/data/core.db", "/debug/pprof/", "/metrics", "/api/organizations/acme/x",
			"/api/organizations/../users/me", "/%00", "/%ff", "/ready%00", "/ready;x=y", "/redoc",
		} {
			for _, token := range []string{"", core} {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					answer := app.Do(testkit.Request{Method: method, Path: path, Token: token, Tenant: "Not A Slug"})
					require.Equal(t, http.StatusNotFound, answer.Code, "%s %s: %s", method, path, answer.Raw)
					answer.RequireProblem(app, 404, "not_found", "Not Found")
					require.NotContains(t, answer.Raw, "passwd", "a path is not echoed")
				}
			}
		}
	})
}

// TestRequestIDs are taken over where they are harmless, and are new elsewhere.
func TestRequestIDs(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		ask := func(ids ...string) string {
			answer := app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Header: http.Header{"X-Request-Id": ids}})
			id := answer.Header.Get("X-Request-Id")
			require.Equal(t, id, answer.Text(app, "request_id"))
			require.Contains(t, app.Log.String(), "request_id="+id)
			return id
		}
		for _, id := range []string{"a", "0198f3a2-6c1e-7b54-9c0d-2f6f2f1f9a11", "Trace_1.2-X", strings.Repeat("x", 64)} {
			require.Equal(t, id, ask(id))
		}
		seen := make(map[string]bool)
		for _, id := range []string{
			"", " ", "a b", "a,b", "a;b", "a=b", "a/b", "a:b", "<script>", "\"", "'", "é", "\xff", "🐎", "a\tb", "{}", strings.Repeat("x", 65),
		} {
			given := ask(id)
			require.NotEqual(t, id, given)
			require.Len(t, given, 36)
			require.False(t, seen[given])
			seen[given] = true
		}
	})
}
