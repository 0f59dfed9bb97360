package limits_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/models"
)

// clock stands still until it is moved.
type clock struct{ now time.Time }

func (c *clock) move(by time.Duration) { c.now = c.now.Add(by) }

func setup(t *testing.T) (*limits.Limits, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	return limits.New(&limits.Options{
		LoginsPerMinute: 20, RegistrationsPerHour: 20, TenantsPerHour: 5, AllTenantsPerHour: 8, Organizations: 20,
		PasswordsPerMinute: 3, WritesPerMinute: 5, AllWritesPerMinute: 8,
		Guesses: 10, AllGuesses: 100, Now: func() time.Time { return c.now },
	}), c
}

var here = netip.MustParseAddr("192.0.2.1")

// requireWait requires the refusal of that kind, and that it says truly for how
// long.
func requireWait(t *testing.T, err error, kind models.Kind, wait time.Duration) {
	t.Helper()
	require.True(t, models.IsKind(err, kind), "%v", err)
	var known *models.Error
	require.ErrorAs(t, err, &known)
	require.InDelta(t, wait.Seconds(), known.RetryAfter.Seconds(), 1e-6)
}

func TestNoLimits(t *testing.T) {
	t.Parallel()
	none := limits.New(nil)
	for range 1000 {
		require.NoError(t, none.Login(here))
		require.NoError(t, none.Registration(here))
		require.NoError(t, none.CheckTenant(here))
		require.NoError(t, none.Tenant(here))
		require.ErrorIs(t, none.Guess(limits.Account{}, here, wrong), errWrong)
	}
	require.Zero(t, none.Organizations())
}

func TestRates(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		count  func(l *limits.Limits, from netip.Addr) error
		number int
		kind   models.Kind
		every  time.Duration
	}{
		"logins":        {(*limits.Limits).Login, 20, models.KindTooManyLogins, 3 * time.Second},
		"registrations": {(*limits.Limits).Registration, 20, models.KindTooManyRegistrations, 3 * time.Minute},
		"tenants":       {(*limits.Limits).Tenant, 5, models.KindTooManyTenants, 12 * time.Minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, c := setup(t)
			for range tc.number {
				require.NoError(t, tc.count(l, here))
			}
			requireWait(t, tc.count(l, here), tc.kind, tc.every)
			c.move(tc.every / 3)
			for range 100 { // what is refused does not count
				requireWait(t, tc.count(l, here), tc.kind, tc.every*2/3)
			}
			require.NoError(t, tc.count(l, netip.MustParseAddr("192.0.2.2")), "others are not concerned")
			c.move(tc.every * 2 / 3)
			require.NoError(t, tc.count(l, here), "after Retry-After it goes on")
			requireWait(t, tc.count(l, here), tc.kind, tc.every)
		})
	}
}

func TestTenantsFromEverywhere(t *testing.T) {
	t.Parallel()
	l, c := setup(t)
	there, elsewhere := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	for range 5 {
		require.NoError(t, l.CheckTenant(here))
		require.NoError(t, l.Tenant(here))
	}
	for range 100 { // refused here, and so taken from nobody else
		requireWait(t, l.Tenant(here), models.KindTooManyTenants, 12*time.Minute)
	}
	for range 3 {
		require.NoError(t, l.Tenant(there))
	}
	for range 100 { // refused for all, and so not counted there
		requireWait(t, l.CheckTenant(elsewhere), models.KindTooManyTenants, time.Hour/8)
		requireWait(t, l.Tenant(elsewhere), models.KindTooManyTenants, time.Hour/8)
	}
	c.move(time.Hour / 8 * 5)
	for range 5 {
		require.NoError(t, l.Tenant(elsewhere))
	}
	require.Error(t, l.Tenant(elsewhere))
}

func TestAddressesThatCountAsOne(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		one, other string
		same       bool
	}{
		"a /64":           {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		"another /64":     {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		"IPv4":            {"192.0.2.1", "192.0.2.2", false},
		"IPv4 in IPv6":    {"192.0.2.1", "::ffff:192.0.2.1", true},
		"two IPv4 in one": {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		"zones":           {"fe80::1%eth0", "fe80::2%eth1", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := setup(t)
			for range 20 {
				require.NoError(t, l.Login(netip.MustParseAddr(tc.one)))
			}
			err := l.Login(netip.MustParseAddr(tc.other))
			require.Equal(t, tc.same, models.IsKind(err, models.KindTooManyLogins))
		})
	}
	l, _ := setup(t)
	for range 20 {
		require.NoError(t, l.Login(netip.Addr{}))
	}
	require.Error(t, l.Login(netip.Addr{}), "whose address is unknown counts as one")
}
