package testkit

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Samples are what a scrape has found, by the name and the labels as they are
// written there.
type Samples map[string]float64

// Scrape asks an application with Settings.Metrics for its metrics.
func (app *App) Scrape() Samples {
	app.tb.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(app.tb.Context(), http.MethodGet, "/metrics", http.NoBody)
	app.Metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, request)
	require.Equal(app.tb, http.StatusOK, answer.Code, answer.Body)
	return ParseSamples(app.tb, answer.Body.String())
}

// ParseSamples reads the text format of Prometheus.
func ParseSamples(tb testing.TB, text string) Samples {
	tb.Helper()
	sample := regexp.MustCompile(`^([a-z_:][a-zA-Z0-9_:]*(?:\{.*\})?) (\S+)$`)
	samples := make(Samples)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		found := sample.FindStringSubmatch(line)
		require.NotNil(tb, found, line)
		number, err := strconv.ParseFloat(found[2], 64)
		require.NoError(tb, err, line)
		require.NotContains(tb, samples, found[1], "told twice")
		samples[found[1]] = number
	}
	return samples
}

// Since returns what has changed since an earlier scrape, and by how much.
func (s Samples) Since(earlier Samples) Samples {
	changed := make(Samples)
	for name, number := range s {
		if number != earlier[name] {
			changed[name] = number - earlier[name]
		}
	}
	return changed
}

// Names returns the names that there are, without labels.
func (s Samples) Names() map[string]bool {
	names := make(map[string]bool)
	for sample := range s {
		name, _, _ := strings.Cut(sample, "{")
		names[name] = true
	}
	return names
}
