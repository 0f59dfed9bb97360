package tests_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/docs"
	"multitenant/tests/testkit"
)

// routeEntry is a route in the OpenAPI document.
type routeEntry struct {
	readsTenant bool     // it refers to a parameter for X-TENANT
	tokens      []string // the kinds that it takes
}

// documentedRoutes returns the routes of the OpenAPI document, by "METHOD /path/{parameter}".
func documentedRoutes(t *testing.T) map[string]routeEntry {
	t.Helper()
	raw, err := docs.OpenAPI()
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(raw, &document))
	routes := map[string]routeEntry{}
	for path, item := range document.Paths {
		delete(item, "parameters")
		for method, raw := range item {
			var operation struct {
				Security   []map[string]any
				Parameters []struct {
					Ref string `json:"$ref"`
				}
			}
			require.NoError(t, json.Unmarshal(raw, &operation))
			named := 0
			for _, parameter := range operation.Parameters {
				if slices.Contains([]string{"TenantHeader", "TokenTenant"}, strings.TrimPrefix(parameter.Ref, "#/components/parameters/")) {
					named++
				}
			}
			require.LessOrEqual(t, named, 1, "%s %s", method, path)
			route := routeEntry{readsTenant: named == 1}
			for _, scheme := range operation.Security {
				route.tokens = slices.AppendSeq(route.tokens, maps.Keys(scheme))
			}
			routes[strings.ToUpper(method)+" "+path] = route
		}
	}
	return routes
}

// documentableRoutes returns the routes that the document should have, each in the
// router's spelling. Of the page, the prose says that its files lie below /docs/, and of
// HEAD that it is GET without the body. The console is a client.
func documentableRoutes(t *testing.T, app *testkit.App) []string {
	t.Helper()
	return slices.DeleteFunc(routesOf(t, app), func(route string) bool {
		method, path, _ := strings.Cut(route, " ")
		isPage := testkit.IsDocsPath(path) && path != "/docs" || testkit.IsConsolePath(path)
		return method == http.MethodHead || isPage
	})
}

func documentedRoute(route string) string {
	method, path, _ := strings.Cut(route, " ")
	return method + " " + testkit.DocumentedPath(path)
}

// TestEveryRouteIsDocumented, and nothing is that does not exist. Each that reads X-TENANT
// has the parameter for it, and no other has it. Each refuses the kinds of tokens that it is
// not said to take.
func TestEveryRouteIsDocumented(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		document := documentedRoutes(t)
		core, member := app.Token("", "ada@example.com"), app.Token("acme", "grace@example.com")
		served := map[string]bool{}
		for _, route := range documentableRoutes(t, app) {
			method, path, _ := strings.Cut(route, " ")
			answer := app.Do(testkit.Request{Method: method, Path: path, Token: core, Tenant: "Not A Slug"})
			isRead := answer.Code == http.StatusBadRequest && strings.Contains(answer.Raw, `"invalid_tenant"`)
			told := document[documentedRoute(route)]
			require.Equal(t, told.readsTenant, isRead, "%s: %d %s", route, answer.Code, answer.Raw)
			requireRefused(t, app, testkit.Request{Method: method, Path: path}, told.tokens, map[string]string{"coreToken": core, "tenantToken": member})
			served[documentedRoute(route)] = true
		}
		require.Equal(t, slices.Sorted(maps.Keys(document)), slices.Sorted(maps.Keys(served)))
	})
}

// requireRefused makes the request with the kinds of tokens that are not in the list, if any
// is: a token of the other kind is asked for.
func requireRefused(t *testing.T, app *testkit.App, request testkit.Request, taken []string, tokens map[string]string) {
	t.Helper()
	codes := map[string]string{"coreToken": "tenant_token_required", "tenantToken": "core_token_required"}
	for kind, token := range tokens {
		if slices.Contains(taken, kind) || len(taken) == 0 || slices.Contains(taken, "exportKey") {
			continue
		}
		request.Token = token
		answer := app.Do(request)
		require.Equal(t, codes[kind], answer.Text(app, "code"), "%s %s: %s", request.Method, request.Path, answer.Raw)
	}
}

// TestDocsGenerators holds the commands for generators to the versions that CI uses.
func TestDocsGenerators(t *testing.T) {
	t.Parallel()
	commands := section(t, "docs/api.md", "Generated clients")
	for variable, name := range map[string]string{
		"openapi_typescript": "openapi-typescript@", "orval": "orval@", "oapi_codegen": "oapi-codegen@v",
	} {
		versions := captures(`(?m)^`+variable+`=(\S+)$`, readFile(t, ".ci/install"))
		require.Len(t, versions, 1, variable)
		require.Contains(t, commands, name+versions[0]+" ")
	}
}
