package tests_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/docs"
	"multitenant/tests/testkit"
)

// refusal is a request that is answered 403.
type refusal struct {
	code    string
	request testkit.Request
	by      tenantUser // nobody where it has no token
	tenant  string     // of the user; empty at the core
	action  string     // on record; empty where the user is unknown
}

// refusals has one for each code at least. acme is suspended, globex is not, hooli is closed
// and initech by invitation.
func refusals(t *testing.T, app *testkit.App) []refusal {
	t.Helper()
	s := staffOf(t, app)
	core := tenantUser{id: 1, email: "ada@example.com", tokens: tokens{access: s.core}}
	for slug, mode := range map[string]string{"globex": "open", "hooli": "closed", "initech": "invite"} {
		made := app.Post(organizationsPath, s.core, testkit.JSON{"name": slug, "slug": slug, "registration": mode})
		require.Equal(t, http.StatusOK, made.Code, made.Raw)
	}
	member := tenantUser{id: 2, email: "grace@example.com", tokens: tokens{access: app.Token("globex", "grace@example.com")}}
	inGlobex := tenantUser{id: 1, email: "ada@example.com", tokens: tokens{access: app.TokenOf("globex", "ada@example.com")}}
	require.Equal(t, http.StatusOK, app.Put(organizationsPath+"acme", s.core, testkit.JSON{"is_active": false}).Code)
	request := func(method, path, tenant string) testkit.Request {
		return testkit.Request{Method: method, Path: path, Tenant: tenant}
	}
	const refused, login = "request.refused", "user.sign_in_refused"
	return []refusal{
		{"not_authenticated", request("GET", profilePath, ""), tenantUser{}, "", ""},
		{"tenant_suspended", request("GET", profilePath, ""), s.member, "acme", refused},
		{"tenant_suspended", request("POST", organizationsPath+"acme/token", ""), core, "", refused},
		{"tenant_suspended", testkit.Request{
			Method: "POST", Path: "/api/auth/login", Tenant: "acme", Body: testkit.JSON{"email": s.member.email, "password": testkit.Password},
		}, tenantUser{id: s.member.id, email: s.member.email}, "acme", login},
		{"tenant_token_required", request("GET", profilePath, "acme"), member, "globex", refused},
		{"tenant_token_required", request("GET", usersPath, ""), core, "", refused},
		{"core_token_required", request("GET", organizationsPath, ""), member, "globex", refused},
		{"core_token_required", request("DELETE", tenantPath, ""), inGlobex, "globex", refused},
		{"role_required", request("GET", usersPath+"1", ""), member, "globex", refused},
		{"role_required", testkit.Request{Method: "POST", Path: usersPath, Body: testkit.JSON{}}, member, "globex", refused},
		{"core_password", request("POST", usersPath+"1/password-reset", ""), inGlobex, "globex", refused},
		{"invalid_invitation", accepting("globex", "new@example.com", "nonsense"), tenantUser{}, "globex", ""},
		{"invitation_required", testkit.Registration("initech", "new@example.com"), tenantUser{}, "initech", ""},
		{"registration_closed", testkit.Registration("hooli", "new@example.com"), tenantUser{}, "hooli", ""},
	}
}

// forbiddenCodes are all codes that the document has with the status 403.
func forbiddenCodes(t *testing.T) (codes []string) {
	t.Helper()
	raw, err := docs.OpenAPI()
	require.NoError(t, err)
	var document struct {
		Components struct {
			Examples map[string]struct {
				Value struct {
					Status int
					Code   string
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(raw, &document))
	for _, example := range document.Components.Examples {
		if example.Value.Status == http.StatusForbidden {
			codes = append(codes, example.Value.Code)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// TestEvery403NamesItsActor in the log and, where a user is known, on record in the user's
// own database, once.
func TestEvery403NamesItsActor(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		all := refusals(t, app)
		kept := trailsOf(t, app, "", "acme", "globex", "hooli", "initech")
		walked := make([]string, 0, len(all))
		for i := range all {
			walked = append(walked, all[i].code)
			requireNamed(t, app, kept, &all[i])
		}
		slices.Sort(walked)
		require.Equal(t, forbiddenCodes(t), slices.Compact(walked), "there is no refusal of this code in the table")
	})
}

// trails are the audit trails of the core and of tenants, each read in one session: a
// session takes longer than what is read in it.
type trails map[string]*sql.Conn

func trailsOf(t *testing.T, app *testkit.App, tenants ...string) trails {
	t.Helper()
	all := make(trails, len(tenants))
	for _, tenant := range tenants {
		session, err := app.Settings.SQL(t, databaseOf(app, tenant)).Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, session.Close()) })
		all[tenant] = session
	}
	return all
}

// refused counts the refusals on record.
func (all trails) refused(t *testing.T) (total int) {
	t.Helper()
	for _, session := range all {
		var n int
		require.NoError(t, session.QueryRowContext(t.Context(), "SELECT count(*) FROM audit_events WHERE outcome = 'refused'").Scan(&n))
		total += n
	}
	return total
}

func requireNamed(t *testing.T, app *testkit.App, kept trails, r *refusal) {
	t.Helper()
	before := kept.refused(t)
	r.request.Token = r.by.tokens.access
	answer := app.Do(r.request)
	require.Equal(t, http.StatusForbidden, answer.Code, "%s: %s", r.code, answer.Raw)
	require.Contains(t, answer.Raw, `"code":"`+r.code+`"`)

	line := logLine(t, app, answer)
	require.Contains(t, line, " code="+r.code+" ")
	require.Contains(t, line, " route=/")
	if r.action == "" {
		require.NotContains(t, line, "user_id=")
		require.Equal(t, before, kept.refused(t), "%s: no user is known", r.code)
		return
	}
	require.Contains(t, line, fmt.Sprintf(" user_id=%d ", r.by.id))
	if r.tenant != "" {
		require.Contains(t, line, " user_tenant="+r.tenant+" ")
	}
	require.Equal(t, before+1, kept.refused(t), r.code)
	var named string
	require.NoError(t, kept[r.tenant].QueryRowContext(t.Context(),
		"SELECT action || ' ' || actor || ' ' || actor_id FROM audit_events WHERE outcome = 'refused' AND request_id = '"+
			answer.Header.Get("X-Request-Id")+"' AND detail LIKE '"+r.code+"%'").Scan(&named))
	require.Equal(t, fmt.Sprintf("%s %s %d", r.action, r.by.email, r.by.id), named)
}

// TestRefusalsAreShown to those who read the audit of that database, with the route.
func TestRefusalsAreShown(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		app.Get(usersPath+"7?q=typed", s.member.tokens.access)
		app.Get(usersPath, s.core)
		require.Equal(t, []string{"request.refused refused by grace to nothing role_required GET /api/users/:id"},
			audited(t, app, s.owner.tokens.access, "?action=request.refused"))
		require.Equal(t, []string{"request.refused refused by ada to nothing tenant_token_required GET /api/users/"},
			audited(t, app, s.core, "?action=request.refused"))
	})
}

// TestRefusalsDoNotFillTheAudit: a user's refusals on record are bounded as their changes
// are, and one whose session has ended adds none. The log has all.
func TestRefusalsDoNotFillTheAudit(t *testing.T) {
	eachLimited(t, func(o *limits.Options) { o.WritesPerMinute = 4 }, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		ended := s.admin.tokens.access
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), fmt.Sprintf("DELETE FROM sessions WHERE user_id = %d", s.admin.id))
		for range 9 {
			for _, path := range []string{usersPath, organizationsPath} {
				answer := app.Get(path, s.member.tokens.access)
				require.Equal(t, http.StatusForbidden, answer.Code)
				require.Contains(t, logLine(t, app, answer), fmt.Sprintf(" user_id=%d user_tenant=acme ", s.member.id))
			}
			require.Equal(t, http.StatusForbidden, app.Get(organizationsPath, ended).Code)
		}
		require.Equal(t, 4, countAudit(t, app, "acme", "request.refused"))
		answer := app.Put(profilePath, s.member.tokens.access, testkit.JSON{})
		require.Equal(t, http.StatusTooManyRequests, answer.Code, answer.Raw)
		require.Equal(t, http.StatusForbidden, app.Get(usersPath, s.core).Code)
		require.Equal(t, 1, countAudit(t, app, "", "request.refused"), "another user is not held up")
	})
}
