package tests_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/tests/testkit"
)

// BenchmarkLoginRefusals tells how alike in time the refusals of a login are.
// Each kind takes turns with a wrong password in the same place, 300 times, and
// the metric is the ratio of their medians, which must be within 10 % of 1. The
// hashes are cheaper than in production, so that other differences show more.
func BenchmarkLoginRefusals(b *testing.B) {
	const pairs = 300
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			settings := testkit.Fresh(b, engine)
			settings.Quiet, settings.Passwords = true, auth.PasswordOptions{Cost: 8}
			app := testkit.Start(b, settings)
			for _, tenant := range []string{"", "acme"} {
				app.Register(tenant, "ada@example.com")
				app.Register(tenant, "gone@example.com")
				deactivate(b, app, tenant, "gone@example.com")
			}
			app.Organization(app.TokenOf("", "ada@example.com"), "globex")
			settings.Command(b, "tenants", "suspend", "globex").RequireCode(b, 0)
			wrong := "a wrong password"
			kinds := []struct {
				name            string
				request, beside testkit.Request
			}{
				{"unknown-user", loggingIn("", "nobody@example.com", wrong), loggingIn("", "ada@example.com", wrong)},
				{"deactivated", loggingIn("", "gone@example.com", testkit.Password), loggingIn("", "ada@example.com", wrong)},
				{"long", loggingIn("", "ada@example.com", strings.Repeat("x", 73)), loggingIn("", "ada@example.com", wrong)},
				{"unknown-user-inside", loggingIn("acme", "nobody@example.com", wrong), loggingIn("acme", "ada@example.com", wrong)},
				{"suspended-tenant", loggingIn("globex", "ada@example.com", wrong), loggingIn("acme", "ada@example.com", wrong)},
				{"unknown-tenant", loggingIn("nobody", "ada@example.com", wrong), loggingIn("acme", "ada@example.com", wrong)},
			}
			times := make([][2][]time.Duration, len(kinds))
			for b.Loop() {
				for range pairs {
					for i, kind := range kinds {
						times[i][0] = append(times[i][0], app.Time(kind.request, http.StatusUnauthorized))
						times[i][1] = append(times[i][1], app.Time(kind.beside, http.StatusUnauthorized))
					}
				}
			}
			for i, kind := range kinds {
				ratio := quantile(times[i][0], 0.5).Seconds() / quantile(times[i][1], 0.5).Seconds()
				b.ReportMetric(ratio, kind.name+"/wrong")
			}
			b.ReportMetric(float64(quantile(times[0][1], 0.5).Microseconds())/1000, "ms/wrong")
		})
	}
}

// BenchmarkLoginFlood tells how long others wait while 50 clients log in as fast
// as they can, at the cost of production and without limits: /health must answer
// within 100 ms and /api/users/me within 500 ms, 99 times of 100.
func BenchmarkLoginFlood(b *testing.B) {
	const floodTime = 8 * time.Second
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			settings := testkit.Fresh(b, engine)
			settings.Quiet, settings.Passwords = true, auth.PasswordOptions{Cost: 12}
			app := testkit.Start(b, settings)
			token := app.Token("acme", "ada@example.com")
			var health, me []time.Duration
			var refused map[int]int
			for b.Loop() {
				stop := flood(app, 50)
				for begun := time.Now(); time.Since(begun) < floodTime; {
					health = append(health, app.Time(testkit.Request{Method: http.MethodGet, Path: "/health"}, http.StatusOK))
					me = append(me, app.Time(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token}, http.StatusOK))
				}
				refused = stop()
			}
			require.Len(b, refused, 2, "some are compared, some are told to come again: %v", refused)
			b.ReportMetric(float64(quantile(health, 0.99).Microseconds())/1000, "p99-ms/health")
			b.ReportMetric(float64(quantile(me, 0.99).Microseconds())/1000, "p99-ms/me")
			b.ReportMetric(float64(len(me)), "asked")
			b.ReportMetric(float64(refused[http.StatusUnauthorized]), "compared")
			b.ReportMetric(float64(refused[http.StatusServiceUnavailable]), "busy")
		})
	}
}

// flood logs in from so many clients until stop is called, which counts the
// answers.
func flood(app *testkit.App, clients int) (stop func() map[int]int) {
	var all sync.WaitGroup
	var mu sync.Mutex // guards answers
	answers := map[int]int{}
	ended := make(chan struct{})
	for range clients {
		all.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if answer, err := app.Try(loggingIn("acme", "ada@example.com", "a wrong password")); err == nil {
					mu.Lock()
					answers[answer.Code]++
					mu.Unlock()
				}
			}
		})
	}
	return func() map[int]int {
		close(ended)
		all.Wait()
		return answers
	}
}

func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[int(float64(len(times)-1)*q)]
}
