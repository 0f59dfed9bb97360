package tests_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

const (
	logoutPath   = "/api/auth/logout"
	sessionsPath = "/api/auth/sessions"
)

type session struct {
	ID         int64     `json:"id"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
	Current    bool      `json:"current"`
}

type sessionPage struct {
	Items      []session `json:"items"`
	NextCursor *string   `json:"next_cursor"`
}

func listSessions(t *testing.T, app *testkit.App, token, query string) (page sessionPage) {
	t.Helper()
	answer := app.Get(sessionsPath+query, token)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	require.NoError(t, json.Unmarshal([]byte(answer.Raw), &page))
	return page
}

func TestLogoutEndsTheSession(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		fresh := renew(t, app, phone.refresh)

		ended := app.Post(logoutPath, phone.access, nil)
		require.Equal(t, http.StatusNoContent, ended.Code, ended.Raw)
		requireDead(t, app, phone, fresh)
		requireLives(t, app, laptop)
		app.Post(logoutPath, phone.access, nil).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		app.Post(logoutPath, "", nil).RequireProblem(app, 403, "not_authenticated", "Not authenticated")
	})
}

func TestLogoutEverywhere(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		app.Token(tenant, "grace@example.com")
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		stranger := login(t, app, tenant, "grace@example.com")

		for _, scope := range []string{"", "one", "ALL", "all%20", "all,all"} {
			app.Post(logoutPath+"?scope="+scope, phone.access, nil).RequireInvalid(app, map[string]string{"scope": "invalid_scope"})
		}
		requireLives(t, app, phone, laptop)
		require.Equal(t, http.StatusNoContent, app.Post(logoutPath+"?scope=all", phone.access, nil).Code)
		requireDead(t, app, phone, laptop)
		requireLives(t, app, stranger, login(t, app, tenant, "ada@example.com"))
	})
}

func TestSessionsAreListed(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		app.Token(tenant, "grace@example.com")
		begun := now.now()
		browsers := make([]tokens, 5)
		for i := range browsers {
			browsers[i] = tokensOf(t, app, app.Do(testkit.Request{
				Method: http.MethodPost, Path: "/api/auth/login", Tenant: tenant,
				Body:   testkit.JSON{"email": "ada@example.com", "password": testkit.Password},
				Header: http.Header{"User-Agent": {fmt.Sprintf("Browser %d \xff", i)}},
			}))
		}
		now.advance(time.Hour)
		browsers[1] = renew(t, app, browsers[1].refresh)
		browsers[3] = renew(t, app, browsers[3].refresh)

		var seen []session
		query := "?limit=2"
		for {
			page := listSessions(t, app, browsers[3].access, query)
			seen = append(seen, page.Items...)
			if page.NextCursor == nil {
				break
			}
			require.Len(t, page.Items, 2)
			query = "?limit=2&cursor=" + *page.NextCursor
		}
		require.Len(t, seen, 5)
		for i, got := range seen {
			n := 4 - i // the newest first
			require.EqualValues(t, claimsOf(t, browsers[n].access)["sid"], got.ID)
			require.Equal(t, n == 3, got.Current)
			require.Equal(t, "127.0.0.1", got.IP)
			require.WithinDuration(t, begun, got.CreatedAt, 30*time.Second)
			require.Equal(t, got.LastUsedAt.Add(30*24*time.Hour), got.ExpiresAt)
			if n == 1 || n == 3 {
				require.WithinDuration(t, begun.Add(time.Hour), got.LastUsedAt, 30*time.Second)
				continue
			}
			require.Equal(t, got.CreatedAt, got.LastUsedAt)
			require.Equal(t, fmt.Sprintf("Browser %d ", n), got.UserAgent)
		}

		now.advance(30*24*time.Hour - 30*time.Minute) // the three that were not refreshed have expired
		browsers[3] = renew(t, app, browsers[3].refresh)
		require.Len(t, listSessions(t, app, browsers[3].access, "").Items, 2)
	})
}

func TestListingSessionsRefusesWhatItMust(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		ada := login(t, app, tenant, "ada@example.com")
		for query, want := range map[string]map[string]string{
			"?limit=0":           {"limit": "out_of_range"},
			"?limit=101":         {"limit": "out_of_range"},
			"?limit=x&cursor=!!": {"limit": "out_of_range", "cursor": "invalid_cursor"},
			"?cursor=":           {"cursor": "invalid_cursor"},
		} {
			app.Get(sessionsPath+query, ada.access).RequireInvalid(app, want)
		}
		app.Get(sessionsPath, "").RequireProblem(app, 403, "not_authenticated", "Not authenticated")
	})
}

func TestASessionIsEnded(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		app.Token(tenant, "grace@example.com")
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		stranger := login(t, app, tenant, "grace@example.com")
		path := func(token tokens) string {
			return fmt.Sprintf("%s/%.0f", sessionsPath, claimsOf(t, token.access)["sid"])
		}

		for _, id := range []string{path(stranger), sessionsPath + "/999999", sessionsPath + "/0", sessionsPath + "/-1", sessionsPath + "/x", sessionsPath + "/9223372036854775808"} {
			app.Delete(id, phone.access).RequireProblem(app, 404, "session_not_found", "Session not found")
		}
		requireLives(t, app, stranger)
		require.Equal(t, http.StatusNoContent, app.Delete(path(laptop), phone.access).Code)
		requireDead(t, app, laptop)
		app.Delete(path(laptop), phone.access).RequireProblem(app, 404, "session_not_found", "Session not found")
		require.Equal(t, http.StatusNoContent, app.Delete(path(phone), phone.access).Code, "one may end one's own")
		requireDead(t, app, phone)
	})
}

// TestSessionsAreBounded: the oldest ends, and what has ended is removed.
func TestSessionsAreBounded(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		app.Token(tenant, "grace@example.com")
		stranger := login(t, app, tenant, "grace@example.com")
		oldest := login(t, app, tenant, "ada@example.com")
		second := login(t, app, tenant, "ada@example.com")
		for range models.MaxSessions - 2 {
			app.Login(tenant, "ada@example.com")
		}
		requireLives(t, app, oldest)
		last := login(t, app, tenant, "ada@example.com")
		requireDead(t, app, oldest)
		requireLives(t, app, second, last, stranger)
		require.Len(t, listSessions(t, app, last.access, "?limit=100").Items, models.MaxSessions)

		now.advance(31 * 24 * time.Hour)
		login(t, app, tenant, "ada@example.com")
		require.Equal(t, 3, testkit.Scalar[int](t, &app.Settings, databaseOf(app, tenant), "SELECT count(*) FROM sessions"),
			"one of Ada's, and Grace's two, who has not come back")
	})
}

// TestALoginWithAPasswordOfBefore begins no session, however late it comes.
func TestALoginWithAPasswordOfBefore(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("", "ada@example.com")
		session := models.Session{UserID: 1, CreatedAt: time.Now()}
		err := models.CreateSession[models.CoreUser](t.Context(), app.Tenants.Core(), &models.Event{}, &session, "the hash before")
		require.True(t, models.IsKind(err, models.KindInvalidCredentials), "%v", err)
	})
}

// TestNumbersProveNothing: a database that was restored from a backup gives the same
// numbers to other users and sessions. Tokens of before are nobody's then.
func TestNumbersProveNothing(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		app.Token(tenant, "alice@example.com")
		alice := login(t, app, tenant, "alice@example.com")
		users := "core_users"
		if tenant != "" {
			users = "tenant_users"
		}
		app.Settings.Exec(t, databaseOf(app, tenant),
			"DELETE FROM sessions", "DELETE FROM "+users+" WHERE email = 'alice@example.com'",
			restartSequence(app.Settings.Engine, "sessions"), restartSequence(app.Settings.Engine, users))

		app.Register(tenant, "bob@example.com")
		app.Login(tenant, "bob@example.com") // as Alice's registration and its own login
		bob := login(t, app, tenant, "bob@example.com")
		for _, number := range []string{"user_id", "sid"} {
			require.Equal(t, claimsOf(t, alice.access)[number], claimsOf(t, bob.access)[number], number)
		}
		for _, path := range []string{profilePath, sessionsPath} {
			app.Get(path, alice.access).RequireProblem(app, 401, "invalid_token", "Could not validate credentials")
		}
		requireNoRefresh(t, app, alice.refresh)
		requireLives(t, app, bob)
	})
}

// restartSequence makes the ids of a table go on after the greatest that is there.
func restartSequence(engine testkit.Engine, table string) string {
	if engine == testkit.Postgres {
		return fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%[1]s', 'id'), (SELECT COALESCE(max(id), 0) + 1 FROM %[1]s), false)", table)
	}
	return fmt.Sprintf("UPDATE sqlite_sequence SET seq = (SELECT COALESCE(max(id), 0) FROM %[1]s) WHERE name = '%[1]s'", table)
}
