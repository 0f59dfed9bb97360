package tests_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// credentials are those of one admin of acme: their session, a reset that their chief
// made for them, and a reset and an invitation that they made for others.
type credentials struct {
	holder, chief tenantUser
	own, given    string // resets
	invitation    testkit.Request
}

// issueAll has an owner hire a chief, who is an owner too, and the chief the admin.
func issueAll(t *testing.T, app *testkit.App, owner tenantUser, name string) *credentials {
	t.Helper()
	c := &credentials{chief: hire(t, app, owner, "chief-"+name, "owner")}
	c.holder = hire(t, app, c.chief, "holder-"+name, "admin")
	other := hire(t, app, c.chief, "other-"+name, "member")
	reset := func(by, of tenantUser) string {
		return app.Do(resetting(by.tokens.access, strconv.Itoa(of.id))).Text(app, "token")
	}
	c.own, c.given = reset(c.chief, c.holder), reset(c.holder, other)
	guest := "guest-" + name
	c.invitation = accepting("acme", guest, invite(t, app, c.holder.tokens.access, guest, "member").Token)
	return c
}

// worth uses all of the credentials, and returns the answers' status: of the access
// token, the refresh token, the given reset, the invitation, and the own reset.
func (c *credentials) worth(app *testkit.App) string {
	return fmt.Sprint(
		app.Get(profilePath, c.holder.tokens.access).Code, " ",
		app.Do(testkit.Refreshing(c.holder.tokens.refresh)).Code, " ",
		app.Do(redeeming(c.given, newPassword)).Code, " ",
		app.Do(c.invitation).Code, " ",
		app.Do(redeeming(c.own, newPassword)).Code)
}

// TestWhatCredentialsAreWorth after a change of their holder, or of the holder's chief.
func TestWhatCredentialsAreWorth(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		do := func(request testkit.Request) {
			t.Helper()
			answer := app.Do(request)
			require.Less(t, answer.Code, 300, answer.Raw)
		}
		put := func(of tenantUser, body testkit.JSON) {
			t.Helper()
			do(testkit.Request{Method: http.MethodPut, Path: of.path, Token: s.owner.tokens.access, Body: body})
		}
		remove := func(of tenantUser) {
			t.Helper()
			do(testkit.Request{Method: http.MethodDelete, Path: of.path, Token: s.owner.tokens.access})
		}
		logOut := func(of tenantUser, query string) {
			t.Helper()
			do(testkit.Request{Method: http.MethodPost, Path: logoutPath + query, Token: of.tokens.access})
		}
		for i, row := range []struct {
			name   string
			change func(c *credentials)
			want   string
		}{
			{"nothing", func(*credentials) {}, "200 200 204 200 204"},
			{"renamed", func(c *credentials) { put(c.holder, testkit.JSON{"full_name": "Another"}) }, "200 200 204 200 204"},
			{"promoted", func(c *credentials) { put(c.holder, testkit.JSON{"role": "owner"}) }, "200 200 204 200 400"},
			{"demoted", func(c *credentials) { put(c.holder, testkit.JSON{"role": "member"}) }, "200 200 400 403 400"},
			{"deactivated", func(c *credentials) { put(c.holder, testkit.JSON{"is_active": false}) }, "401 401 400 403 400"},
			{"active again", func(c *credentials) {
				put(c.holder, testkit.JSON{"is_active": false})
				put(c.holder, testkit.JSON{"is_active": true})
			}, "401 401 204 200 400"},
			{"deactivated by the operator", func(c *credentials) { deactivate(t, app, "acme", c.holder.email) }, "401 401 400 403 400"},
			{"removed", func(c *credentials) { remove(c.holder) }, "404 401 400 403 400"},
			{"removed and hired again", func(c *credentials) {
				remove(c.holder)
				hire(t, app, s.owner, c.holder.email, "admin")
			}, "404 401 400 403 400"},
			{"password changed", func(c *credentials) { requireChange(t, app, c.holder.tokens.access) }, "401 401 204 200 400"},
			{"reset redeemed", func(c *credentials) { requireReset(t, app, c.own) }, "401 401 204 200 400"},
			{"logged out", func(c *credentials) { logOut(c.holder, "") }, "401 401 204 200 204"},
			{"logged out everywhere", func(c *credentials) {
				logOut(tenantUser{tokens: login(t, app, "acme", c.holder.email)}, "?scope=all")
			}, "401 401 204 200 204"},
			{"another session logged out", func(c *credentials) {
				logOut(tenantUser{tokens: login(t, app, "acme", c.holder.email)}, "")
			}, "200 200 204 200 204"},
			{"chief renamed", func(c *credentials) { put(c.chief, testkit.JSON{"full_name": "Another"}) }, "200 200 204 200 204"},
			{"chief demoted to admin", func(c *credentials) { put(c.chief, testkit.JSON{"role": "admin"}) }, "200 200 204 200 204"},
			{"chief demoted to member", func(c *credentials) { put(c.chief, testkit.JSON{"role": "member"}) }, "200 200 204 200 400"},
			{"chief deactivated", func(c *credentials) { put(c.chief, testkit.JSON{"is_active": false}) }, "200 200 204 200 400"},
			{"chief removed", func(c *credentials) { remove(c.chief) }, "200 200 204 200 400"},
			{"chief logged out everywhere", func(c *credentials) { logOut(c.chief, "?scope=all") }, "200 200 204 200 204"},
		} {
			c := issueAll(t, app, s.owner, fmt.Sprintf("%d@example.com", i))
			row.change(c)
			require.Equal(t, row.want, c.worth(app), row.name)
		}
	})
}
