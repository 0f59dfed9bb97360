package tests_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/controllers"
	"multitenant/tests/testkit"
)

// routesOf returns what the router has, as "METHOD /path/{parameter}".
func routesOf(t *testing.T, app *testkit.App) []string {
	t.Helper()
	router, err := controllers.NewRouter(&controllers.Options{
		Tenants: app.Tenants, Tokens: app.TokenKit, Status: app.Status, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	routes := make([]string, len(router.Routes()))
	for n, route := range router.Routes() {
		segments := strings.Split(route.Path, "/")
		for i, segment := range segments {
			if name, isParameter := strings.CutPrefix(segment, ":"); isParameter {
				segments[i] = "{" + name + "}"
			}
		}
		routes[n] = route.Method + " " + strings.Join(segments, "/")
	}
	slices.Sort(routes)
	return routes
}

// TestOtherMethodsAreRefused by every path, with the methods that it has.
func TestOtherMethodsAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		methods := make(map[string][]string)
		for _, route := range routesOf(t, app) {
			method, path, _ := strings.Cut(route, " ")
			methods[path] = append(methods[path], method)
		}
		for path, has := range methods {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"} {
				if slices.Contains(has, method) {
					continue
				}
				answer := app.Do(testkit.Request{Method: method, Path: strings.Replace(path, "{slug}", "acme", 1), Token: core})
				require.Equal(t, http.StatusMethodNotAllowed, answer.Code, "%s %s: %s", method, path, answer.Raw)
				allowed := strings.Split(answer.Header.Get("Allow"), ", ")
				require.ElementsMatch(t, has, allowed, "%s %s", method, path)
				if method != http.MethodHead {
					answer.RequireProblem(app, 405, "method_not_allowed", "Method Not Allowed")
				}
			}
		}
		require.Equal(t, http.StatusOK, app.Get(organizationsPath+"acme", core).Code)
	})
}

// TestHeadIsGetWithoutTheBody on every path.
func TestHeadIsGetWithoutTheBody(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		owner := app.TokenOf("acme", "ada@example.com")
		for _, route := range routesOf(t, app) {
			method, path, _ := strings.Cut(route, " ")
			if method != http.MethodGet {
				continue
			}
			path = strings.NewReplacer("{slug}", "acme", "{id}", "1").Replace(path)
			for _, token := range []string{"", core, owner} {
				request := testkit.Request{Method: method, Path: path, Token: token, Header: http.Header{"Accept-Encoding": {"identity"}}}
				get := app.Do(request)
				request.Method = http.MethodHead
				head := app.Do(request)
				require.Equal(t, get.Code, head.Code, path)
				require.Empty(t, head.Raw, path)
				for name, values := range get.Header {
					// The files of the page say of GET alone that they come in parts as well.
					if !slices.Contains([]string{"X-Request-Id", "Date", "Accept-Ranges"}, name) {
						require.Equal(t, values, head.Header[name], "%s: %s", path, name)
					}
				}
			}
		}
	})
}

// twoTenants holds what every route of the API does with two tenants. A route
// that is not in it fails the test below: think about it, then add it.
func twoTenants() map[string]func(t *testing.T, s *stage) {
	return map[string]func(t *testing.T, s *stage){
		"POST /api/auth/register":                registersInOne,
		"POST /api/auth/login":                   logsInToOne,
		"POST /api/auth/refresh":                 refreshesInOne,
		"POST /api/auth/logout":                  sessionRoute,
		"GET /api/auth/sessions":                 sessionRoute,
		"DELETE /api/auth/sessions/{id}":         sessionRoute,
		"PUT /api/users/me/password":             sessionRoute,
		"GET /api/users/me":                      tenantRoute,
		"GET /api/users/me/export":               tenantRoute,
		"PUT /api/users/me":                      tenantRoute,
		"GET /api/users":                         usersRoute,
		"POST /api/users":                        usersRoute,
		"GET /api/users/":                        usersRoute,
		"POST /api/users/":                       usersRoute,
		"GET /api/users/{id}":                    usersRoute,
		"PUT /api/users/{id}":                    usersRoute,
		"DELETE /api/users/{id}":                 usersRoute,
		"GET /api/tenant":                        ownersRoute,
		"PUT /api/tenant":                        ownersRoute,
		"DELETE /api/tenant":                     ownersRoute,
		"GET /api/organizations":                 coreRoute,
		"POST /api/organizations":                coreRoute,
		"GET /api/organizations/":                coreRoute,
		"POST /api/organizations/":               coreRoute,
		"GET /api/organizations/{slug}":          coreRoute,
		"PUT /api/organizations/{slug}":          coreRoute,
		"DELETE /api/organizations/{slug}":       coreRoute,
		"POST /api/organizations/{slug}/token":   coreRoute,
		"GET /api/organizations/{slug}/backups":  coreRoute,
		"POST /api/organizations/{slug}/restore": coreRoute,
		"POST /api/organizations/{slug}/backups": coreRoute,
		"POST /api/organizations/{slug}/export":  coreRoute,
		"GET /api/exports/{id}":                  keyRoute,
		"GET /api/operations/{id}":               coreRoute,
		"GET /api/audit":                         auditRoute,
		"GET /api/audit/":                        auditRoute,
		"POST /api/auth/password-reset":          redeemsInOne,
		"POST /api/users/{id}/password-reset":    resetsInOne,
		"GET /api/invitations":                   invitationRoute,
		"POST /api/invitations":                  invitationRoute,
		"GET /api/invitations/":                  invitationRoute,
		"POST /api/invitations/":                 invitationRoute,
		"DELETE /api/invitations/{id}":           invitationRoute,
	}
}

// stage is two tenants whose users have the same ids and the same addresses.
type stage struct {
	app          *testkit.App
	method, path string
	acme, globex string // tokens of their members
}

// TestEveryRouteKeepsTwoTenantsApart is driven by the router's own list.
func TestEveryRouteKeepsTwoTenantsApart(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		app.Organization(core, "globex")
		s := stage{acme: app.Token("acme", "grace@example.com"), globex: app.Token("globex", "grace@example.com")}
		require.Equal(t, claimsOf(t, s.acme)["user_id"], claimsOf(t, s.globex)["user_id"])
		state := func() string {
			return app.Get(profilePath, core).Raw + app.Get(profilePath, s.globex).Raw + app.Get(organizationsPath, core).Raw
		}
		before := state()
		for _, route := range routesOf(t, app) {
			method, path, _ := strings.Cut(route, " ")
			if !strings.HasPrefix(path, "/api/") || method == http.MethodHead { // HEAD has GET's handler
				continue
			}
			t.Run(route, func(t *testing.T) {
				keepsApart, found := twoTenants()[route]
				require.True(t, found, "there is no two-tenant case of this route")
				s := s
				s.app, s.method, s.path = app.For(t), method, strings.Replace(path, "{slug}", "globex", 1)
				keepsApart(t, &s)
			})
			require.Equal(t, before, state(), "%s, by somebody of acme, has changed what is not acme's", route)
		}
	})
}

// keyRoute: only a key opens it, and no token does.
func keyRoute(t *testing.T, s *stage) {
	t.Helper()
	s.app.Do(testkit.Request{Method: s.method, Path: s.path, Token: s.acme, Tenant: "globex"}).
		RequireProblem(s.app, 404, "export_not_found", "Export not found")
}

// tenantRoute: a token of acme is acme's, whatever X-TENANT, query or body say.
func tenantRoute(t *testing.T, s *stage) {
	t.Helper()
	request := testkit.Request{
		Method: s.method, Path: s.path + "?tenant=globex&X-TENANT=globex", Token: s.acme,
		Body: testkit.JSON{"full_name": "Of acme", "tenant": "globex", "x-tenant": "globex", "tid": tenantID(t, s.app, "globex")},
	}
	own := s.app.Do(request)
	require.Equal(t, http.StatusOK, own.Code, own.Raw)
	request.Tenant = "globex"
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")

	for _, change := range []testkit.JSON{{"tenant": "globex"}, {"tid": tenantID(t, s.app, "globex")}} {
		request.Token = with(t, claimsOf(t, s.acme), change)
		for _, tenant := range []string{"", "globex"} {
			request.Tenant = tenant
			refused := s.app.Do(request)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.Code, refused.Raw)
		}
	}
}

// coreRoute: a tenant's token opens nothing, also with X-TENANT agreeing.
func coreRoute(t *testing.T, s *stage) {
	t.Helper()
	for _, tenant := range []string{"", "acme", "globex", "Not A Slug"} {
		for _, token := range []string{s.acme, s.globex, s.app.TokenOf("globex", "ada@example.com")} {
			s.app.Do(testkit.Request{
				Method: s.method, Path: s.path, Token: token, Tenant: tenant, Body: testkit.JSON{"name": "Taken", "slug": "taken"},
			}).RequireProblem(s.app, 403, "core_token_required", "Core authentication required")
		}
		requireAdmission(t, s.app, s.app.Do(testkit.Request{Method: s.method, Path: s.path, Tenant: tenant}), http.StatusForbidden)
	}
}

func registersInOne(t *testing.T, s *stage) {
	t.Helper()
	registration := testkit.Registration("acme", "new@example.com")
	registration.Path, registration.Token = s.path+"?tenant=globex", s.globex // neither has a say
	registered := s.app.Do(registration)
	require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
	for _, elsewhere := range []string{"", "globex"} {
		s.app.Login(elsewhere, "new@example.com").RequireProblem(s.app, 401, "invalid_credentials", "Incorrect email or password")
	}
	require.Equal(t, "acme", claimsOf(t, s.app.TokenOf("acme", "new@example.com"))["tenant"])
}

func logsInToOne(t *testing.T, s *stage) {
	t.Helper()
	s.app.Token("acme", "hers-alone@example.com")
	s.app.Login("globex", "hers-alone@example.com").RequireProblem(s.app, 401, "invalid_credentials", "Incorrect email or password")
	for _, tenant := range []string{"acme", "globex"} {
		claims := claimsOf(t, s.app.TokenOf(tenant, "grace@example.com"))
		require.Equal(t, tenant, claims["tenant"])
		require.Equal(t, tenantID(t, s.app, tenant), claims["tid"])
	}
}

// sessionRoute: what somebody does to their sessions or password in acme is done
// in acme, also where ids and addresses are the same in globex.
func sessionRoute(t *testing.T, s *stage) {
	t.Helper()
	email := strings.ToLower(s.method) + strings.NewReplacer("/", "-", "{id}", "x").Replace(s.path) + "@example.com"
	elsewhere, token := s.app.Token("globex", email), s.app.Token("acme", email)
	path := strings.Replace(s.path, "{id}", fmt.Sprintf("%.0f", claimsOf(t, token)["sid"]), 1)
	request := testkit.Request{
		Method: s.method, Path: path + "?tenant=globex", Token: token, Tenant: "globex",
		Body: testkit.JSON{"current_password": testkit.Password, "new_password": newPassword, "tenant": "globex"},
	}
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
	for _, change := range []testkit.JSON{{"tenant": "globex"}, {"tid": tenantID(t, s.app, "globex")}} {
		request.Token = with(t, claimsOf(t, token), change)
		for _, request.Tenant = range []string{"", "globex"} {
			refused := s.app.Do(request) // 404 where globex has no user of that id
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, refused.Code, refused.Raw)
		}
	}
	require.Equal(t, http.StatusOK, s.app.Get(profilePath, token).Code, "nothing has happened yet")

	request.Token, request.Tenant = token, "acme"
	own := s.app.Do(request)
	require.Less(t, own.Code, 300, own.Raw)
	require.Equal(t, http.StatusOK, s.app.Get(profilePath, elsewhere).Code)
	require.Equal(t, http.StatusOK, s.app.Login("globex", email).Code)
}

// usersRoute: what an owner does to the users of acme is done in acme, also
// where globex has somebody of the same id and address.
func usersRoute(t *testing.T, s *stage) {
	t.Helper()
	owner := s.app.TokenOf("acme", "ada@example.com")
	name := strings.ToLower(s.method) + strings.NewReplacer("/", "-", "{id}", "x").Replace(s.path)
	target := tenantUser{email: name + "@example.com"}
	s.app.Token("globex", target.email)
	s.app.Token("acme", target.email)
	list := s.app.Get(usersPath+"?q="+target.email, owner)
	target.id = int(list.Object(s.app)["items"].([]any)[0].(testkit.JSON)["id"].(float64)) //nolint:forcetypeassert // a panic says as much
	elsewhere := s.app.Get(usersPath, s.app.TokenOf("globex", "ada@example.com")).Raw
	request := testkit.Request{
		Method: s.method, Path: strings.Replace(s.path, "{id}", strconv.Itoa(target.id), 1) + "?tenant=globex", Token: owner, Tenant: "globex",
		Body: testkit.JSON{
			"email": "made-" + target.email, "password": testkit.Password, "full_name": "Of acme", "role": "admin", "tenant": "globex",
		},
	}
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
	for _, change := range []testkit.JSON{{"tenant": "globex"}, {"tid": tenantID(t, s.app, "globex")}} {
		request.Token = with(t, claimsOf(t, owner), change)
		for _, request.Tenant = range []string{"", "globex"} {
			refused := s.app.Do(request)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.Code, refused.Raw)
		}
	}
	require.Equal(t, list.Raw, s.app.Get(usersPath+"?q="+target.email, owner).Raw, "nothing has happened yet")

	request.Token, request.Tenant = owner, "acme"
	own := s.app.Do(request)
	require.Less(t, own.Code, 300, own.Raw)
	require.JSONEq(t, elsewhere, s.app.Get(usersPath, s.app.TokenOf("globex", "ada@example.com")).Raw)
}

// ownersRoute: what the owner of a tenant does to it is done to it, also where the owner
// of another tenant has the same id and address.
func ownersRoute(t *testing.T, s *stage) {
	t.Helper()
	name := strings.ToLower(s.method)
	slug, email := "hooli-"+name, name+"@example.com"
	token, elsewhere := s.app.Token("initech-"+name, email), s.app.Token(slug, email)
	before := s.app.Get(tenantPath, elsewhere).Raw
	request := testkit.Request{
		Method: s.method, Path: s.path + "?tenant=" + slug, Token: token, Tenant: slug,
		Body: testkit.JSON{"registration": "closed", "slug": slug, "tenant": slug, "tid": tenantID(t, s.app, slug)},
	}
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")
	for _, change := range []testkit.JSON{{"tenant": slug}, {"tid": tenantID(t, s.app, slug)}} {
		request.Token = with(t, claimsOf(t, token), change)
		for _, request.Tenant = range []string{"", slug} {
			refused := s.app.Do(request)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.Code, refused.Raw)
		}
	}
	require.Contains(t, s.app.Get(tenantPath, token).Raw, `"registration":"open"`, "nothing has happened yet")

	request.Token, request.Tenant = token, ""
	own := s.app.Do(request)
	require.Less(t, own.Code, 300, own.Raw)
	require.JSONEq(t, before, s.app.Get(tenantPath, elsewhere).Raw)
	require.Equal(t, http.StatusOK, s.app.Get(profilePath, elsewhere).Code)
}

func refreshesInOne(t *testing.T, s *stage) {
	t.Helper()
	acme, globex := login(t, s.app, "acme", "grace@example.com"), login(t, s.app, "globex", "grace@example.com")
	request := testkit.Refreshing(acme.refresh)
	request.Path, request.Token, request.Tenant = s.path+"?tenant=globex", s.globex, "globex"
	s.app.Do(request).RequireProblem(s.app, 403, "tenant_token_required", "Tenant authentication required for this tenant")

	// The first 32 of its letters say where it is kept, and for which session.
	const head = len("mtr_") + 32
	requireNoRefresh(t, s.app, globex.refresh[:head]+acme.refresh[head:])
	request.Tenant = ""
	require.Equal(t, "acme", claimsOf(t, tokensOf(t, s.app, s.app.Do(request)).access)["tenant"])
	requireLives(t, s.app, renew(t, s.app, globex.refresh))
}
