package metrics

import (
	"context"
	"strings"
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
	statuses, err := models.CountStatuses(ctx, f.manager.Core())
	if err != nil {
		return
	}
	operations, err := models.CountOperations(ctx, f.manager.Core())
	if err != nil {
		return
	}
	s.statuses, s.operations = statuses, operations
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
