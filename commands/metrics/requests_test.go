package metrics_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/commands/metrics"
)

const route = "/api/users/me"

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, request)
	return answer.Body.String()
}

// Requests of many kinds at once: none is lost while series are being added.
func TestMeasureCountsAll(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for status := 200; status < 300; status++ {
				m.Measure(http.MethodGet, route, status, time.Millisecond)
			}
		})
	}
	all.Wait()

	text := scrape(t, m)
	for status := 200; status < 300; status++ {
		require.Contains(t, text, fmt.Sprintf("{method=\"GET\",route=%q,status=\"%d\"} 8\n", route, status))
	}
	require.Contains(t, text, fmt.Sprintf("multitenant_http_request_duration_seconds_count{method=\"GET\",route=%q} 800\n", route))
}

// However many words callers come up with, there is one series for them.
func TestMeasureFoldsWhatCallersChoose(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	for i := range 1000 {
		m.Measure(fmt.Sprintf("BREW%d", i), "", http.StatusNotFound, 0)
	}

	text := scrape(t, m)
	require.Contains(t, text, `multitenant_http_requests_total{method="other",route="unmatched",status="404"} 1000`)
	require.Equal(t, 1, strings.Count(text, "\nmultitenant_http_requests_total{"))
}

func BenchmarkMeasure(b *testing.B) {
	m := metrics.New()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Measure(http.MethodGet, route, http.StatusOK, time.Millisecond)
		}
	})
}
