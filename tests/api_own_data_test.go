package tests_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/tests/testkit"
)

const ownDataPath = "/api/users/me/export"

// Users get what is stored about them, and nothing of others.
func TestOwnData(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := fleetOf(app, "acme")
		owner, grace := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		id := app.Get("/api/users/me", grace).Object(app)["id"]
		app.Login("acme", "grace@example.com")
		// An earlier user with the same id, and one event more than the document has.
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), fmt.Sprintf(`INSERT INTO audit_events
			(at, action, outcome, actor_id, actor, target_kind, target_name, ip, user_agent, request_id, detail)
			VALUES ('2020-01-01 00:00:00', 'user.signed_in', 'success', %v, 'earlier@example.com', '', '', '', '', '', '')`, id))
		require.Equal(t, http.StatusOK, app.Put(fmt.Sprintf("/api/users/%v", id), owner, testkit.JSON{"role": "admin"}).Code)

		asAdmin := app.Get(ownDataPath, app.TokenOf("acme", "grace@example.com"))
		require.Equal(t, http.StatusOK, app.Put(fmt.Sprintf("/api/users/%v", id), owner, testkit.JSON{"role": "member"}).Code)
		asMember := app.Get(ownDataPath, app.TokenOf("acme", "grace@example.com"))
		atCore := app.Get(ownDataPath, core)

		for _, got := range []testkit.Response{asAdmin, asMember, atCore} {
			require.Equal(t, http.StatusOK, got.Code, got.Raw)
			require.Equal(t, `attachment; filename="my-data.json"`, got.Header.Get("Content-Disposition"))
			for _, secret := range []string{"hash", "token", "salt", "$2a$", "earlier@"} {
				require.NotContains(t, got.Raw, secret)
			}
		}
		require.Equal(t, "acme", asMember.Object(app)["tenant"])
		require.Contains(t, asMember.Raw, `"current":true`)
		require.Contains(t, asMember.Raw, `"action":"user.registered"`)
		require.NotContains(t, asMember.Raw, "ada@example.com", "a member does not see what others did")
		require.Contains(t, asAdmin.Raw, `"action":"user.role_changed"`)
		require.Contains(t, atCore.Raw, `"slug":"acme"`)
		require.Contains(t, atCore.Raw, `"action":"organization.created"`)
		require.NotContains(t, atCore.Raw, "grace@example.com")
		require.Equal(t, false, atCore.Object(app)["has_more_events"])
	})
}

func TestOwnDataIsBounded(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("acme", "ada@example.com")
		app.Settings.Exec(t, app.Settings.DatabaseName("acme"), `INSERT INTO audit_events
			(at, action, outcome, actor_id, actor, target_kind, target_name, ip, user_agent, request_id, detail)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
			SELECT '2100-01-01 00:00:00', 'user.signed_in', 'success', 1, 'ada@example.com', '', '', '', '', '', '' FROM n`)

		own := app.Get(ownDataPath, app.TokenOf("acme", "ada@example.com")).Object(app)

		require.Len(t, own["events"], 1000)
		require.Equal(t, true, own["has_more_events"])
	})
}

func TestOwnDataIsLimited(t *testing.T) {
	set := func(o *limits.Options) { o.WritesPerMinute = 2 }
	eachLimited(t, set, func(t *testing.T, app *testkit.App) {
		for _, token := range []string{app.Token("", "ada@example.com"), app.Token("acme", "ada@example.com")} {
			for range 2 {
				require.Equal(t, http.StatusOK, app.Get(ownDataPath, token).Code)
			}
			requireTooMany(t, app, app.Get(ownDataPath, token), "too_many_requests", 30)
			require.Equal(t, http.StatusOK, app.Get("/api/users/me", token).Code)
		}
	})
}
