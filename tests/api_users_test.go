package tests_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const usersPath = "/api/users/"

// tenantUser is a user of acme.
type tenantUser struct {
	id     int
	email  string
	path   string
	tokens tokens
}

// staff is an organization with one of each role. Its owner is the core user ada.
type staff struct {
	core                 string // ada's token at the core
	owner, admin, member tenantUser
}

func staffOf(t *testing.T, app *testkit.App) *staff {
	t.Helper()
	s := &staff{core: app.Token("", "ada@example.com")}
	app.Organization(s.core, "acme")
	s.owner = insider(t, app, "ada@example.com")
	s.admin = hire(t, app, s.owner, "alan@example.com", "admin")
	s.member = hire(t, app, s.owner, "grace@example.com", "member")
	return s
}

// hire makes somebody in acme and logs them in.
func hire(t *testing.T, app *testkit.App, by tenantUser, email, role string) tenantUser {
	t.Helper()
	made := app.Post(usersPath, by.tokens.access, newcomer(email, role))
	require.Equal(t, http.StatusCreated, made.Code, made.Raw)
	return insider(t, app, email)
}

func newcomer(email, role string) testkit.JSON {
	return testkit.JSON{"email": email, "password": testkit.Password, "role": role}
}

// insider logs somebody in to acme.
func insider(t *testing.T, app *testkit.App, email string) tenantUser {
	t.Helper()
	p := tenantUser{email: email, tokens: login(t, app, "acme", email)}
	require.NoError(t, json.Unmarshal([]byte(app.Get(profilePath, p.tokens.access).Raw), &struct{ ID *int }{&p.id}))
	p.path = fmt.Sprintf("%s%d", usersPath, p.id)
	return p
}

// found returns the addresses in a page of the list, and the next cursor.
func found(t *testing.T, app *testkit.App, by tenantUser, query string) (emails []string, next string) {
	t.Helper()
	answer := app.Get(usersPath+query, by.tokens.access)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	var page struct {
		Items      []struct{ Email string }
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(answer.Raw), &page))
	emails = make([]string, 0, len(page.Items))
	for _, item := range page.Items {
		emails = append(emails, item.Email)
	}
	return emails, page.NextCursor
}

func requireRole(t *testing.T, app *testkit.App, by, of tenantUser, role string) {
	t.Helper()
	require.Equal(t, role, app.Get(of.path, by.tokens.access).Text(app, "role"))
}

func TestUsersAreMade(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		for i, path := range []string{"/api/users", "/api/users/"} {
			email := fmt.Sprintf("New.%d@Example.com", i)
			made := app.Post(path, s.owner.tokens.access, testkit.JSON{
				"email": " " + email + " ", "password": testkit.Password, "full_name": "N", "bio": "b", "phone": "p", "role": "admin",
				"id": 99, "is_active": false, "core_user_id": 1, "hashed_password": "x",
			})
			require.Equal(t, http.StatusCreated, made.Code, made.Raw)
			body := made.Object(app)
			require.Equal(t, fmt.Sprintf("%s%v", usersPath, body["id"]), made.Header.Get("Location"))
			require.JSONEq(t, made.Raw, app.Get(made.Header.Get("Location"), s.owner.tokens.access).Raw)
			require.Equal(t, []any{email, "N", "b", "p", "admin", true},
				[]any{body["email"], body["full_name"], body["bio"], body["phone"], body["role"], body["is_active"]})
			require.NotEqual(t, 99.0, body["id"])
			require.JSONEq(t, made.Raw, app.Get(profilePath, app.TokenOf("acme", strings.ToLower(email))).Raw)
		}
		for i, body := range []testkit.JSON{{}, {"role": nil, "full_name": nil, "bio": nil}, {"role": "member"}} {
			body["email"], body["password"] = fmt.Sprintf("member%d@example.com", i), testkit.Password
			require.Equal(t, "member", app.Post(usersPath, s.admin.tokens.access, body).Text(app, "role"))
		}
		require.NotContains(t, app.Log.String(), testkit.Password)
		require.NotContains(t, app.Log.String(), "$2a$")
		require.Zero(t, testkit.Scalar[int](t, &app.Settings, app.Settings.CoreName(),
			"SELECT count(*) FROM core_users WHERE email <> 'ada@example.com'"), "they are the tenant's alone")
	})
}

func TestUsersWhoCannotBeMade(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		before, _ := found(t, app, s.owner, "")
		for _, taken := range []string{"grace@example.com", "GRACE@Example.com", "ada@example.com"} {
			app.Post(usersPath, s.owner.tokens.access, newcomer(taken, "member")).
				RequireProblem(app, 400, "email_taken", "Email already registered")
		}
		for body, want := range map[string]map[string]string{
			`{}`: {"email": "required", "password": "required"},
			`{"email":"x","password":"short","full_name":"` + strings.Repeat("n", 201) + `","bio":"` + strings.Repeat("b", 2001) +
				`","phone":"` + strings.Repeat("1", 33) + `","role":"root"}`: {
				"email": "invalid_email", "password": "too_short", "full_name": "too_long", "bio": "too_long",
				"phone": "too_long", "role": "invalid_role",
			},
			`{"email":"new@example.com","password":"NEW@example.com"}`:                         {"password": "same_as_email"},
			`{"email":"new@example.com","password":"` + strings.Repeat("é", 37) + `"}`:         {"password": "too_long"},
			`{"email":"new@example.com","password":"correct horse battery","role":1}`:          {"role": "wrong_type"},
			`{"email":"new@example.com","password":"correct horse battery","role":""}`:         {"role": "invalid_role"},
			`{"email":"new@example.com","password":"correct horse battery","role":"Owner"}`:    {"role": "invalid_role"},
			`{"email":"new@example.com","password":"correct horse battery","bio":"a\u0000b"}`:  {"bio": "invalid_text"},
			`{"email":"new@example.com","password":"correct horse battery","role":["member"]}`: {"role": "wrong_type"},
		} {
			app.Post(usersPath, s.owner.tokens.access, body).RequireInvalid(app, want)
		}
		app.Post(usersPath, s.owner.tokens.access, "[]").RequireProblem(app, 422, "malformed_body", "Malformed request body")
		app.Post(usersPath, s.admin.tokens.access, newcomer("boss@example.com", "owner")).
			RequireProblem(app, 403, "role_required", "Not allowed for your role")
		after, _ := found(t, app, s.owner, "")
		require.Equal(t, before, after)
	})
}

func TestUsersAreListed(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		all := append(make([]string, 0, 9), "ada@example.com", "alan@example.com", "grace@example.com")
		for i, name := range []string{`100%`, `a_b`, `back\slash`, `İstanbul ÉCLAIR`, "éclair", `o'Brien "x"`} {
			email := fmt.Sprintf("n%d@example.com", i)
			body := newcomer(email, "member")
			body["full_name"] = name
			require.Equal(t, http.StatusCreated, app.Post(usersPath, s.admin.tokens.access, body).Code)
			all = append(all, email)
		}
		for query, want := range map[string][]string{
			"": all, "example": all, "EXAMPLE.com": all, "@": all, "nobody": {},
			"aDa@": all[:1], "N4@": all[7:8],
			"%": all[3:4], "_": all[4:5], `\`: all[5:6], "%%": {}, "a%": {}, "0%": all[3:4], "A_B": all[4:5], `K\S`: all[5:6],
			"ÉCLAIR": all[6:7], "Éclair": all[6:7], "éCLAIR": all[7:8], "clair": all[6:8], "İSTANBUL": all[6:7], "istanbul": {},
			"o'b": all[8:], `"X"`: all[8:], "' OR 1=1 --": {}, "hashed": {}, "$2a$": {}, "SOMEBODY": all[:1],
		} {
			got, _ := found(t, app, s.admin, "?q="+url.QueryEscape(query))
			require.Equal(t, want, got, query)
		}
		for _, path := range []string{"", "&q=EXAMPLE"} {
			var seen []string
			cursor := ""
			for range all {
				emails, next := found(t, app, s.owner, "?limit=2"+path+cursor)
				seen = append(seen, emails...)
				cursor = "&cursor=" + next
				if next == "" {
					break
				}
			}
			require.Equal(t, all, seen)
		}
		require.JSONEq(t, app.Get("/api/users?limit=3", s.owner.tokens.access).Raw, app.Get("/api/users/?limit=3", s.owner.tokens.access).Raw)
	})
}

// TestUsersAreFoundAlike wherever the database lowers more letters than ASCII's.
func TestUsersAreFoundAlike(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	name := settings.CoreName() + "_utf8"
	settings.Administer(t, "CREATE DATABASE "+name+" OWNER "+appRole(t, &settings)+
		" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
	t.Cleanup(func() { settings.Administer(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	settings.Database.URL = replaceDatabase(t, settings.Database.URL, name)
	app := testkit.Start(t, settings)
	owner := tenantUser{tokens: tokens{access: app.Token("acme", "ada@example.com")}}
	require.Equal(t, "é", testkit.Scalar[string](t, &settings, settings.DatabaseName("acme"), "SELECT lower('É')"))
	app.Put(profilePath, owner.tokens.access, testkit.JSON{"full_name": "İstanbul ÉCLAIR"})
	for query, want := range map[string]int{"Éclair": 1, "İSTANBUL": 1, "éclair": 0, "i̇stanbul": 0} {
		emails, _ := found(t, app, owner, "?q="+url.QueryEscape(query))
		require.Len(t, emails, want, query)
	}
}

func TestListsOfUsersThatAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		token := app.Token("acme", "ada@example.com")
		for query, want := range map[string]map[string]string{
			"q=" + strings.Repeat("x", 101): {"q": "too_long"},
			"q=%00":                         {"q": "invalid_text"},
			"q=%ff":                         {"q": "invalid_text"},
			"limit=0":                       {"limit": "out_of_range"},
			"limit=101":                     {"limit": "out_of_range"},
			"cursor=nonsense!":              {"cursor": "invalid_cursor"},
		} {
			app.Get(usersPath+"?"+query, token).RequireInvalid(app, want)
		}
		for _, cursor := range []string{"LTE", "MjE0NzQ4MzY0OA", "OTIyMzM3MjAzNjg1NDc3NTgwNw"} { // -1, 2^31, 2^63-1
			require.Equal(t, http.StatusOK, app.Get(usersPath+"?cursor="+cursor, token).Code)
		}
		require.Equal(t, http.StatusOK, app.Get(usersPath+"?q="+strings.Repeat("%C3%A9", 100), token).Code)
	})
}

func TestUsersWhoAreNotThere(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		token := app.Token("acme", "ada@example.com")
		for _, id := range []string{
			"999", "0", "-1", "2147483647", "2147483648", "9223372036854775808", "x", "1x", "1.0", "0x1", "%20", "1%20", "' OR 1=1",
			"%00", "%ff", "%F0%9F%90%8E", "null",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				app.Do(testkit.Request{
					Method: method, Path: usersPath + strings.ReplaceAll(id, " ", "%20"), Token: token, Body: testkit.JSON{"role": "admin"},
				}).RequireProblem(app, 404, "user_not_found", "User not found")
			}
		}
		require.Equal(t, "owner", app.Get(profilePath, token).Text(app, "role"))
		for _, method := range []string{http.MethodDelete, http.MethodPatch} { // me is no id
			answer := app.Do(testkit.Request{Method: method, Path: profilePath, Token: token})
			answer.RequireProblem(app, 405, "method_not_allowed", "Method Not Allowed")
			require.Equal(t, "GET, HEAD, PUT", answer.Header.Get("Allow"))
		}
	})
}

func TestUsersAreChanged(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		for _, step := range []struct{ body, want testkit.JSON }{
			{testkit.JSON{}, testkit.JSON{"full_name": nil, "bio": nil, "phone": nil, "role": "member", "is_active": true}},
			{testkit.JSON{"full_name": "Grace", "bio": "b", "phone": "p"}, testkit.JSON{"full_name": "Grace", "bio": "b", "phone": "p"}},
			{testkit.JSON{"role": "admin"}, testkit.JSON{"full_name": "Grace", "role": "admin"}},
			{testkit.JSON{"full_name": nil, "phone": nil}, testkit.JSON{"full_name": nil, "bio": "b", "phone": nil, "role": "admin"}},
			{
				testkit.JSON{"role": "member", "email": "x@example.com", "password": "another password", "id": 1, "core_user_id": 1},
				testkit.JSON{"role": "member", "email": "grace@example.com", "id": float64(s.member.id), "bio": "b"},
			},
		} {
			changed := app.Put(s.member.path, s.admin.tokens.access, step.body)
			require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
			for field, want := range step.want {
				require.Equal(t, want, changed.Object(app)[field], "%s: %s", field, changed.Raw)
			}
			require.JSONEq(t, changed.Raw, app.Get(s.member.path, s.owner.tokens.access).Raw)
			require.JSONEq(t, changed.Raw, app.Get(profilePath, s.member.tokens.access).Raw)
		}
		for body, want := range map[string]map[string]string{
			`{"is_active":null,"role":null}`:              {"is_active": "required", "role": "required"},
			`{"is_active":"no","role":1,"bio":[]}`:        {"is_active": "wrong_type", "role": "wrong_type", "bio": "wrong_type"},
			`{"role":"root","full_name":"\u0000"}`:        {"role": "invalid_role", "full_name": "invalid_text"},
			`{"phone":"` + strings.Repeat("1", 33) + `"}`: {"phone": "too_long"},
		} {
			app.Put(s.member.path, s.owner.tokens.access, body).RequireInvalid(app, want)
		}
	})
}
