package tests_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// badAddresses are no e-mail addresses that may be registered.
func badAddresses() []string {
	local64, label63 := strings.Repeat("l", 64), strings.Repeat("d", 63)
	addresses := []string{
		"", " ", "@", "ada", "ada@", "@example.com", "ada@@example.com", "ada@b@example.com", "ada example.com", "ada.example.com",
		"ada@example", "ada@localhost", "ada@.com", "ada@example.", "ada@example..com", "ada@.example.com", "ada@example.com.",
		".ada@example.com", "ada.@example.com", "a..da@example.com", ".@example.com", "ada @example.com", "ada@ example.com",
		"ada@example .com", "a da@example.com", "ada\t@example.com", "ada\n@example.com", "ada@example.com\r\nBcc: x@y.zz",
		`"ada"@example.com`, `"a d a"@example.com`, `"ada\"@x.yz"@example.com`, `ada\@b@example.com`, "ada(comment)@example.com",
		"ada@example.com(comment)", "Ada <ada@example.com>", "<ada@example.com>", "ada@example.com,grace@example.com",
		"ada@example.com;grace@example.com", "ada@example.com grace@example.com", "mailto:ada@example.com", "a,b@example.com",
		"a;b@example.com", "a:b@example.com", "a<b@example.com", "a[b@example.com", "a\\b@example.com", "a\"b@example.com",
		"ada@[127.0.0.1]", "ada@[IPv6:::1]", "ada@127.0.0.1:80", "ada@exa_mple.com", "ada@-example.com", "ada@example-.com",
		"ada@example.-com", "ada@example.com-", "ada@exam!ple.com", "ada@exam/ple.com", "ada@example.com/", "ada@example.com?x=y",
		"ada@exam%70le.com", "ada@example,com", "ada@exämple.com", "ädä@example.com", "ada@例え.jp", "аda@example.com", "ada＠example.com",
		"ada@example。com", "ada\u200b@example.com", "ada@exam\u00adple.com", "🐎@example.com", "ada\x00@example.com", "ada@example.com\x00",
		"\x00", "ada@exam\x01ple.com", "ada\x7f@example.com", "ada\uFFFD@example.com", local64 + "l@example.com", "ada@" + label63 + "d.com",
		"ada@" + strings.Repeat("d.", 126) + "com", local64 + "@" + label63 + "." + label63 + "." + strings.Repeat("d", 62), "ada@com@",
		strings.Repeat("a", 5000) + "@example.com", "ada@" + strings.Repeat("a", 5000) + ".com", strings.Repeat("@", 300),
		"'; DROP TABLE core_users; --", "ada@example.com' OR '1'='1", "${jndi:ldap://x/y}@example.com", "null", "undefined", "0",
	}
	symbols := strings.Split("()<>[]:;,\\\" ", "")
	for i, symbol := range symbols {
		symbols[i] = "a" + symbol + "a@example.com"
		addresses = append(addresses, "ada@ex"+symbol+"ample.com")
	}
	return append(addresses, symbols...)
}

func TestAddressesThatAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "fresh"} {
			for _, address := range badAddresses() {
				refused := app.Register(tenant, address)
				refused.RequireInvalid(app, map[string]string{"email": "invalid_email"})
				require.NotContains(t, refused.Raw, "DROP")
			}
		}
		require.Zero(t, count(t, app, &models.CoreUser{}))
		require.Empty(t, app.Settings.Databases(t))
	})
}

func TestAddressesThatAreTaken(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		local64, label63 := strings.Repeat("l", 64), strings.Repeat("d", 63)
		for _, address := range []string{
			"a@b.c", "a@b.cc", "1@2.3", "ada.lovelace+tag@mail.example.co.uk", "!#$%&'*+-/=?^_`{|}~@example.com", "a--b@example.com",
			"ada@xn--exmple-cua.com", "ada@ex--ample.com", "ada@123.456", local64 + "@example.com", "ada@" + label63 + ".com",
			local64 + "@" + label63 + "." + label63 + "." + strings.Repeat("d", 61), "-@example.com", "'@example.com",
		} {
			registered := app.Register("", address)
			require.Equal(t, http.StatusOK, registered.Code, "%s: %s", address, registered.Raw)
			require.Equal(t, address, registered.Text(app, "email"))
			require.Equal(t, http.StatusOK, app.Login("", strings.ToUpper(address)).Code, address)
		}
	})
}

// field is one field of one request, with what it takes and what it does not.
type field struct {
	name     string
	limit    int // in characters
	required bool
	nullable bool
}

type form struct {
	name    string
	request testkit.Request
	good    testkit.JSON
	fields  []field
}

func forms(core, member string) []form {
	account := testkit.JSON{"email": "new@example.com", "password": testkit.Password}
	return []form{
		{
			name: "register", request: testkit.Request{Method: http.MethodPost, Path: "/api/auth/register"}, good: account,
			fields: []field{{name: "email", required: true}, {name: "password", required: true}, {name: "full_name", limit: 200, nullable: true}},
		},
		{
			name: "login", request: testkit.Request{Method: http.MethodPost, Path: "/api/auth/login"}, good: account,
			fields: []field{{name: "email", required: true}, {name: "password", required: true}},
		},
		{
			name: "refresh", request: testkit.Request{Method: http.MethodPost, Path: "/api/auth/refresh"}, good: testkit.JSON{},
			fields: []field{{name: "refresh_token", required: true}},
		},
		{
			name: "change password", request: testkit.Request{Method: http.MethodPut, Path: passwordPath, Token: core},
			good:   testkit.JSON{"current_password": testkit.Password, "new_password": newPassword},
			fields: []field{{name: "current_password", required: true}, {name: "new_password", required: true}},
		},
		{
			name: "create organization", request: testkit.Request{Method: http.MethodPost, Path: organizationsPath, Token: core},
			good: testkit.JSON{"name": "Acme", "slug": "not-made"},
			fields: []field{
				{name: "name", limit: 200, required: true}, {name: "slug", required: true}, {name: "description", limit: 2000, nullable: true},
			},
		},
		{
			name: "change organization", request: testkit.Request{Method: http.MethodPut, Path: organizationsPath + "acme", Token: core},
			good: testkit.JSON{}, fields: []field{{name: "name", limit: 200}, {name: "description", limit: 2000, nullable: true}},
		},
		{
			name: "change profile", request: testkit.Request{Method: http.MethodPut, Path: profilePath, Token: core},
			good: testkit.JSON{}, fields: []field{{name: "full_name", limit: 200, nullable: true}},
		},
		{
			name: "change member's profile", request: testkit.Request{Method: http.MethodPut, Path: profilePath, Token: member},
			good: testkit.JSON{}, fields: []field{
				{name: "full_name", limit: 200, nullable: true}, {name: "bio", limit: 2000, nullable: true}, {name: "phone", limit: 32, nullable: true},
			},
		},
	}
}

// TestFieldsThatAreRefused sends every field of every request what it does not
// take, one at a time, and makes sure that nothing is changed.
func TestFieldsThatAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		state := func() string {
			return app.Get(profilePath, core).Raw + app.Get(profilePath, member).Raw + app.Get(organizationsPath, core).Raw
		}
		before := state()
		for _, form := range forms(core, member) {
			for _, field := range form.fields {
				t.Run(form.name+", "+field.name, func(t *testing.T) {
					refuseField(t, app.For(t), form, field)
				})
			}
		}
		require.Equal(t, before, state())
		require.EqualValues(t, 1, count(t, app, &models.CoreUser{}))
		require.EqualValues(t, 2, count(t, app, &models.Tenant{}))
	})
}

func refuseField(t *testing.T, app *testkit.App, form form, field field) {
	t.Helper()
	send := func(json string) testkit.Response {
		request := form.request
		request.Body = bodyWith(form.good, field.name, json)
		return app.Do(request)
	}
	for _, value := range []string{"1", "-1.5e3", "true", "false", "[]", `["a"]`, "{}", `{"a":"b"}`, `[[]]`} {
		send(value).RequireInvalid(app, map[string]string{field.name: "wrong_type"})
	}
	text := "invalid_text"
	if field.name == "email" && form.name == "register" {
		text = "invalid_email"
	}
	for _, value := range []string{
		`"\u0000"`, `"before\u0000behind"`, `"12345678\u0000"`, `"\ud800"`, `"12345678\udc00"`, `"\udc00\ud800"`, `"\ud83dx1234567"`,
		`"12345678\ufffd"`, "\"12345678\uFFFD\"",
	} {
		send(value).RequireInvalid(app, map[string]string{field.name: text})
	}
	if !field.nullable {
		send("null").RequireInvalid(app, map[string]string{field.name: "required"})
	}
	if field.required {
		send("").RequireInvalid(app, map[string]string{field.name: "required"})
	}
	if field.limit > 0 {
		send(`"`+strings.Repeat("x", field.limit+1)+`"`).RequireInvalid(app, map[string]string{field.name: "too_long"})
		send(`"`+strings.Repeat("é", field.limit+1)+`"`).RequireInvalid(app, map[string]string{field.name: "too_long"})
	}
	if field.name == "name" {
		for _, blank := range []string{"", " ", `\t\n\r`, "\u00a0\u2003"} {
			send(`"`+blank+`"`).RequireInvalid(app, map[string]string{field.name: "blank"})
		}
	}
}

// bodyWith returns the object with the field set to what is written, or left
// out where that is nothing.
func bodyWith(good testkit.JSON, name, json string) string {
	var members []string
	for other, value := range good {
		if other != name {
			members = append(members, fmt.Sprintf("%q:%q", other, value))
		}
	}
	if json != "" {
		members = append(members, fmt.Sprintf("%q:%s", name, json))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// TestTheLongestTextsAreTaken, counted in characters.
func TestTheLongestTextsAreTaken(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		for _, form := range forms(core, member)[5:] {
			for _, field := range form.fields {
				for _, letter := range []string{"x", "é", "🐎"} {
					want := strings.Repeat(letter, field.limit)
					request := form.request
					request.Body = testkit.JSON{field.name: want}
					changed := app.Do(request)
					require.Equal(t, http.StatusOK, changed.Code, changed.Raw)
					require.Equal(t, want, app.Get(request.Path, request.Token).Text(app, field.name))
				}
			}
		}
	})
}

// TestAllThatIsWrongIsReportedAtOnce.
func TestAllThatIsWrongIsReportedAtOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		long := strings.Repeat("x", 2001)
		app.Post("/api/auth/register", "", testkit.JSON{"full_name": long}).RequireInvalid(app, map[string]string{
			"email": "required", "password": "required", "full_name": "too_long",
		})
		app.Post("/api/auth/register", "", testkit.JSON{"email": "x", "password": "x"}).RequireInvalid(app, map[string]string{
			"email": "invalid_email", "password": "too_short",
		})
		app.Post("/api/auth/login", "", testkit.JSON{}).RequireInvalid(app, map[string]string{"email": "required", "password": "required"})
		app.Post(organizationsPath, core, testkit.JSON{"description": long}).RequireInvalid(app, map[string]string{
			"name": "required", "slug": "required", "description": "too_long",
		})
		app.Put(profilePath, member, testkit.JSON{"full_name": 1, "bio": long, "phone": long}).RequireInvalid(app, map[string]string{
			"full_name": "wrong_type", "bio": "too_long", "phone": "too_long",
		})
		for value, code := range map[any]string{"true": "wrong_type", 1: "wrong_type", nil: "required"} {
			app.Put(organizationsPath+"acme", core, testkit.JSON{"is_active": value, "name": " "}).RequireInvalid(app, map[string]string{
				"is_active": code, "name": "blank",
			})
		}
		require.Equal(t, true, app.Get(organizationsPath+"acme", core).Object(app)["is_active"])
	})
}
