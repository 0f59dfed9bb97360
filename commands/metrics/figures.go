package metrics

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"multitenant/backups"
	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
)

// registryTimeout bounds the question to the core database: a scrape must tell
// the rest when that does not answer.
const registryTimeout = 2 * time.Second

// A count reads the whole registry. Where there are more than manyTenants it is repeated
// after countEvery at the soonest.
const (
	manyTenants = 100_000
	countEvery  = time.Minute
)

// figures collects what is kept elsewhere, at each scrape.
type figures struct {
	manager  *tenants.Manager
	backend  database.Backend
	backups  func() backups.Figures
	families []family

	mu      sync.Mutex           // guards counted and its time
	counted []models.StatusCount // nil if it must be counted anew
	at      time.Time
}

// snapshot is what one scrape has found.
type snapshot struct {
	tenants  tenants.Figures
	database database.Stats
	backups  backups.Figures
	statuses []models.StatusCount // nil where core is out of reach
	// operations is nil where core is out of reach.
	operations []models.OperationCount
}

// family is one metric with its values.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s *snapshot) []value // nil where nothing can be said
}

type value struct {
	labels []string // the values of the labels
	number int
}

// of returns a value of a family with one label.
func of(label string, number int) value { return value{labels: []string{label}, number: number} }

// Describe tells which metrics there are.
func (f *figures) Describe(descs chan<- *prometheus.Desc) {
	for i := range f.families {
		descs <- f.families[i].desc
	}
}

// Collect tells their values.
func (f *figures) Collect(metrics chan<- prometheus.Metric) {
	s := &snapshot{tenants: f.manager.Figures(), database: f.backend.Stats(), backups: f.backups()}
	f.readCore(s)
	for i := range f.families {
		family := &f.families[i]
		for _, v := range family.read(s) {
			metrics <- prometheus.MustNewConstMetric(family.desc, family.kind, float64(v.number), v.labels...)
		}
	}
}

// readCore counts the tenants and the operations. If core does not answer, the metric of
// its reachability says so.
func (f *figures) readCore(s *snapshot) {
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	statuses, err := f.countStatuses(ctx)
	if err != nil {
		return
	}
	operations, err := models.CountOperations(ctx, f.manager.Core())
	if err != nil {
		return
	}
	s.statuses, s.operations = statuses, operations
}

// countStatuses counts the tenants by their status, in one query.
func (f *figures) countStatuses(ctx context.Context) ([]models.StatusCount, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counted != nil && time.Since(f.at) < countEvery {
		return f.counted, nil
	}
	began := time.Now()
	counts, err := models.CountStatuses(ctx, f.manager.Core())
	if err != nil {
		return nil, err
	}
	total := 0
	for _, count := range counts {
		total += count.Tenants
	}
	f.counted, f.at = nil, began
	if total > manyTenants {
		f.counted = counts
	}
	return counts, nil
}

func counter(name, help string, read func(*snapshot) int) family {
	return single(prometheus.CounterValue, name, help, read)
}

func gauge(name, help string, read func(*snapshot) int) family {
	return single(prometheus.GaugeValue, name, help, read)
}

func single(kind prometheus.ValueType, name, help string, read func(*snapshot) int) family {
	return family{
		desc: prometheus.NewDesc(namespace+"_"+name, help, nil, nil),
		kind: kind,
		read: func(s *snapshot) []value { return []value{{number: read(s)}} },
	}
}

// labelled is a family with labels, whose names are separated by spaces.
func labelled(kind prometheus.ValueType, name, label, help string, read func(*snapshot) []value) family {
	return family{desc: prometheus.NewDesc(namespace+"_"+name, help, strings.Split(label, " "), nil), kind: kind, read: read}
}

// only limits a family to when something can be said.
func (f family) only(when func(*snapshot) bool) family {
	read := f.read
	f.read = func(s *snapshot) []value {
		if !when(s) {
			return nil
		}
		return read(s)
	}
	return f
}
