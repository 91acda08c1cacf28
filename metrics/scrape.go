package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Scrape takes the metrics of what simply is, or is counted in a room: each is named once, where it is told. A name
// keeps its help text and its labels.
type Scrape struct{ out chan<- prometheus.Metric }

// Gauge tells a value that rises and falls; labels are names, each followed by its value.
func (s Scrape) Gauge(name, help string, value float64, labels ...string) {
	s.tell(prometheus.GaugeValue, name, help, value, labels)
}

// Counter tells a value that only rises.
func (s Scrape) Counter(name, help string, value float64, labels ...string) {
	s.tell(prometheus.CounterValue, name, help, value, labels)
}

func (s Scrape) tell(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	s.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}

// Bool is a gauge's 1 or 0.
func Bool(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Watch says who tells their metrics in each scrape, in place of those before. They are called from any goroutine.
func (m *Metrics) Watch(rooms ...func(Scrape)) { m.rooms.Store(&rooms) }

// watched is the collector of what the rooms tell.
type watched struct {
	atomic.Pointer[[]func(Scrape)]
}

// Describe is prometheus.Collector's; what there will be is not known beforehand.
func (w *watched) Describe(chan<- *prometheus.Desc) {}

// Collect asks the rooms.
func (w *watched) Collect(out chan<- prometheus.Metric) {
	if rooms := w.Load(); rooms != nil {
		for _, tell := range *rooms {
			tell(Scrape{out})
		}
	}
}
