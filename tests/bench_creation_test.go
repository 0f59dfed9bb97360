package tests_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// BenchmarkCreation makes organizations from spares, and on PostgreSQL as many empty
// databases, in turns. It reports both medians, and the ratio of them. SERVERS=2 makes them
// on two servers, which share the spares, in turns.
func BenchmarkCreation(b *testing.B) {
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			settings := freshFleet(b, engine)
			settings.Quiet, settings.Spares = true, 2
			apps := make([]*testkit.App, sizes(b, "SERVERS", "1")[0])
			for i := range apps {
				apps[i] = testkit.Start(b, settings)
			}
			owner := apps[0].Token("", "ada@example.com")
			var spare, bare []time.Duration
			for i := 0; b.Loop(); i++ {
				awaitSpares(b, &settings)
				<-time.After(50 * time.Millisecond) // until nothing is done in the background
				app := apps[i%len(apps)]
				spare = append(spare, app.Time(testkit.Creation(owner, fmt.Sprintf("spared-%d", i)), http.StatusOK))
				awaitSpares(b, &settings)
				if engine == testkit.Postgres {
					bare = append(bare, timeBare(b, settings, i))
				}
			}
			report(b, "spare", spare)
			if engine == testkit.Postgres {
				report(b, "bare", bare)
				reportRatio(b, spare, bare)
			}
		})
	}
}

// timeBare makes an empty database.
func timeBare(b *testing.B, settings testkit.Settings, i int) time.Duration {
	b.Helper()
	core := settings.SQL(b, settings.CoreName())
	require.NoError(b, core.PingContext(b.Context()))
	begun := time.Now()
	_, err := core.ExecContext(b.Context(), fmt.Sprintf("CREATE DATABASE bare_%s%d TEMPLATE template0", settings.Database.TenantPrefix, i))
	require.NoError(b, err)
	return time.Since(begun)
}
