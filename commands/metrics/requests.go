package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Values of labels that stand for all a caller may come up with.
const (
	unmatched   = "unmatched" // of the route
	otherMethod = "other"
)

// requests counts and times requests. There are as many series as the program
// has routes, times the statuses that these answer with.
type requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newRequests() *requests {
	return &requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace,
			Name:      "http_requests_total",
			Help:      "Requests answered, by the pattern of their route, their method and their status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace,
			Name:      "http_request_duration_seconds",
			Help:      "How long answering requests took, by the pattern of their route and their method.",
			Buckets:   []float64{.001, .005, .025, .1, .5, 2.5, 10},
		}, []string{"method", "route"}),
	}
}

func (r *requests) measure(method, route string, status int, took time.Duration) {
	if route == "" {
		route = unmatched
	}
	method = fold(method)
	r.total.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	r.duration.WithLabelValues(method, route).Observe(took.Seconds())
}

// fold returns the method, or one word for all that are not HTTP's own: a caller
// may send anything. The result keeps nothing of the request in memory.
func fold(method string) string {
	for _, known := range [...]string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodHead, http.MethodOptions,
	} {
		if method == known {
			return known
		}
	}
	return otherMethod
}
