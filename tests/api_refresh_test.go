package tests_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// clock goes like any other, but can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// eachRealm runs the test at the core and in a tenant, on both engines, with Ada
// registered.
func eachRealm(t *testing.T, test func(t *testing.T, app *testkit.App, now *clock, tenant string)) {
	t.Helper()
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		now := &clock{}
		app.SetClock(now.now)
		for _, tenant := range []string{"", "acme"} {
			t.Run("realm "+tenant, func(t *testing.T) {
				registered := app.For(t).Register(tenant, "ada@example.com")
				require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
				test(t, app.For(t), now, tenant)
			})
		}
	})
}

// tokens is what a login or a refresh answers with.
type tokens struct{ access, refresh string }

func tokensOf(t *testing.T, app *testkit.App, answer testkit.Response) tokens {
	t.Helper()
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	return tokens{access: answer.Text(app, "access_token"), refresh: answer.Text(app, "refresh_token")}
}

func login(t *testing.T, app *testkit.App, tenant, email string) tokens {
	t.Helper()
	return tokensOf(t, app, app.Login(tenant, email))
}

func renew(t *testing.T, app *testkit.App, refresh string) tokens {
	t.Helper()
	return tokensOf(t, app, app.Do(testkit.Refreshing(refresh)))
}

func requireLives(t *testing.T, app *testkit.App, all ...tokens) {
	t.Helper()
	for _, token := range all {
		answer := app.Get(profilePath, token.access)
		require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	}
}

// requireDead requires that neither token opens anything.
func requireDead(t *testing.T, app *testkit.App, all ...tokens) {
	t.Helper()
	for _, token := range all {
		app.Get(profilePath, token.access).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		requireNoRefresh(t, app, token.refresh)
	}
}

func requireNoRefresh(t *testing.T, app *testkit.App, refresh string) {
	t.Helper()
	app.Do(testkit.Refreshing(refresh)).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
}

func databaseOf(app *testkit.App, tenant string) string {
	if tenant == "" {
		return app.Settings.CoreName()
	}
	return app.Settings.DatabaseName(tenant)
}

func TestRefreshTokensRotate(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		first := login(t, app, tenant, "ada@example.com")
		seen, last := make([]string, 0, 4), first
		seen = append(seen, first.refresh)
		for range 3 {
			now.advance(20 * time.Minute)
			answer := app.Do(testkit.Refreshing(last.refresh))
			last = tokensOf(t, app, answer)
			require.NotContains(t, seen, last.refresh)
			seen = append(seen, last.refresh)
			require.Equal(t, []string{"access_token", "expires_in", "refresh_token", "token_type"},
				slices.Sorted(maps.Keys(answer.Object(app))))
			requireLives(t, app, last)
			for _, claim := range []string{"user_id", "context", "tenant", "tid", "sid", "fam"} {
				require.Equal(t, claimsOf(t, first.access)[claim], claimsOf(t, last.access)[claim], claim)
			}
		}
		dump := app.Settings.Dump(t, databaseOf(app, tenant))
		require.Contains(t, dump, "ada@example.com")
		for _, token := range seen {
			require.NotContains(t, dump, token[len(token)-20:], "only hashes are kept")
		}
	})
}

// TestRefreshIsRepeated: a client that never got the answer asks again, and other
// tabs ask at the same time.
func TestRefreshIsRepeated(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		first := login(t, app, tenant, "ada@example.com")
		second := renew(t, app, first.refresh)
		now.advance(9 * time.Second)
		again := renew(t, app, first.refresh)
		require.Equal(t, second.refresh, again.refresh)
		requireLives(t, app, first, second, again)
		third := renew(t, app, again.refresh)
		requireLives(t, app, third)
		requireLives(t, app, renew(t, app, third.refresh))
	})
}

// TestTheClockIsSetBack: it is unknown how long ago a token was used then, so it is no
// repetition. Two processes may still differ by a little.
func TestTheClockIsSetBack(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		first := login(t, app, tenant, "ada@example.com")
		second := renew(t, app, first.refresh)
		now.advance(-900 * time.Millisecond)
		require.Equal(t, second.refresh, renew(t, app, first.refresh).refresh)

		now.advance(12*time.Second - time.Hour)
		requireNoRefresh(t, app, first.refresh)
		now.advance(time.Hour)
		requireDead(t, app, second)
	})
}

func TestReusedRefreshTokensEndTheSession(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		other := login(t, app, tenant, "ada@example.com")
		for name, reuse := range map[string]func(first, second tokens) string{
			"after the window": func(first, _ tokens) string {
				now.advance(10*time.Second + time.Millisecond)
				return first.refresh
			},
			"not the last": func(first, second tokens) string {
				renew(t, app, second.refresh)
				return first.refresh
			},
		} {
			first := login(t, app, tenant, "ada@example.com")
			second := renew(t, app, first.refresh)
			reused := reuse(first, second)
			answer := app.Do(testkit.Refreshing(reused))
			answer.RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
			require.Contains(t, logLine(t, app, answer), "used again", name)
			requireDead(t, app, first, second)
			requireLives(t, app, other)
		}
	})
}

// TestManyRefreshesAtOnce leave one family, of which one token is good.
func TestManyRefreshesAtOnce(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		apps := []*testkit.App{app, testkit.Start(t, app.Settings)}
		for _, tenant := range []string{"", "acme"} {
			apps[0].Token(tenant, "ada@example.com")
			first := login(t, apps[0], tenant, "ada@example.com")
			answers := testkit.TryAtOnce(t, apps, slices.Repeat([]testkit.Request{testkit.Refreshing(first.refresh)}, 20))
			require.Equal(t, map[int]int{http.StatusOK: 20}, testkit.Count(answers))
			next := tokensOf(t, apps[0], answers[0])
			for _, answer := range answers {
				got := tokensOf(t, apps[0], answer)
				require.Equal(t, next.refresh, got.refresh)
				requireLives(t, apps[1], got)
			}
			requireLives(t, apps[1], renew(t, apps[1], next.refresh))
			sessions := apps[0].Get("/api/auth/sessions", next.access).Object(apps[0])["items"]
			require.Len(t, sessions, 2, "the registration's login, and this")
		}
	})
}

func TestRefreshTokensExpire(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		const lifetime = 30 * 24 * time.Hour
		first := login(t, app, tenant, "ada@example.com")
		now.advance(lifetime - time.Minute)
		second := renew(t, app, first.refresh)
		now.advance(lifetime - time.Minute)
		third := renew(t, app, second.refresh)
		now.advance(lifetime)
		requireNoRefresh(t, app, third.refresh)
	})
}

func TestRefreshTokensThatAreNone(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		good := login(t, app, tenant, "ada@example.com")
		flip := func(at int) string {
			letter := "A"
			if good.refresh[at] == 'A' {
				letter = "B"
			}
			return good.refresh[:at] + letter + good.refresh[at+1:]
		}
		for _, token := range []string{
			"", "x", "mtr_", good.access, good.refresh[4:], good.refresh + "A", strings.Repeat("A", 60_000),
			flip(5), flip(20), flip(34), flip(40), // the tenant's id, the session's, the family
		} {
			requireNoRefresh(t, app, token)
		}
		app.Get(profilePath, good.refresh).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		for body, want := range map[string]map[string]string{
			`{}`:                     {"refresh_token": "required"},
			`{"refresh_token":null}`: {"refresh_token": "required"},
			`{"refresh_token":5}`:    {"refresh_token": "wrong_type"},
		} {
			app.Post("/api/auth/refresh", "", body).RequireInvalid(app, want)
		}
		requireLives(t, app, renew(t, app, good.refresh))

		// Only a token of the family ends it, by a secret that is not its last.
		good = login(t, app, tenant, "ada@example.com")
		requireNoRefresh(t, app, flip(80))
		requireDead(t, app, good)
	})
}
