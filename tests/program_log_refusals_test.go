package tests_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
	"multitenant/tests/testkit"
)

// TestRefusalsAreInTheLog, each in its line: what was asked for, where from, and
// why it was refused.
func TestRefusalsAreInTheLog(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core, stranger := app.Token("", "ada@example.com"), app.Token("", "grace@example.com")
		app.Organization(core, "acme")
		member := app.Token("acme", "grace@example.com")
		for name, tc := range map[string]struct {
			request testkit.Request
			line    string // a pattern
		}{
			"wrong password": {
				testkit.Request{Method: "POST", Path: "/api/auth/login", Body: testkit.JSON{"email": "ada@example.com", "password": "x"}},
				`route=/api/auth/login status=401 .*error="Incorrect email or password`,
			},
			"no token":     {testkit.Request{Method: "GET", Path: profilePath}, `route=/api/users/me status=403 .*error="Not authenticated"`},
			"forged token": {testkit.Request{Method: "GET", Path: profilePath, Token: core + "x"}, `status=401 .*error="Could not validate credentials: .+"`},
			"another tenant": {
				testkit.Request{Method: "PUT", Path: profilePath, Token: member, Tenant: "globex", Body: testkit.JSON{}},
				`status=403 .*tenant=globex error="Tenant authentication required`,
			},
			"a member at the core": {
				testkit.Request{Method: "DELETE", Path: organizationsPath + "acme", Token: member},
				`method=DELETE route=/api/organizations/:slug status=403 .*error="Core authentication required"`,
			},
			"somebody else's organization": {
				testkit.Request{Method: "GET", Path: organizationsPath + "acme", Token: stranger}, `status=404 .*error="Organization not found`,
			},
			"a field": {
				testkit.Request{Method: "POST", Path: "/api/auth/register", Body: testkit.JSON{"email": "x", "password": testkit.Password}},
				`status=422 .*error="Validation failed"`,
			},
			"a file's name for a tenant": {
				testkit.Request{Method: "GET", Path: profilePath, Token: member, Tenant: "../core"}, `status=400 .*error="Invalid X-TENANT header`,
			},
		} {
			answer := app.Do(tc.request)
			require.GreaterOrEqual(t, answer.Code, http.StatusBadRequest, name)
			line := logLine(t, app, answer)
			require.Regexp(t, tc.line, line, name)
			require.Contains(t, line, "ip=127.0.0.1", name)
		}
	})
}

// TestLogLinesSayWhen, with the offset of the clock that they go by, and each is a
// line that programs can read, in either form.
func TestLogLinesSayWhen(t *testing.T) {
	t.Parallel()
	for format, timeOf := range map[string]func(line string) string{
		"json": func(line string) string {
			var record struct{ Time, Msg, Level, Route string }
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			require.Equal(t, []string{"request", "WARN", "a \"quoted\"\nroute"}, []string{record.Msg, record.Level, record.Route})
			return record.Time
		},
		"text": func(line string) string {
			found := regexp.MustCompile(`^time=(\S+) level=WARN msg=request route="a \\"quoted\\"\\nroute"\n$`).FindStringSubmatch(line)
			require.Len(t, found, 2, line)
			return found[1]
		},
	} {
		var kept testkit.Log
		logger, flush := commands.NewLogger(&kept, slog.LevelInfo, format)
		logger.WarnContext(t.Context(), "request", "route", "a \"quoted\"\nroute")
		flush()
		require.Equal(t, 1, strings.Count(kept.String(), "\n"), format)

		at, err := time.Parse(time.RFC3339Nano, timeOf(kept.String())) // which requires an offset
		require.NoError(t, err, format)
		require.WithinDuration(t, time.Now(), at, time.Minute, format)
	}
}
