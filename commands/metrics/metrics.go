// Package metrics tells Prometheus how the service does. It alone knows that
// library: the other packages expose plain figures and call hooks.
//
// No label has a value that a caller chooses, and none names a tenant.
package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"multitenant/backups"
	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

const (
	namespace = "multitenant"
	// maxScrapes bounds those at once: each asks the core database.
	maxScrapes = 4
)

// Labels with the same words in several metrics.
const (
	outcome        = "outcome"
	outcomeMade    = "made"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

// Metrics is all that one running service exports, in a registry of its own.
type Metrics struct {
	// Backups, if it is set before Watch, tells of the backups that this process makes.
	Backups func() backups.Figures

	registry     *prometheus.Registry
	requests     *requests
	provisioning *prometheus.HistogramVec
}

// New returns the metrics of a service that is being started, with those of the
// Go runtime and the process.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: newRequests(),
		provisioning: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace,
			Name:      "tenant_provisioning_duration_seconds",
			Help: "How long making a tenant took, by whether there was a spare or a new database was made, and by how it " +
				"ended: refused means that the slug was taken.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"source", outcome}),
	}
	for _, ended := range []string{outcomeMade, outcomeRefused, outcomeFailed} {
		for _, spare := range []bool{true, false} {
			m.provisioning.WithLabelValues(sourceOf(spare), ended) // so that it begins at zero
		}
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests.total, m.requests.duration, m.provisioning,
	)
	return m
}

// Watch adds the figures of what the service works with.
func (m *Metrics) Watch(manager *tenants.Manager, backend database.Backend) {
	made := m.Backups
	if made == nil {
		made = func() backups.Figures { return backups.Figures{} }
	}
	m.registry.MustRegister(&figures{manager: manager, backend: backend, backups: made, families: families()})
}

// Measure notes that a request has been answered.
func (m *Metrics) Measure(method, route string, status int, took time.Duration) {
	m.requests.measure(method, route, status, took)
}

// Provisioned notes that the making of a tenant has ended.
func (m *Metrics) Provisioned(p tenants.Provisioned) {
	m.provisioning.WithLabelValues(sourceOf(p.Spare), outcomeOf(p.Err)).Observe(p.Took.Seconds())
}

func sourceOf(spare bool) string {
	if spare {
		return "spare"
	}
	return "new"
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return outcomeMade
	case models.IsKind(err, models.KindSlugTaken):
		return outcomeRefused
	}
	return outcomeFailed
}

// Handler serves /metrics and nothing else.
func (m *Metrics) Handler(logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	}))
	return mux
}
