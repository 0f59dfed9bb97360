package tests_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

type listing struct {
	slugs []string
	next  string // empty on the last page
}

func list(t *testing.T, app *testkit.App, token, query string) listing {
	t.Helper()
	answer := app.Get(organizationsPath+query, token)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	body := answer.Object(app)
	items, ok := body["items"].([]any)
	require.True(t, ok, answer.Raw)
	page := listing{slugs: make([]string, len(items))}
	for i := range items {
		org, ok := items[i].(testkit.JSON)
		require.True(t, ok, answer.Raw)
		page.slugs[i] = fmt.Sprint(org["slug"])
	}
	page.next, _ = body["next_cursor"].(string)
	return page
}

// TestListingByPages: nothing is left out and nothing is shown twice, also when
// organizations come and go between two pages.
func TestListingByPages(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, other := app.Token("", "ada@example.com"), app.Token("", "grace@example.com")
		require.Equal(t, listing{slugs: []string{}}, list(t, app, core, ""))
		for _, slug := range []string{"zz", "yy", "xx", "ww", "vv"} {
			app.Organization(core, slug)
		}
		app.Organization(other, "not-hers")
		all := []string{"zz", "yy", "xx", "ww", "vv"}
		for _, query := range []string{"", "?limit=5", "?limit=100", "?unknown=1"} {
			require.Equal(t, listing{slugs: all}, list(t, app, core, query), query)
		}
		first := list(t, app, core, "?limit=2")
		require.Equal(t, all[:2], first.slugs)
		second := list(t, app, core, "?limit=2&cursor="+first.next)
		require.Equal(t, all[2:4], second.slugs)
		require.Equal(t, second, list(t, app, core, "?limit=2&cursor="+first.next), "a page stays as it is")
		require.Equal(t, listing{slugs: all[4:]}, list(t, app, core, "?limit=2&cursor="+second.next))
		require.Equal(t, all[2:], list(t, app, core, "?cursor="+first.next).slugs)
		require.NotContains(t, list(t, app, other, "?cursor="+first.next).slugs, "xx", "a cursor opens nothing")

		// The last of the first page goes, and one is new.
		require.Equal(t, http.StatusNoContent, app.Delete(organizationsPath+"yy", core).Code)
		app.Organization(core, "uu")
		require.Equal(t, all[2:4], list(t, app, core, "?limit=2&cursor="+first.next).slugs)
		require.Equal(t, listing{slugs: []string{"vv", "uu"}}, list(t, app, core, "?limit=2&cursor="+second.next))
		require.Equal(t, []string{"not-hers"}, list(t, app, other, "?limit=1").slugs)
	})
}

func TestListingRefusesWhatItDidNotGive(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		limits := []string{"", "0", "-1", "101", "1.5", "1e1", "0x10", "ten", " 5", "5 ", "5;", "null", "9999999999999999999", "１", "\x00", "\xff"}
		for _, limit := range limits {
			app.Get(organizationsPath+"?limit="+url.QueryEscape(limit), core).RequireInvalid(app, map[string]string{"limit": "out_of_range"})
		}
		encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		cursors := []string{
			"", "1", "=", "nonsense!", "null", "\x00", "\xff", "🐎", encode("x"), encode(""), encode("1.5"), encode("' OR 1=1 --"),
			encode("99999999999999999999"), encode("1\x00"), encode("1") + "=", " " + encode("1"),
		}
		for _, cursor := range cursors {
			app.Get(organizationsPath+"?cursor="+url.QueryEscape(cursor), core).RequireInvalid(app, map[string]string{"cursor": "invalid_cursor"})
		}
		app.Get(organizationsPath+"?cursor=!&limit=0", core).
			RequireInvalid(app, map[string]string{"cursor": "invalid_cursor", "limit": "out_of_range"})
	})
}

// TestListingSurvivesForgedCursors: those that are well-formed may be refused or
// lead nowhere; they are no fault of the server's.
func TestListingSurvivesForgedCursors(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		for _, id := range []string{"-1", "-9223372036854775808", "0", "2147483647", "2147483648", "9223372036854775807"} {
			answer := app.Get(organizationsPath+"?cursor="+base64.RawURLEncoding.EncodeToString([]byte(id)), core)
			require.Contains(t, []int{http.StatusOK, http.StatusUnprocessableEntity}, answer.Code, "%s: %s", id, answer.Raw)
		}
	})
}
