package tests_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const kib = 1 << 10

// malformedBodies are no single JSON object.
func malformedBodies() map[string]string {
	good := `{"email":"a@example.com","password":"correct horse","name":"Acme","slug":"not-made"}`
	return map[string]string{
		"nothing":               "",
		"spaces":                " \t\r\n",
		"null":                  "null",
		"true":                  "true",
		"number":                "1",
		"text":                  `"text"`,
		"empty array":           "[]",
		"array of one":          "[" + good + "]",
		"not JSON":              "email=a@example.com&password=x",
		"XML":                   "<email>a@example.com</email>",
		"open":                  "{",
		"closed":                "}",
		"cut in the midst":      good[:len(good)/2],
		"without its end":       strings.TrimSuffix(good, "}"),
		"comma at its end":      strings.TrimSuffix(good, "}") + ",}",
		"two objects":           good + good,
		"two lines":             good + "\n" + good,
		"a word behind":         good + " x",
		"a brace behind":        good + "}",
		"null behind":           good + "null",
		"NUL behind":            good + "\x00",
		"NUL before":            "\x00" + good,
		"NUL within":            `{"email":"a` + "\x00" + `@example.com"}`,
		"comment":               "/* */" + good,
		"comment behind":        good + "// x",
		"byte order mark":       "\ufeff" + good,
		"no-break space":        "\u00a0" + good,
		"UTF-16":                "\xff\xfe{\x00}\x00",
		"single quotes":         `{'email':'a@example.com'}`,
		"no quotes":             `{email:"a@example.com"}`,
		"key is a number":       `{1:"a"}`,
		"no colon":              `{"email" "a"}`,
		"no value":              `{"email":}`,
		"NaN":                   `{"email":NaN}`,
		"hexadecimal":           `{"email":0x10}`,
		"leading zero":          `{"email":01}`,
		"bad escape":            `{"email":"\x41"}`,
		"half an escape":        `{"email":"\u12"}`,
		"line feed in a text":   "{\"email\":\"a\n\"}",
		"not UTF-8":             "{\"email\":\"a\xff@example.com\"}",
		"not UTF-8 in a name":   "{\"e\xffmail\":1}",
		"not UTF-8, unused":     strings.TrimSuffix(good, "}") + ",\"x\":\"\xc3\x28\"}",
		"overlong UTF-8":        "{\"email\":\"\xc0\x80\"}",
		"surrogate in UTF-8":    "{\"email\":\"\xed\xa0\x80\"}",
		"9 deep":                strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + "}",
		"9 deep of objects":     strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat(`{"x":`, 8) + "1" + strings.Repeat("}", 8) + "}",
		"10,000 deep":           strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}",
		"deep and never closed": `{"x":` + strings.Repeat("[", 30_000),
		"objects never closed":  strings.Repeat(`{"x":`, 10_000),
	}
}

// TestMalformedBodiesAreRefused wherever a body is read.
func TestMalformedBodiesAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		for name, body := range malformedBodies() {
			t.Run(name, func(t *testing.T) {
				app := app.For(t)
				for _, form := range forms(core, member) {
					request := form.request
					request.Body = body
					answer := app.Do(request)
					answer.RequireProblem(app, 422, "malformed_body", "Malformed request body")
					require.Contains(t, answer.Raw, `"field":"body"`)
				}
			})
		}
		require.Equal(t, "Somebody", app.Get(profilePath, member).Text(app, "full_name"))
	})
}

// TestBodiesThatAreTaken although they look odd.
func TestBodiesThatAreTaken(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		for body, want := range map[string]string{
			" \t\r\n{\"full_name\":\"spaces\"}\n\n":          "spaces",
			`{"full_name":"first","full_name":"last"}`:       "last",
			`{"FULL_NAME":"capitals"}`:                       "capitals",
			`{"full_name":"\ud83d\udc0e"}`:                   "🐎",
			`{"full_name":"\u0001\u007f"}`:                   "\u0001\u007f",
			`{"full_name":"<b>&amp;</b>\u2028"}`:             "<b>&amp;</b>\u2028",
			`{"full_name":"8 deep","x":[[[[[[[]]]]]]]}`:      "8 deep",
			`{"full_name":"unused","x":1e999,"email":[1,2]}`: "unused",
			`{"":"","full_name":"nameless"}`:                 "nameless",
		} {
			changed := app.Put(profilePath, core, body)
			require.Equal(t, http.StatusOK, changed.Code, "%s: %s", body, changed.Raw)
			require.Equal(t, want, changed.Text(app, "full_name"))
		}
	})
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		padded := func(size int) string { return `{"full_name":"x"}` + strings.Repeat(" ", size-len(`{"full_name":"x"}`)) }

		largest := app.Put(profilePath, core, padded(64*kib))
		require.Equal(t, http.StatusOK, largest.Code, largest.Raw)
		for _, form := range forms(core, member) {
			for name, body := range map[string]string{
				"a byte": padded(64*kib + 1), "much": padded(1024 * kib), "not JSON": strings.Repeat("x", 65*kib),
			} {
				request := form.request
				request.Body = body
				tooLarge := app.Do(request)
				require.Equal(t, http.StatusRequestEntityTooLarge, tooLarge.Code, "%s: %s, %s", form.name, name, tooLarge.Raw)
				tooLarge.RequireProblem(app, 413, "body_too_large", "Request body too large")
			}
		}
		// A reader of unknown length is sent in chunks, which do not say the size.
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, app.URL+"/api/auth/login",
			io.MultiReader(bytes.NewReader(make([]byte, 65*kib))))
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)

		// Nobody's body is read before they have shown who they are.
		requireAdmission(t, app, app.Put(profilePath, "", padded(1024*kib)), http.StatusForbidden)
	})
}

func TestMediaTypes(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		for _, taken := range []string{
			"", "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON",
			"application/json ; charset=\"utf-8\"", "application/json; v=1",
		} {
			request := testkit.Request{
				Method: http.MethodPut, Path: profilePath, Token: core, Body: `{"full_name":"x"}`, Header: http.Header{"Content-Type": {taken}},
			}
			if taken == "" {
				request.Header["Content-Type"] = []string{} // not sent at all
			}
			answer := app.Do(request)
			require.Equal(t, http.StatusOK, answer.Code, "%s: %s", taken, answer.Raw)
		}
		for _, refused := range []string{
			"text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
			"application/octet-stream", "application/jsonp", "application/problem+json", "application/merge-patch+json", "json",
			"application", "application/", "/json", ";", "*/*", "application/json, text/plain", "text/html; application/json", "éé",
		} {
			for _, form := range forms(core, member) {
				request := form.request
				request.Body, request.Header = form.good, http.Header{"Content-Type": {refused}}
				app.Do(request).RequireProblem(app, 415, "unsupported_media_type", "Unsupported media type")
			}
		}
	})
}

// TestContentCodings: a body comes as it is. No route unpacks one.
func TestContentCodings(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, member := app.Token("", "ada@example.com"), app.Token("globex", "grace@example.com")
		app.Organization(core, "acme")
		for _, form := range forms(core, member) {
			for _, refused := range []string{"gzip", "br", "deflate", "GZIP", "identity, gzip", "nonsense"} {
				request := form.request
				request.Body, request.Header = form.good, http.Header{"Content-Encoding": {refused}}
				app.Do(request).RequireProblem(app, 415, "unsupported_media_type", "Unsupported media type")
			}
		}
		app.Do(testkit.Request{
			Method: http.MethodPut, Path: profilePath, Token: core, Body: `{"full_name":"x"}`,
			Header: http.Header{"Content-Encoding": {"identity", "gzip"}},
		}).RequireProblem(app, 415, "unsupported_media_type", "Unsupported media type")
		for _, taken := range []string{"", "identity", "Identity"} {
			require.Equal(t, http.StatusOK, app.Do(testkit.Request{
				Method: http.MethodPut, Path: profilePath, Token: core, Body: `{"full_name":"x"}`, Header: http.Header{"Content-Encoding": {taken}},
			}).Code, taken)
		}
	})
}
