package tests_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// failover is two servers behind proxies, and a program under load that knows both.
type failover struct {
	*load

	pair     *pgtest.Pair
	proxies  map[*pgtest.Cluster]*testkit.Proxy
	settings testkit.Settings // without the proxies
}

// startFailover lists the primary first.
func startFailover(t *testing.T) *failover {
	t.Helper()
	pair := pgtest.StartPair(t)
	settings := onCluster(t, pair.Primary)
	proxies, through := testkit.StartProxies(t, settings, pair.Primary.Host(), pair.Standby.Host())
	through.Spares = 1
	f := &failover{
		pair: pair, settings: settings, load: newLoad(t, testkit.Start(t, through)),
		proxies: map[*pgtest.Cluster]*testkit.Proxy{pair.Primary: proxies[0], pair.Standby: proxies[1]},
	}
	f.await(t, 10, f.registrations)
	return f
}

// on are settings that lead to one of the servers alone.
func (f *failover) on(t *testing.T, cluster *pgtest.Cluster) testkit.Settings {
	t.Helper()
	settings := f.settings
	address, err := url.Parse(settings.Database.URL)
	require.NoError(t, err)
	address.Host = cluster.Host()
	settings.Database.URL, settings.Admin = address.String(), cluster.URL()
	return settings
}

func (f *failover) awaitReady(t *testing.T, code int) {
	t.Helper()
	testkit.Await(t, patience+slack, func() error {
		if ready := f.app.Get("/ready", ""); ready.Code != code {
			return fmt.Errorf("ready is %d: %s", ready.Code, ready.Raw)
		}
		return nil
	})
}

// requireOutage requires that the program says so while there is no primary.
func (f *failover) requireOutage(t *testing.T) {
	t.Helper()
	f.awaitReady(t, http.StatusServiceUnavailable)
	f.await(t, 5, f.refusals)
	f.app.Get("/ready", "").RequireProblem(f.app, 503, "core_unavailable", "Service is unavailable")
}

// requireAllKept requires that the primary has each acknowledged write.
func (f *failover) requireAllKept(t *testing.T) {
	t.Helper()
	f.app.Settings.Database.URL = f.on(t, f.pair.Primary).Database.URL
	f.requireKept(t)
}

// TestPrimaryIsKilledAndComesBackAsStandby: the standby is promoted, and the program
// follows it. Then the standby is the first host of the URL.
func TestPrimaryIsKilledAndComesBackAsStandby(t *testing.T) {
	t.Parallel()
	f := startFailover(t)

	require.NoError(t, f.pair.Primary.Kill())
	f.requireOutage(t)
	require.NoError(t, f.pair.Promote(t.Context()))
	f.requireRecovery(t)

	require.NoError(t, f.pair.Demote(t.Context()))
	f.await(t, 10, f.registrations)
	owner := f.app.Token("", "grace@example.com")
	f.app.Organization(owner, "later")
	require.Equal(t, http.StatusNoContent, f.app.Delete("/api/organizations/later", owner).Code)
	another := testkit.Start(t, f.app.Settings)
	require.Equal(t, http.StatusOK, another.Get("/ready", "").Code)
	another.Organization(owner, "latest")
	f.requireAllKept(t)
}

// TestPrimaryIsSilent: packets are dropped, and no socket ends. Later the old primary
// takes writes again, as one does that no cluster manager has fenced.
func TestPrimaryIsSilent(t *testing.T) {
	t.Parallel()
	f := startFailover(t)
	balancer, balanced := f.behindBalancer(t)

	f.proxies[f.pair.Primary].Hold()
	f.requireOutage(t)
	balanced.requireOutage(t)
	require.NoError(t, f.pair.Promote(t.Context()))
	balancer.Lead(f.proxies[f.pair.Primary].Address())
	for _, one := range []*failover{f, balanced} {
		one.awaitReady(t, http.StatusOK)
		one.requireRecovery(t)
	}
	balanced.end()
	f.requireStaleIsLeftAlone(t)
	f.requireAllKept(t)
	balanced.requireAllKept(t)
}

// behindBalancer is another program. It knows one address, which leads to the primary.
// The balancer does not end the connections to a server that has failed.
func (f *failover) behindBalancer(t *testing.T) (*testkit.Proxy, *failover) {
	t.Helper()
	one := *f
	balancers, through := testkit.StartProxies(t, f.settings, f.proxies[f.pair.Primary].Address())
	app := testkit.Start(t, through)
	one.load = newLoadFrom(t, app, 100_000)
	one.await(t, 10, one.registrations)
	return balancers[0], &one
}

// requireStaleIsLeftAlone lets the old primary take writes, and then takes the new one
// away for a while: the program must not go back.
func (f *failover) requireStaleIsLeftAlone(t *testing.T) {
	t.Helper()
	stale := f.on(t, f.pair.Standby)
	stale.Administer(t, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	f.proxies[f.pair.Standby].Release()
	f.await(t, 10, f.registrations)
	rows := func() string {
		return fmt.Sprint(
			testkit.Scalar[int](t, &stale, stale.CoreName(), "SELECT count(*) FROM tenants"),
			testkit.Scalar[int](t, &stale, stale.DatabaseName("acme"), "SELECT count(*) FROM tenant_users"))
	}
	before := rows()
	f.proxies[f.pair.Primary].Hold()
	f.requireOutage(t)
	f.proxies[f.pair.Primary].Release()
	f.requireRecovery(t)
	require.Equal(t, before, rows())
}
