package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/tests/testkit"
)

const (
	made     = `multitenant_tenant_provisioning_duration_seconds_count{outcome="made",source=`
	refused  = `multitenant_tenant_provisioning_duration_seconds_count{outcome="refused",source=`
	opened   = `multitenant_tenant_opens_total{outcome="opened"}`
	evicted  = `multitenant_tenant_evictions_total{reason="room"}`
	migrated = `multitenant_tenant_migrations_total{outcome="migrated"}`
	unusable = `multitenant_tenant_migrations_total{outcome="failed"}`
	openNow  = "multitenant_tenants_open"
	deleted  = "multitenant_tenant_deletions_total"
)

func withStatus(status string) string { return `multitenant_tenants{status="` + status + `"}` }

// requestsIn returns the counts of requests among the samples.
func requestsIn(samples testkit.Samples) testkit.Samples {
	counts := make(testkit.Samples)
	for name, number := range samples {
		if strings.HasPrefix(name, "multitenant_http_requests_total{") {
			counts[name] = number
		}
	}
	return counts
}

// TestMetricsOfRequests: each is counted once, under words of the program's own.
func TestMetricsOfRequests(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Metrics = true
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		before := app.Scrape()

		app.Login("acme", "ada@example.com")
		app.LoginWith("acme", "ada@example.com", "not the password")
		app.Get("/api/organizations/acme", core)
		app.Get("/api/organizations/globex", core)
		app.Get("/acme/nothing", "")
		app.Get("/metrics", "") // is not the API's business
		app.Delete("/api/users/me/password", core)
		for _, method := range []string{"BREW", "get", "TRACE"} {
			app.Do(testkit.Request{Method: method, Path: "/health"})
		}

		after := app.Scrape()
		require.Equal(t, testkit.Samples{
			`multitenant_http_requests_total{method="POST",route="/api/auth/login",status="200"}`:         1,
			`multitenant_http_requests_total{method="POST",route="/api/auth/login",status="401"}`:         1,
			`multitenant_http_requests_total{method="GET",route="/api/organizations/:slug",status="200"}`: 1,
			`multitenant_http_requests_total{method="GET",route="/api/organizations/:slug",status="404"}`: 1,
			`multitenant_http_requests_total{method="GET",route="unmatched",status="404"}`:                2,
			`multitenant_http_requests_total{method="DELETE",route="unmatched",status="405"}`:             1,
			`multitenant_http_requests_total{method="other",route="unmatched",status="405"}`:              3,
		}, requestsIn(after.Since(before)))
		for name := range after {
			require.NotRegexp(t, `acme|globex|ada|BREW|TRACE|"get"|`+idOf(t, &settings, "slug = 'acme'"), name)
		}
		logins := `{method="POST",route="/api/auth/login"`
		require.InDelta(t, 2, after.Since(before)["multitenant_http_request_duration_seconds_count"+logins+"}"], 0)
		require.Positive(t, after.Since(before)["multitenant_http_request_duration_seconds_sum"+logins+"}"])
		require.InDelta(t, 3, after["multitenant_http_request_duration_seconds_bucket"+logins+`,le="10"}`], 0)
	})
}

// TestMetricsOfTenants follows tenants from nothing to nothing.
func TestMetricsOfTenants(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		settings.Metrics = true
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		samples := app.Scrape()
		require.InDelta(t, 1, samples[made+`"new"}`], 0)
		require.InDelta(t, 0, samples[made+`"spare"}`], 0)
		require.InDelta(t, 1, samples[withStatus("ready")], 0)
		require.InDelta(t, 1, samples["multitenant_core_reachable"], 0)
		require.Positive(t, samples["multitenant_database_connections"])
		app.Close()

		settings.Spares = 1
		app = testkit.Start(t, settings)
		awaitSpares(t, &settings)
		settings.CreateDatabase(t, settings.DatabaseName("initech"))
		before := app.Scrape()
		require.InDelta(t, 1, before["multitenant_spares_ready"], 0)
		app.CreateOrganization(core, "initech").RequireProblem(app, 400, "slug_taken", "Organization slug already exists")
		app.Organization(core, "globex")
		app.TokenOf("globex", "ada@example.com")
		app.Put("/api/organizations/acme", core, testkit.JSON{"is_active": false})
		awaitSpares(t, &settings)
		require.Subset(t, app.Scrape().Since(before), testkit.Samples{
			refused + `"spare"}`: 1, made + `"spare"}`: 1, withStatus("suspended"): 1, opened: 1, openNow: 1,
		})
		require.NotContains(t, app.Scrape().Since(before), withStatus("ready"), "one more, and one less")
		require.NotContains(t, app.Scrape().Since(before), made+`"new"}`)

		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/globex", core).Code)
		since := app.Scrape().Since(before)
		require.InDelta(t, 1, since[deleted], 0)
		require.InDelta(t, -1, since[withStatus("ready")], 0)
		require.NotContains(t, since, openNow, "its database is closed")
	})
}

// TestMetricsCountManyTenantsSeldom: a count of a large registry is kept for a minute.
func TestMetricsCountManyTenantsSeldom(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Metrics = true
	app := testkit.Start(t, settings)
	fillRegistry(t, &settings, 100_001)
	require.InDelta(t, 100_001, app.Scrape()[withStatus("ready")], 0)

	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'suspended' WHERE slug = 'row-1'")

	require.InDelta(t, 100_001, app.Scrape()[withStatus("ready")], 0)
}

// TestMetricsOfUnfinishedBusiness: what the reconciler finds at the start.
func TestMetricsOfUnfinishedBusiness(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex", "initech")
		app.Close()
		settings.Exec(t, settings.CoreName(),
			"UPDATE tenants SET status = 'deleting' WHERE slug = 'acme'", "UPDATE tenants SET status = 'provisioning' WHERE slug = 'globex'")

		settings.Metrics = true
		app = testkit.Start(t, settings)
		awaitUnfinished(t, &settings, 0)
		var samples testkit.Samples
		testkit.Await(t, patience, func() error { // they are counted after their rows are gone
			samples = app.Scrape()
			if samples[deleted] == 0 || samples[`multitenant_reconciler_actions_total{action="undone"}`] == 0 ||
				samples[`multitenant_reconciler_actions_total{action="deleted"}`] == 0 {
				return errors.New("not everything is counted")
			}
			return nil
		})

		for action, want := range map[string]float64{"deleted": 1, "undone": 1, "left": 0, "failed": 0} {
			require.InDelta(t, want, samples[`multitenant_reconciler_actions_total{action="`+action+`"}`], 0, action)
		}
		require.InDelta(t, 1, samples[deleted], 0, "what was never whole is not deleted")
		require.InDelta(t, 1, samples[withStatus("ready")], 0)
	})
}

// TestMetricsOfMigrations on first use, of which one fails.
func TestMetricsOfMigrations(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		fleetOf(app, "acme", "globex")
		app.Close()
		settings.Exec(t, settings.DatabaseName("globex"), "CREATE TABLE notes (id integer)")

		settings = nextRelease(settings, createTable(notesID, "notes"))
		settings.Metrics = true
		app = testkit.Start(t, settings)
		require.Equal(t, http.StatusOK, app.Login("acme", "ada@example.com").Code)
		require.Equal(t, http.StatusServiceUnavailable, app.Login("globex", "ada@example.com").Code)

		samples := app.Scrape()
		require.InDelta(t, 1, samples[migrated], 0)
		require.InDelta(t, 1, samples[unusable], 0)
		require.InDelta(t, 1, samples["multitenant_tenants_failed"], 0)
	})
}

// TestMetricsOfEvictions: one tenant more than may be open.
func TestMetricsOfEvictions(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Metrics = true
	c := newMultitude(t, settings, 65)
	app := testkit.Start(t, settings)
	limit := app.Backend.MaxOpen()
	require.Len(t, c.copies, limit+1)
	for i := range limit {
		require.NoError(t, c.ask(app, i))
	}
	before := app.Scrape()
	require.InDelta(t, limit, before[openNow], 0)
	require.InDelta(t, limit, before["multitenant_tenants_open_max"], 0)
	require.InDelta(t, 0, before[evicted], 0)

	require.NoError(t, c.ask(app, limit))
	require.NoError(t, c.ask(app, 0), "the least recently used")
	require.NoError(t, c.ask(app, 0))

	since := app.Scrape().Since(before)
	require.InDelta(t, 2, since[opened], 0)
	require.InDelta(t, 2, since[evicted], 0)
	require.NotContains(t, since, openNow)
}

// TestMetricsOfConnections: there are more tenants than connections for them.
func TestMetricsOfConnections(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Metrics, settings.Database.MaxConnections = true, database.MinConnections
	app := testkit.Start(t, settings)
	for i := range 6 { // of which four could be connected
		app.Token(fmt.Sprintf("tenant-%d", i), "ada@example.com")
	}

	samples := app.Scrape()
	all := samples["multitenant_database_connections"]
	require.InDelta(t, database.MinConnections, samples["multitenant_database_connections_max"], 0)
	require.LessOrEqual(t, all, samples["multitenant_database_connections_max"])
	require.LessOrEqual(t, samples["multitenant_database_connections_in_use"]+samples["multitenant_database_connections_idle"], all)
	require.Positive(t, samples["multitenant_database_connections_idle"])
	require.Greater(t, samples["multitenant_database_dials_total"], all)
	require.Positive(t, samples["multitenant_database_connection_evictions_total"])
	require.InDelta(t, 0, samples["multitenant_database_connection_waiters"], 0)
}

// TestMetricsWithoutCore: the rest is told, and soon, when core does not answer.
func TestMetricsWithoutCore(t *testing.T) {
	t.Parallel()
	proxy, settings := testkit.StartProxy(t, testkit.Fresh(t, testkit.Postgres))
	settings.Metrics = true
	app := testkit.Start(t, settings)
	app.Token("acme", "ada@example.com")
	require.Contains(t, app.Scrape(), withStatus("ready"))

	proxy.Hold()
	begun := time.Now()
	samples := app.Scrape()
	require.Less(t, time.Since(begun), 2*time.Second+slack)
	require.InDelta(t, 0, samples["multitenant_core_reachable"], 0)
	for name := range samples.Names() {
		require.NotContains(t, []string{"multitenant_tenants", "multitenant_tenants_failed", "multitenant_spares_ready"}, name)
	}
	require.InDelta(t, 1, samples[openNow], 0)

	proxy.Release()
	testkit.Await(t, 10*time.Second, func() error {
		if samples := app.Scrape(); samples["multitenant_core_reachable"] != 1 || samples[withStatus("ready")] != 1 {
			return fmt.Errorf("%v", samples)
		}
		return nil
	})
}
