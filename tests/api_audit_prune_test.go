package tests_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// addEvents adds that many events of a time.
func addEvents(t *testing.T, app *testkit.App, tenant string, count int, at time.Time) {
	t.Helper()
	statement := fmt.Sprintf(`INSERT INTO audit_events
		(at, action, outcome, actor, target_kind, target_name, ip, user_agent, request_id, detail)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT TIMESTAMPTZ '%s', 'user.signed_in', 'success', '', '', '', '', '', '', 'added' FROM n`,
		count, at.UTC().Format("2006-01-02 15:04:05-07:00"))
	if app.Settings.Engine == testkit.SQLite {
		statement = strings.Replace(statement, "TIMESTAMPTZ ", "", 1)
	}
	app.Settings.Exec(t, databaseOf(app, tenant), statement)
}

// TestOldEventsArePruned by one of two servers, in batches that are on record; the
// trail stays closed to all others.
func TestOldEventsArePruned(t *testing.T) {
	const month = 30 * 24 * time.Hour
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		databases := []string{"", "acme", "globex"}
		for _, tenant := range databases {
			app.Token(tenant, "ada@example.com")
			addEvents(t, app, tenant, 1001, time.Now().Add(-month-time.Minute))
			addEvents(t, app, tenant, 2, time.Now().Add(-month+time.Hour))
		}
		app.Settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)
		before := map[string]int{}
		for _, tenant := range databases {
			before[tenant] = countEvents(t, app, tenant, "")
		}

		app.Settings.AuditKeep = month
		testkit.Start(t, app.Settings)
		testkit.Start(t, app.Settings)

		for _, tenant := range databases {
			testkit.Await(t, 20*time.Second, func() error {
				if left := countEvents(t, app, tenant, "WHERE detail = 'added'"); left != 2 {
					return fmt.Errorf("%q has %d", tenant, left)
				}
				return nil
			})
			const pruned = "WHERE action = 'audit.pruned' AND actor = 'operator' AND outcome = 'success'"
			batches := countEvents(t, app, tenant, pruned)
			require.Greater(t, batches, 1, tenant)
			require.Equal(t, 1001, testkit.Scalar[int](t, &app.Settings, databaseOf(app, tenant),
				"SELECT sum(CAST(detail AS INTEGER)) FROM audit_events "+pruned), tenant)
			require.Equal(t, before[tenant]-1001+batches, countEvents(t, app, tenant, ""), "nothing else is removed")
			own := app.Settings.SQL(t, databaseOf(app, tenant))
			_, err := own.ExecContext(t.Context(), "DELETE FROM audit_events")
			require.ErrorContains(t, err, "audit events are never", tenant)
		}
	})
}

func countEvents(t *testing.T, app *testkit.App, tenant, where string) int {
	t.Helper()
	return testkit.Scalar[int](t, &app.Settings, databaseOf(app, tenant), "SELECT count(*) FROM audit_events "+where)
}
