package testkit

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// StartProxies puts a proxy before each of several hosts, until the end of the test, and
// returns settings whose URL names the proxies in that order.
func StartProxies(tb testing.TB, settings Settings, hosts ...string) ([]*Proxy, Settings) {
	tb.Helper()
	address, err := url.Parse(settings.Database.URL)
	require.NoError(tb, err)
	proxies, through := make([]*Proxy, len(hosts)), make([]string, len(hosts))
	for i, host := range hosts {
		address.Host = host
		settings.Database.URL = address.String()
		var way string
		proxies[i], way = startProxy(tb, settings)
		there, err := url.Parse(way)
		require.NoError(tb, err)
		through[i] = there.Host
	}
	address.Host = strings.Join(through, ",")
	settings.Database.URL = address.String()
	return proxies, settings
}
