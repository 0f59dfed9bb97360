package tests_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/tests/testkit"
)

// TestATenantIsSlow: its requests take what connections it may have, and the
// others still find one. When two are slow none is left: whoever comes then is
// told soon to come back, and served once one of them is done.
func TestATenantIsSlow(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Database.MaxConnections = database.MinConnections
	app := testkit.Start(t, settings)
	acme := app.Token("acme", "ada@example.com")
	globex := app.Token("globex", "grace@example.com")
	hooli := app.Token("hooli", "hank@example.com")
	asked := administrator(t, &settings)
	answers := make(chan testkit.Response, 16)
	slow := func(tenant, token string, requests int) (end func()) {
		holder, err := settings.SQL(t, settings.DatabaseName(tenant)).BeginTx(t.Context(), nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = holder.Rollback() })
		_, err = holder.ExecContext(t.Context(), "LOCK TABLE tenant_users IN ACCESS EXCLUSIVE MODE")
		require.NoError(t, err)
		for range requests {
			go func() {
				response, _ := app.Try(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: token})
				answers <- response
			}()
		}
		return func() { _ = holder.Rollback() }
	}

	endAcme := slow("acme", acme, 6)
	require.Eventually(t, func() bool { return app.Backend.Stats().Waiting == 3 }, patience, time.Millisecond)
	require.Equal(t, http.StatusOK, app.Get("/api/users/me", hooli).Code)

	endGlobex := slow("globex", globex, 1)
	testkit.Await(t, patience, func() error {
		if held := asked(`SELECT count(*)::text FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND starts_with(datname, '` + settings.Database.TenantPrefix + `')`); held < "4" {
			return fmt.Errorf("%s requests wait for their tenant", held)
		}
		return nil
	})
	response := app.Get("/api/users/me", hooli)
	response.RequireProblem(app, 503, "busy", "Server is busy, try again")
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Positive(t, app.Backend.Stats().BusyRefusals)
	require.Equal(t, http.StatusOK, app.Get("/ready", "").Code, "core has its own")

	endGlobex()
	require.Equal(t, http.StatusOK, app.Get("/api/users/me", hooli).Code)
	endAcme()
	codes := map[int]int{}
	for range 7 {
		codes[(<-answers).Code]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 4, http.StatusServiceUnavailable: 3}, codes)
}
