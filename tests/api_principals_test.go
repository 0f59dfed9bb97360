package tests_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// principal is a kind of caller.
type principal struct {
	name   string
	tenant string // X-TENANT, where it is sent along
	token  string
}

// What the callers below get, in their order. %% is what is left for whoever may.
const (
	// Whoever has a token that is good may ask for what is their own.
	ownRoute = "403 %% %% %% %% 403 401 401 401 401 %% %%"
	// Owners and admins manage their tenant.
	managingRoute = "403 403 %% %% 403 403 401 401 401 401 403 %%"
	// Owners manage a tenant that has no organization.
	owningRoute = "403 403 403 403 403 403 401 401 401 401 403 %%"
	// What is on record core users see too, each their own.
	auditingRoute = "403 %% %% %% 403 403 401 401 401 401 %% %%"
	// Of the core, with a token of the core.
	coreOnlyRoute = "403 %% 403 403 403 403 401 403 403 403 %% 403"
	// Others' organizations are not there.
	organizationRoute = "403 404 403 403 403 403 401 403 403 403 %% 403"
	// It comes when the organization is deleted.
	lastRoute   = "403 403 401 401 401 403 401 401 401 401 403 %%"
	publicRoute = "%% %% %% %% %% %% %% %% %% %% %% %%"
)

// principals are all kinds of callers, the owners of the organization and of a tenant without
// one the last.
func principals(t *testing.T, app *testkit.App) []principal {
	t.Helper()
	s := staffOf(t, app)
	stranger, endedCore := app.Token("", "stranger@example.com"), app.Token("", "ended@example.com")
	ended := hire(t, app, s.owner, "ended@example.com", "admin").tokens.access
	for _, token := range []string{endedCore, ended} {
		require.Equal(t, http.StatusNoContent, app.Post(logoutPath, token, nil).Code)
	}
	deactivated := hire(t, app, s.owner, "out@example.com", "admin")
	out := app.Put(deactivated.path, s.owner.tokens.access, testkit.JSON{"is_active": false})
	require.Equal(t, http.StatusOK, out.Code, out.Raw)
	app.Organization(s.core, "again")
	remade := app.TokenOf("again", "ada@example.com")
	require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"again", s.core).Code)
	app.Organization(s.core, "again")
	return []principal{
		{name: "nobody"},
		{name: "a core user", token: stranger},
		{name: "an owner", token: s.owner.tokens.access},
		{name: "an admin", token: s.admin.tokens.access},
		{name: "a member", token: s.member.tokens.access},
		{name: "a member of another tenant", token: app.Token("globex", "other@example.com"), tenant: "acme"},
		{name: "one who has logged out of the core", token: endedCore},
		{name: "one who has logged out of the tenant", token: ended},
		{name: "one who is deactivated", token: deactivated.tokens.access},
		{name: "one of a tenant that was deleted and made again", token: remade},
		{name: "the organization's owner at the core", token: s.core},
		{name: "the owner of a tenant without an organization", token: app.Token("initech", "peter@example.com")},
	}
}

// matrix says for every route what whoever may gets, and who that is. The requests
// change nothing: what would is sent with a body or a target that is refused once
// the caller is let through. What does change something is the last.
func matrix() (routes map[string][2]string, last []string) {
	last = []string{"DELETE /api/organizations/{slug}", "DELETE /api/tenant"}
	return map[string][2]string{
		"GET /":                                  {"200", publicRoute},
		"GET /health":                            {"200", publicRoute},
		"GET /ready":                             {"200", publicRoute},
		"GET /openapi.json":                      {"200", publicRoute},
		"GET /docs":                              {"200", publicRoute},
		"GET /console":                           {"200", publicRoute},
		"POST /api/auth/register":                {"422", publicRoute},
		"POST /api/auth/login":                   {"422", publicRoute},
		"POST /api/auth/refresh":                 {"422", publicRoute},
		"POST /api/auth/password-reset":          {"422", publicRoute},
		"POST /api/auth/logout":                  {"422", ownRoute}, // ?scope=nonsense
		"GET /api/auth/sessions":                 {"200", ownRoute},
		"DELETE /api/auth/sessions/{id}":         {"404", ownRoute},
		"GET /api/users/me":                      {"200", ownRoute},
		"PUT /api/users/me":                      {"200", ownRoute},
		"GET /api/users/me/export":               {"200", ownRoute},
		"PUT /api/users/me/password":             {"422", ownRoute},
		"GET /api/users":                         {"200", managingRoute},
		"GET /api/users/":                        {"200", managingRoute},
		"POST /api/users":                        {"422", managingRoute},
		"POST /api/users/":                       {"422", managingRoute},
		"GET /api/users/{id}":                    {"404", managingRoute},
		"PUT /api/users/{id}":                    {"404", managingRoute},
		"DELETE /api/users/{id}":                 {"404", managingRoute},
		"POST /api/users/{id}/password-reset":    {"404", managingRoute},
		"GET /api/invitations":                   {"200", managingRoute},
		"GET /api/invitations/":                  {"200", managingRoute},
		"POST /api/invitations":                  {"422", managingRoute},
		"POST /api/invitations/":                 {"422", managingRoute},
		"DELETE /api/invitations/{id}":           {"404", managingRoute},
		"GET /api/audit":                         {"200", auditingRoute},
		"GET /api/audit/":                        {"200", auditingRoute},
		"GET /api/organizations":                 {"200", coreOnlyRoute},
		"GET /api/organizations/":                {"200", coreOnlyRoute},
		"POST /api/organizations":                {"422", coreOnlyRoute},
		"POST /api/organizations/":               {"422", coreOnlyRoute},
		"GET /api/organizations/{slug}":          {"200", organizationRoute},
		"PUT /api/organizations/{slug}":          {"200", organizationRoute},
		"POST /api/organizations/{slug}/token":   {"200", organizationRoute},
		"GET /api/organizations/{slug}/backups":  {"409", organizationRoute}, // there is no store
		"POST /api/organizations/{slug}/restore": {"409", organizationRoute},
		"POST /api/organizations/{slug}/backups": {"409", organizationRoute},
		"POST /api/organizations/{slug}/export":  {"409", organizationRoute},
		"GET /api/exports/{id}":                  {"404", publicRoute}, // it has a key of its own
		"GET /api/operations/{id}":               {"404", coreOnlyRoute},
		"GET /api/tenant":                        {"200", owningRoute},
		"PUT /api/tenant":                        {"200", owningRoute},
		last[0]:                                  {"204", organizationRoute},
		last[1]:                                  {"204", lastRoute},
	}, last
}

// TestPrincipals tries every kind of caller on every route. A route that is not in
// the table fails it.
func TestPrincipals(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		callers := principals(t, app)
		routes, last := matrix()
		served := slices.DeleteFunc(routesOf(t, app), func(route string) bool {
			isFile := strings.HasPrefix(route, "GET /docs/") || strings.HasPrefix(route, "GET /console/")
			return isFile || strings.HasPrefix(route, "HEAD ")
		})
		require.ElementsMatch(t, served, slices.Collect(maps.Keys(routes)))
		order := slices.DeleteFunc(served, func(route string) bool { return slices.Contains(last, route) })
		for _, route := range append(order, last...) {
			may, pattern := routes[route][0], routes[route][1]
			answers := strings.Fields(strings.ReplaceAll(pattern, "%%", may))
			require.Len(t, answers, len(callers))
			for i, caller := range callers {
				answer := app.Do(tryAs(route, caller))
				require.Equal(t, answers[i], strconv.Itoa(answer.Code), "%s by %s: %s", route, caller.name, answer.Raw)
			}
		}
	})
}

func tryAs(route string, caller principal) testkit.Request {
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer("{slug}", "acme", "{id}", "999999").Replace(path)
	request := testkit.Request{Method: method, Path: path, Tenant: caller.tenant, Token: caller.token}
	if method == http.MethodPost || method == http.MethodPut {
		request.Body = testkit.JSON{}
	}
	if path == logoutPath {
		request.Path += "?scope=nonsense"
	}
	return request
}
