package tests_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestWhatCredentialsAreWorthInATenant that was changed. A tenant that is made again
// gives the same numbers to the same people.
func TestWhatCredentialsAreWorthInATenant(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		const path, again = organizationsPath + "acme", "again@example.com"
		put := func(body testkit.JSON) {
			t.Helper()
			require.Equal(t, http.StatusOK, app.Put(path, core, body).Code)
		}
		end := func() { require.Equal(t, http.StatusNoContent, app.Delete(path, core).Code) }
		for _, row := range []struct {
			name   string
			guests string
			change func()
			want   string
		}{
			{"renamed", "1@example.com", func() { put(testkit.JSON{"name": "Another"}) }, "200 200 204 200 204"},
			{"suspended", "2@example.com", func() { put(testkit.JSON{"is_active": false}) }, "403 403 403 403 403"},
			{"resumed", "3@example.com", func() {
				put(testkit.JSON{"is_active": false})
				put(testkit.JSON{"is_active": true})
			}, "200 200 204 200 204"},
			{"by invitation", "4@example.com", func() { put(testkit.JSON{"registration": "invite"}) }, "200 200 204 200 204"},
			{"closed", "5@example.com", func() { put(testkit.JSON{"registration": "closed"}) }, "200 200 204 403 204"},
			{"deleted", "6@example.com", end, "401 401 400 403 400"},
			{"made again by its owner", again, func() {
				end()
				app.Organization(core, "acme")
				issueAll(t, app, insider(t, app, "ada@example.com"), again)
			}, "401 401 400 403 400"},
			{"deleted while suspended", "7@example.com", func() {
				put(testkit.JSON{"is_active": false})
				end()
			}, "401 401 400 403 400"},
			{"made again by a registration", again, func() {
				end()
				app.Token("acme", "ada@example.com")
				issueAll(t, app, insider(t, app, "ada@example.com"), again)
			}, "401 401 400 403 400"},
		} {
			if app.Get(path, core).Code == http.StatusOK {
				put(testkit.JSON{"is_active": true, "registration": "open"})
			} else {
				app.Organization(core, "acme")
			}
			c := issueAll(t, app, insider(t, app, "ada@example.com"), row.guests)
			row.change()
			require.Equal(t, row.want, c.worth(app), row.name)
		}
	})
}
