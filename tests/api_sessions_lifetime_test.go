package tests_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const day = 24 * time.Hour

// TestSessionsEndForGood, however often they are refreshed, and with their last
// tokens.
func TestSessionsEndForGood(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		ada := login(t, app, tenant, "ada@example.com")
		begun := listSessions(t, app, ada.access, "").Items[0].CreatedAt
		ends := func() time.Time { return listSessions(t, app, ada.access, "").Items[0].ExpiresAt }
		require.Equal(t, begun.Add(30*day), ends())
		for range 3 {
			now.advance(25 * day)
			ada = renew(t, app, ada.refresh)
		}
		require.Equal(t, begun.Add(90*day), ends(), "refreshed after 75 days")
		now.advance(15*day - time.Minute)
		last := app.Do(testkit.Refreshing(ada.refresh))
		again := app.Do(testkit.Refreshing(ada.refresh)) // the answer of a client that has not got the first
		for _, answer := range []testkit.Response{last, again} {
			seconds, ok := answer.Object(app)["expires_in"].(float64)
			require.True(t, ok)
			require.InDelta(t, 30, seconds, 30, "no token outlives it")
			ada = tokensOf(t, app, answer)
			require.Equal(t, begun.Add(90*day), ends())
			expires, ok := claimsOf(t, ada.access)["exp"].(float64)
			require.True(t, ok)
			require.Equal(t, begun.Add(90*day).Unix(), int64(expires))
		}
		requireLives(t, app, ada)
		now.advance(time.Minute + 11*time.Second) // clocks may differ by ten
		requireDead(t, app, ada)
		requireLives(t, app, login(t, app, tenant, "ada@example.com"))
	})
}

// TestAShorterLifeOfSessions holds for those that are there already.
func TestAShorterLifeOfSessions(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		now := &clock{}
		settings.Now = now.now
		app := testkit.Start(t, settings)
		for _, tenant := range []string{"", "acme"} {
			app.Register(tenant, "ada@example.com")
		}
		older := []tokens{login(t, app, "", "ada@example.com"), login(t, app, "acme", "ada@example.com")}
		now.advance(20 * day)
		for i := range older {
			older[i] = renew(t, app, older[i].refresh)
		}
		app.Close()
		settings.SessionLifetime = 30 * day
		app = testkit.Start(t, settings)
		for _, token := range older {
			item := listSessions(t, app, token.access, "").Items[0]
			require.Equal(t, item.CreatedAt.Add(30*day), item.ExpiresAt)
		}
		now.advance(10 * day)
		for i, tenant := range []string{"", "acme"} {
			requireNoRefresh(t, app, older[i].refresh)
			require.Len(t, listSessions(t, app, login(t, app, tenant, "ada@example.com").access, "").Items, 1)
		}
	})
}

// TestASessionInsideLastsNoLongerThanItsParent, the core session of the owner who
// entered, however either is refreshed.
func TestASessionInsideLastsNoLongerThanItsParent(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		now := &clock{}
		settings.Now = now.now
		app := testkit.Start(t, settings)
		app.Register("", "ada@example.com")
		core := login(t, app, "", "ada@example.com")
		app.Organization(core.access, "acme")
		ends := func(of tokens) time.Time { return listSessions(t, app, of.access, "").Items[0].ExpiresAt }
		first := ends(core)

		now.advance(10 * time.Minute)
		inside := enter(t, app, core.access).tokens
		require.Equal(t, first, ends(inside))
		now.advance(20 * day)
		inside = renew(t, app, inside.refresh)
		require.Equal(t, first, ends(inside))
		core = renew(t, app, core.refresh)
		last := ends(core)
		inside = renew(t, app, inside.refresh)
		require.Equal(t, last, ends(inside), "its parent was refreshed")
		now.advance(30*day - time.Minute)
		inside = renew(t, app, inside.refresh)
		require.Equal(t, last, ends(inside))
		now.advance(time.Minute + 11*time.Second) // clocks may differ by ten
		requireDead(t, app, inside)
	})
}

// TestTheOwnerLogsOutEverywhere: with a core token they are out of their tenants
// too, in every process; with a tenant's, of that tenant alone.
func TestTheOwnerLogsOutEverywhere(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		first, second := app, testkit.Start(t, app.Settings)
		ada := ownerOf(t, first)
		member, stranger := signedUp(t, first, "acme", "grace@example.com"), signedUp(t, first, "", "grace@example.com")
		requireLives(t, second, ada.core, ada.acme, ada.globex)

		require.Equal(t, http.StatusNoContent, first.Post(logoutPath+"?scope=all", ada.acme.access, nil).Code)
		requireDead(t, second, ada.acme)
		requireLives(t, second, ada.core, ada.globex)
		ada.acme = login(t, first, "acme", "ada@example.com")
		requireLives(t, second, ada.acme)

		require.Equal(t, http.StatusNoContent, first.Post(logoutPath+"?scope=all", ada.core.access, nil).Code)
		requireDead(t, first, ada.core, ada.acme, ada.globex)
		requireDead(t, second, ada.core)
		requireSpread(t, second, ada.acme.access, http.StatusUnauthorized)
		requireDead(t, second, ada.acme, ada.globex)
		requireLives(t, second, member, stranger)
		for _, tenant := range []string{"", "acme", "globex"} {
			requireLives(t, second, login(t, second, tenant, "ada@example.com"))
		}
	})
}

func signedUp(t *testing.T, app *testkit.App, tenant, email string) tokens {
	t.Helper()
	app.Register(tenant, email)
	return login(t, app, tenant, email)
}
