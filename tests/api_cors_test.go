package tests_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const site = "https://app.example.com"

func preflight(path, origin, method string) testkit.Request {
	return testkit.Request{Method: http.MethodOptions, Path: path, Header: http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {method},
		"Access-Control-Request-Headers": {"authorization,content-type,x-tenant"},
	}}
}

// requireNoCORS makes sure that a browser shows the answer to no other site.
func requireNoCORS(t *testing.T, answer testkit.Response) {
	t.Helper()
	for name := range answer.Header {
		require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s: %q", name, answer.Header[name])
	}
}

func TestOtherSitesAreLetInOnlyWhereConfigured(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for _, origin := range []string{site, "null", "http://localhost:3000", "*"} {
			answer := app.Do(preflight(profilePath, origin, http.MethodPut))
			answer.RequireProblem(app, 405, "method_not_allowed", "Method Not Allowed")
			requireNoCORS(t, answer)
			health := app.Do(testkit.Request{Method: http.MethodGet, Path: "/health", Header: http.Header{"Origin": {origin}}})
			require.Equal(t, http.StatusOK, health.Code)
			requireNoCORS(t, health)
		}
	})
}

func TestAConfiguredSiteIsLetIn(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.AllowedOrigins = []string{site, "https://second.example.com"}
		app := testkit.Start(t, settings)
		for _, origin := range settings.AllowedOrigins {
			for _, path := range []string{profilePath, "/api/auth/login", "/api/organizations", organizationsPath, organizationsPath + "acme"} {
				allowed := app.Do(preflight(path, origin, http.MethodPut))
				require.Equal(t, http.StatusNoContent, allowed.Code, allowed.Raw)
				require.Equal(t, []string{origin}, allowed.Header["Access-Control-Allow-Origin"])
				require.Contains(t, allowed.Header["Vary"], "Origin")
				require.NotContains(t, allowed.Header, "Access-Control-Allow-Credentials")
				for _, header := range []string{"Authorization", "Content-Type", "X-Tenant"} {
					require.Contains(t, allowed.Header.Get("Access-Control-Allow-Headers"), header)
				}
				for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
					require.Contains(t, allowed.Header.Get("Access-Control-Allow-Methods"), method)
				}
			}
			// Errors too can be read there.
			refused := app.Do(testkit.Request{Method: http.MethodGet, Path: profilePath, Header: http.Header{"Origin": {origin}}})
			requireAdmission(t, app, refused, http.StatusForbidden)
			require.Equal(t, []string{origin}, refused.Header["Access-Control-Allow-Origin"])
			require.Contains(t, refused.Header["Vary"], "Origin")
			require.Contains(t, refused.Header.Get("Access-Control-Expose-Headers"), "X-Request-Id")
		}
	})
}

// TestForeignSitesAreNotLetIn: whatever the answer is, it keeps the contract and
// no browser shows it to them.
func TestForeignSitesAreNotLetIn(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.AllowedOrigins = []string{site}
		app := testkit.Start(t, settings)
		for _, origin := range []string{
			"https://evil.example", "http://app.example.com", site + ".evil.example", "https://evil" + strings.TrimPrefix(site, "https://"),
			site + ":8443", "https://APP.example.com.", "null", "*", "https://app.example.com/",
		} {
			t.Run(origin, func(t *testing.T) {
				app := app.For(t)
				requireNoCORS(t, app.Do(preflight(profilePath, origin, http.MethodPut)))
				requireNoCORS(t, app.Do(testkit.Request{Method: http.MethodGet, Path: "/health", Header: http.Header{"Origin": {origin}}}))
				requireNoCORS(t, app.Do(testkit.Request{Method: http.MethodGet, Path: "/nothing", Header: http.Header{"Origin": {origin}}}))
			})
		}
	})
}
