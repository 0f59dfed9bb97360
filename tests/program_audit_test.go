package tests_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestAuditExport: a line holds what the API answers, and there are more events than a
// page has.
func TestAuditExport(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			token := app.Token(tenant, "ada@example.com")
			var answered struct {
				Items []json.RawMessage `json:"items"`
			}
			require.NoError(t, json.Unmarshal([]byte(app.Get(auditPath, token).Raw), &answered))
			before := len(answered.Items)
			require.NotZero(t, before)
			events := `INSERT INTO audit_events
				(at, action, outcome, actor, target_kind, target_name, ip, user_agent, request_id, detail)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
				SELECT TIMESTAMPTZ '2026-01-01 10:00:00+00:00', 'user.signed_in', 'success', '', '', '', '', CHR(10) || CHR(27) || '"', '', 'n' || i
				FROM n`
			if app.Settings.Engine == testkit.SQLite {
				events = strings.NewReplacer("TIMESTAMPTZ ", "", "CHR(", "char(").Replace(events)
			}
			app.Settings.Exec(t, databaseOf(app, tenant), events)
			export := func(arguments ...string) []string {
				command := append([]string{"audit", "export"}, append(arguments, tenantFlag(tenant)...)...)
				return strings.Split(app.Settings.Command(t, command...).RequireCode(t, 0).Stdout, "\n")
			}

			lines := export()

			require.Len(t, lines, before+1000+1, "the last line ends too")
			for i, item := range answered.Items {
				require.JSONEq(t, string(item), lines[before-1-i])
			}
			require.Contains(t, lines[before], `"detail":"n1"`)
			require.Contains(t, lines[before+999], `"detail":"n1000"`)
			require.NotContains(t, strings.Join(lines, ""), "\x1b")
			require.Equal(t, lines[before:], export("--until", "2026-01-01T11:00:01+01:00"))
			require.Equal(t, append(lines[:before:before], ""), export("--since", "2026-01-01T10:00:00.5Z"))
			require.Len(t, export("--since", "2026-01-01T10:00:00Z"), len(lines), "the start is included")
			require.Equal(t, []string{""}, export("--since", time.Now().Add(time.Hour).Format(time.RFC3339)))
			require.Equal(t, []string{""}, export("--until", "2026-01-01T10:00:00Z"), "the end is not included")
		}
		app.Settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		require.NotEmpty(t, app.Settings.Command(t, "audit", "export", "--tenant", "acme").RequireCode(t, 0).Stdout)
		require.Empty(t, app.Settings.Command(t, "audit", "export", "--tenant", "nobody").RequireCode(t, 1).Stdout)
		app.Settings.Command(t, "audit", "export", "--tenant=").RequireCode(t, 1)
		app.Settings.Command(t, "audit", "export", "--since", "yesterday").RequireCode(t, 2)
	})
}
