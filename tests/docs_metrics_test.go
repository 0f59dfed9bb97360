package tests_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// metric is what docs/operating.md and a scrape say of one metric.
type metric struct {
	kind   string
	labels string // in backticks, between commas
}

// onPostgresOnly is the first row of the metrics that only PostgreSQL has.
const onPostgresOnly = "multitenant_database_connections_max"

// scrapeText returns the metrics of an application that has served a user, in
// Prometheus' text format.
func scrapeText(t *testing.T, settings testkit.Settings) string {
	t.Helper()
	settings.Metrics = true
	app := testkit.Start(t, settings)
	app.Token("acme", "ada@example.com")
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	app.Metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, request)
	return answer.Body.String()
}

// exported reads the program's own metrics from a scrape.
func exported(text string) map[string]metric {
	found := make(map[string]metric)
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (multitenant_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		sample := regexp.MustCompile(`(?m)^` + line[1] + `(?:_bucket)?\{(.+)\} `).FindString(text)
		labels := slices.DeleteFunc(captures(`(\w+)="`, sample), func(label string) bool { return label == "le" })
		for i := range labels {
			labels[i] = "`" + labels[i] + "`"
		}
		found[line[1]] = metric{kind: line[2], labels: strings.Join(labels, ", ")}
	}
	return found
}

// documented reads the table in docs/operating.md.
func documented(t *testing.T, engine testkit.Engine) map[string]metric {
	t.Helper()
	found := make(map[string]metric)
	row := regexp.MustCompile("(?m)^\\| `(multitenant_\\w+)` \\| (\\w+) \\| (.*?) ?\\| .+ \\|$")
	for _, line := range row.FindAllStringSubmatch(section(t, "docs/operating.md", "Metrics"), -1) {
		if line[1] == onPostgresOnly && engine == testkit.SQLite {
			break
		}
		found[line[1]] = metric{kind: line[2], labels: line[3]}
	}
	return found
}

// TestDocsMetrics: the program exports the metrics of the table, and names and
// describes them as Prometheus asks.
func TestDocsMetrics(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		text := scrapeText(t, settings)

		require.Equal(t, documented(t, settings.Engine), exported(text))
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
		require.Contains(t, text, "\ngo_goroutines ")
		require.Contains(t, text, "\nprocess_open_fds ")
	})
}

// dashboard is what a test reads of Grafana's own format.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		Title      string
		Datasource struct{ UID string }
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			Datasource struct{ UID string }
			Expr       string
		}
	}
}

// TestDashboard: it asks only for exported metrics, and shows all but a few of them.
func TestDashboard(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		var board dashboard
		require.NoError(t, json.Unmarshal([]byte(readFile(t, "docs/grafana_dashboard.json")), &board))
		require.Equal(t, "datasource", board.Templating.List[0].Type)
		require.Equal(t, "datasource", board.Templating.List[0].Name)

		there := exported(scrapeText(t, settings))
		if settings.Engine == testkit.SQLite {
			maps.Copy(there, documented(t, testkit.Postgres))
		}
		asked := make(map[string]bool)
		for _, panel := range board.Panels {
			require.NotEmpty(t, panel.Targets, panel.Title)
			require.Equal(t, "${datasource}", panel.Datasource.UID, panel.Title)
			require.LessOrEqual(t, panel.GridPos.Y+panel.GridPos.H, 25, "it fits a screen")
			require.LessOrEqual(t, panel.GridPos.X+panel.GridPos.W, 24, panel.Title)
			for _, target := range panel.Targets {
				require.Equal(t, "${datasource}", target.Datasource.UID, panel.Title)
				requireAnswerable(t, there, target.Expr, asked)
			}
		}
		unasked := slices.DeleteFunc(slices.Collect(maps.Keys(there)), func(name string) bool { return asked[name] })
		require.ElementsMatch(t, []string{
			"multitenant_tenants_open", "multitenant_tenants_open_max", "multitenant_database_dials_total",
			"multitenant_database_interruptions_total",
		}, unasked, "what is exported is on it, or is left out on purpose")
	})
}

// requireAnswerable requires that a query asks for metrics that are there, by
// labels that they have, and notes which.
func requireAnswerable(t *testing.T, there map[string]metric, query string, asked map[string]bool) {
	t.Helper()
	grouped := captures(`by \(([^)]*)\)`, query)
	var labels string
	for _, selector := range regexp.MustCompile(`(\w+)(?:\{([^}]*)\})`).FindAllStringSubmatch(query, -1) {
		name := selector[1]
		found, is := there[name]
		if !is { // of a histogram
			name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			found, is = there[name]
			require.True(t, is && found.kind == "histogram", "%s in %s", selector[1], query)
			found.labels += ", `le`"
		}
		asked[name] = true
		labels = found.labels + ", `instance`"
		for _, label := range captures(`(\w+)=`, selector[2]) {
			require.Contains(t, labels, "`"+label+"`", query)
		}
	}
	for _, label := range captures(`(\w+)`, strings.Join(grouped, " ")) {
		require.Contains(t, labels, "`"+label+"`", query)
	}
	// What is left is functions and numbers: no metric without a selector.
	rest := regexp.MustCompile(`\w+\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)`).ReplaceAllString(query, "")
	for _, word := range captures(`([a-z_]+)`, rest) {
		require.Contains(t, []string{"sum", "min", "max", "rate", "increase", "histogram_quantile", "topk", "vector", "or"}, word, query)
	}
}
