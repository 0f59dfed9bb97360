package tests_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const auditPath = "/api/audit/"

type auditEvent struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Outcome string    `json:"outcome"`
	Actor   *struct {
		ID    *int64 `json:"id"`
		Email string `json:"email"`
	} `json:"actor"`
	Target *struct {
		Kind string `json:"kind"`
		ID   *int64 `json:"id"`
		Name string `json:"name"`
	} `json:"target"`
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
	RequestID string `json:"request_id"`
	Detail    string `json:"detail"`
}

// String is the event in a line, without what chance decides.
func (e *auditEvent) String() string {
	actor, target := "nobody", "nothing"
	if e.Actor != nil {
		actor, _, _ = strings.Cut(e.Actor.Email, "@")
	}
	if e.Target != nil {
		target = strings.TrimSpace(e.Target.Kind + " " + e.Target.Name)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s by %s to %s %s", e.Action, e.Outcome, actor, target, e.Detail))
}

type auditPage struct {
	Items      []auditEvent `json:"items"`
	NextCursor *string      `json:"next_cursor"`
}

func listAudit(t *testing.T, app *testkit.App, token, query string) (page auditPage) {
	t.Helper()
	answer := app.Get(auditPath+query, token)
	require.Equal(t, http.StatusOK, answer.Code, answer.Raw)
	require.NoError(t, json.Unmarshal([]byte(answer.Raw), &page))
	return page
}

// audited lists what the token's user may read, the oldest first, a line each.
func audited(t *testing.T, app *testkit.App, token, query string) []string {
	t.Helper()
	page := listAudit(t, app, token, query)
	require.Nil(t, page.NextCursor, "one page is expected")
	lines := make([]string, len(page.Items))
	for i := range page.Items {
		lines[len(lines)-1-i] = page.Items[i].String()
	}
	return lines
}

// auditRows is all there is on record in a database, a line each.
func auditRows(t *testing.T, settings *testkit.Settings, database string) string {
	t.Helper()
	const aggregate = ` FROM (SELECT * FROM audit_events ORDER BY id) e`
	const fields = `action || ' ' || outcome || ' ' || actor || ' ' || target_kind || ' ' || target_name || ' ' || ip || ' ' ||
		user_agent || ' ' || request_id || ' ' || detail`
	query := "SELECT coalesce(group_concat(" + fields + ", '\n'), '')" + aggregate
	if settings.Engine == testkit.Postgres {
		query = "SELECT coalesce(string_agg(" + fields + ", E'\n'), '')" + aggregate
	}
	return testkit.Scalar[string](t, settings, database, query)
}

func countAudit(t *testing.T, app *testkit.App, tenant, action string) int {
	t.Helper()
	return testkit.Scalar[int](t, &app.Settings, databaseOf(app, tenant),
		"SELECT count(*) FROM audit_events WHERE action = '"+action+"'")
}

// TestWhatUsersDoIsOnRecord, in the realm in which they do it, and nothing secret
// is, nor what was typed by nobody.
func TestWhatUsersDoIsOnRecord(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, now *clock, tenant string) {
		const mistyped = "my-other-password@example.com"
		phone, laptop := login(t, app, tenant, "ada@example.com"), login(t, app, tenant, "ada@example.com")
		app.LoginWith(tenant, "ADA@example.com", "a wrong password")
		app.LoginWith(tenant, mistyped, testkit.Password)
		app.Do(change(phone.access, "a wrong password", newPassword))
		fresh := renew(t, app, laptop.refresh)
		now.advance(time.Minute)
		requireNoRefresh(t, app, laptop.refresh) // it was used: the session ends
		requireNoRefresh(t, app, fresh.refresh)
		next := requireChange(t, app, phone.access)
		require.Equal(t, http.StatusNoContent, app.Post(logoutPath, next.access, nil).Code)
		all := tokensOf(t, app, app.LoginWith(tenant, "ada@example.com", newPassword))
		require.Equal(t, http.StatusNoContent, app.Post(logoutPath+"?scope=all", all.access, nil).Code)
		last := tokensOf(t, app, app.LoginWith(tenant, "ada@example.com", newPassword))

		want := []string{
			"user.registered success by ada to user ada@example.com",
			"user.signed_in success by ada to session",
			"user.signed_in success by ada to session",
			"user.sign_in_refused refused by ada to nothing wrong_password",
			"user.sign_in_refused refused by nobody to nothing unknown_user",
			"password.change_refused refused by ada to nothing wrong_password",
			"session.reuse_detected refused by ada to session session_ended",
			"password.changed success by ada to nothing",
			"session.ended success by ada to session",
			"user.signed_in success by ada to session",
			"sessions.ended success by ada to nothing",
			"user.signed_in success by ada to session",
		}
		if tenant == "" { // whom it does not concern does not see it
			want = slices.DeleteFunc(want, func(line string) bool { return strings.Contains(line, "nobody") })
		}
		require.Equal(t, want, audited(t, app, last.access, ""))

		kept := auditRows(t, &app.Settings, databaseOf(app, tenant))
		require.Contains(t, kept, "unknown_user")
		require.NotContains(t, kept, mistyped)
		require.NotContains(t, kept, "my-other-password")
		for _, secret := range []string{"password@", "a wrong password", testkit.Password, newPassword, "$2a$", "mtr_", "eyJ"} {
			require.NotContains(t, kept, secret)
			require.NotContains(t, app.Get(auditPath, last.access).Raw, secret)
		}
	})
}

// TestAnEventSaysWhereItCameFrom: by the request's id it is found in the log.
func TestAnEventSaysWhereItCameFrom(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		began := time.Now()
		answer := app.Do(testkit.Request{
			Method: http.MethodPost, Path: "/api/auth/login", Tenant: tenant,
			Body:   testkit.JSON{"email": "ada@example.com", "password": testkit.Password},
			Header: http.Header{"User-Agent": {"Browser \xff" + strings.Repeat("x", 300)}},
		})
		token := tokensOf(t, app, answer)

		event := listAudit(t, app, token.access, "?limit=1").Items[0]

		require.Equal(t, answer.Header.Get("X-Request-Id"), event.RequestID)
		require.Contains(t, app.Log.String(), "request_id="+event.RequestID)
		require.Equal(t, "127.0.0.1", event.IP)
		require.Equal(t, "Browser "+strings.Repeat("x", 246), event.UserAgent)
		require.WithinDuration(t, began, event.At, 30*time.Second)
		require.EqualValues(t, claimsOf(t, token.access)["user_id"], *event.Actor.ID)
		require.EqualValues(t, claimsOf(t, token.access)["sid"], *event.Target.ID)
	})
}

// TestEveryRefusedSignInIsOneRow, where it belongs, whatever the reason.
func TestEveryRefusedSignInIsOneRow(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("", "ada@example.com")
		app.Token("acme", "grace@example.com")
		app.Token("acme", "hank@example.com")
		app.Settings.Exec(t, databaseOf(app, "acme"), "UPDATE tenant_users SET is_active = FALSE WHERE email = 'hank@example.com'")
		counts := func() [2]int {
			return [2]int{countAudit(t, app, "", "user.sign_in_refused"), countAudit(t, app, "acme", "user.sign_in_refused")}
		}
		for _, tc := range []struct {
			tenant, email, password, detail string
			core, acme                      int
		}{
			{"", "ada@example.com", "a wrong password", "wrong_password", 1, 0},
			{"", "nobody@example.com", testkit.Password, "unknown_user", 1, 0},
			{"", "", testkit.Password, "unknown_user", 1, 0},
			{"nowhere", "ada@example.com", testkit.Password, "unknown_tenant", 1, 0},
			{"acme", "grace@example.com", "a wrong password", "wrong_password", 0, 1},
			{"acme", "grace@example.com", strings.Repeat("x", 73), "wrong_password", 0, 1},
			{"acme", "ada@example.com", testkit.Password, "unknown_user", 0, 1},
			{"acme", "hank@example.com", testkit.Password, "deactivated", 0, 1},
			{"acme", "hank@example.com", "a wrong password", "deactivated", 0, 1},
		} {
			before := counts()
			app.LoginWith(tc.tenant, tc.email, tc.password).
				RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
			require.Equal(t, [2]int{before[0] + tc.core, before[1] + tc.acme}, counts(), tc)
			where := map[bool]string{true: "acme", false: ""}[tc.acme == 1]
			require.Equal(t, tc.detail, testkit.Scalar[string](t, &app.Settings, databaseOf(app, where),
				"SELECT detail FROM audit_events ORDER BY id DESC LIMIT 1"), tc)
		}
	})
}

// TestTheOwnersPasswordIsOnRecordInBoth realms, when it is changed in a tenant.
func TestTheOwnersPasswordIsOnRecordInBoth(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Organization(app.Token("", "ada@example.com"), "acme")
		inside := app.TokenOf("acme", "ada@example.com")
		app.Do(change(inside, "a wrong password", newPassword)).RequireProblem(app, 400, "wrong_password", "Incorrect password")
		require.Equal(t, 0, countAudit(t, app, "", "password.changed")+countAudit(t, app, "acme", "password.changed"))

		inside = requireChange(t, app, inside).access

		const want = "password.changed success by ada to nothing"
		require.Equal(t, []string{want}, audited(t, app, inside, "?action=password.changed"))
		core := tokensOf(t, app, app.LoginWith("", "ada@example.com", newPassword)).access
		require.Equal(t, []string{want}, audited(t, app, core, "?action=password.changed"))
		require.Equal(t, 1, countAudit(t, app, "acme", "password.change_refused"))
	})
}

func TestAuditIsPaged(t *testing.T) {
	eachRealm(t, func(t *testing.T, app *testkit.App, _ *clock, tenant string) {
		token := login(t, app, tenant, "ada@example.com").access
		for range 3 {
			login(t, app, tenant, "ada@example.com")
			app.LoginWith(tenant, "ada@example.com", "a wrong password")
		}
		want := listAudit(t, app, token, "")
		require.Len(t, want.Items, 8)
		for _, query := range []string{"?limit=3", "?action=user.signed_in&limit=3"} {
			var seen []auditEvent
			for next := ""; ; {
				page := listAudit(t, app, token, query+next)
				seen = append(seen, page.Items...)
				if page.NextCursor == nil {
					break
				}
				require.Len(t, page.Items, 3)
				next = "&cursor=" + *page.NextCursor
			}
			expected := slices.Clone(want.Items)
			if strings.Contains(query, "action") {
				expected = slices.DeleteFunc(expected, func(e auditEvent) bool { return e.Action != "user.signed_in" })
				require.Len(t, expected, 4)
			}
			require.Equal(t, expected, seen)
		}
		require.Equal(t, want, listAudit(t, app, token, ""), "to look is not recorded")
		require.JSONEq(t, app.Get("/api/audit", token).Raw, app.Get(auditPath, token).Raw)

		for query, fields := range map[string]map[string]string{
			"?limit=0":                {"limit": "out_of_range"},
			"?cursor=!!":              {"cursor": "invalid_cursor"},
			"?action=":                {"action": "unknown_action"},
			"?action=user.signed_in'": {"action": "unknown_action"},
		} {
			app.Get(auditPath+query, token).RequireInvalid(app, fields)
		}
		app.Get(auditPath, "").RequireProblem(app, 403, "not_authenticated", "Not authenticated")
	})
}
