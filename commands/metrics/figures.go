package metrics

import (
	"context"
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

// figures collects what is kept elsewhere, at each scrape.
type figures struct {
	manager  *tenants.Manager
	backend  database.Backend
	backups  func() backups.Figures
	families []family
}

// snapshot is what one scrape has found.
type snapshot struct {
	tenants  tenants.Figures
	database database.Stats
	backups  backups.Figures
	statuses []models.StatusCount // nil where core is out of reach
}

// family is one metric with its values.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s *snapshot) []value // nil where nothing can be said
}

type value struct {
	label  string // empty in a family without label
	number int
}

// Describe tells which metrics there are.
func (f *figures) Describe(descs chan<- *prometheus.Desc) {
	for i := range f.families {
		descs <- f.families[i].desc
	}
}

// Collect tells their values.
func (f *figures) Collect(metrics chan<- prometheus.Metric) {
	s := &snapshot{tenants: f.manager.Figures(), database: f.backend.Stats(), backups: f.backups(), statuses: f.statuses()}
	for i := range f.families {
		family := &f.families[i]
		for _, v := range family.read(s) {
			var labels []string
			if v.label != "" {
				labels = []string{v.label}
			}
			metrics <- prometheus.MustNewConstMetric(family.desc, family.kind, float64(v.number), labels...)
		}
	}
}

// statuses counts the tenants by their status, in one query.
func (f *figures) statuses() []models.StatusCount {
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	counts, err := models.CountStatuses(ctx, f.manager.Core())
	if err != nil {
		return nil // the metric of core's reachability says so
	}
	return counts
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

func labelled(kind prometheus.ValueType, name, label, help string, read func(*snapshot) []value) family {
	return family{desc: prometheus.NewDesc(namespace+"_"+name, help, []string{label}, nil), kind: kind, read: read}
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
