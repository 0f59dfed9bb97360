package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
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

	// known has the series that there are. It is never changed, only replaced: a
	// request that is like an earlier one looks it up without a lock.
	known atomic.Pointer[map[kind]series]
	mu    sync.Mutex // guards replacing known
}

// kind is what requests of one series have in common.
type kind struct {
	method, route string
	status        int
}

type series struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

func newRequests() *requests {
	r := &requests{
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
	r.known.Store(&map[kind]series{})
	return r
}

func (r *requests) measure(method, route string, status int, took time.Duration) {
	if route == "" {
		route = unmatched
	}
	k := kind{method: fold(method), route: route, status: status}
	found, is := (*r.known.Load())[k]
	if !is {
		found = r.learn(k)
	}
	found.total.Inc()
	found.duration.Observe(took.Seconds())
}

// learn adds a series.
func (r *requests) learn(k kind) series {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(*r.known.Load())
	next[k] = series{
		total:    r.total.WithLabelValues(k.method, k.route, strconv.Itoa(k.status)),
		duration: r.duration.WithLabelValues(k.method, k.route),
	}
	r.known.Store(&next)
	return next[k]
}

// fold returns the method, or one word for all that are not HTTP's own: a caller
// may send anything. What it returns keeps nothing of the request in memory.
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
