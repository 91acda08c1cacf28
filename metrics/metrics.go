package metrics

import (
	"net/http"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config of a node's metrics. The lists make series that are 0 from the start, so that a first event is seen as a rise.
type Config struct {
	Version    string   // of the node
	Whys       []string // what can end a connection
	CloseCodes []int    // with which connections end; others count as "other"
	Failures   []string // why commands to Redis have no success
}

// Metrics are all metrics of one node. Its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	rooms    *watched

	sockets  sockets
	handlers handlers
	redis    redis
	leases   leases
	api      api
	refusals refusals
	fanOut   prometheus.Histogram
}

// liveHeap is what was reachable when garbage was collected last: what connections and channels take.
var liveHeap = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}

// New makes the metrics of a node, all 0.
func New(cfg Config) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(liveHeap)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	make := promauto.With(r)
	make.NewGaugeFunc(prometheus.GaugeOpts{Name: "rollcall_build_info",
		Help:        "Always 1; the label is the version of the node.",
		ConstLabels: prometheus.Labels{"version": cfg.Version}}, func() float64 { return 1 })
	m := &Metrics{registry: r, rooms: &watched{},
		sockets: newSockets(make, cfg), handlers: newHandlers(make), redis: newRedis(make, cfg), leases: newLeases(make),
		api: newAPI(make), refusals: newRefusals(make),
		fanOut: make.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_fanout_duration_seconds", Buckets: fanOutBuckets,
			Help: "Time from when this node got a broadcast from Redis until it was in the queue of every connection here that it is for; one observation for each broadcast. Writing to sockets comes after it."}),
	}
	r.MustRegister(m.rooms)
	return m
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
}

// Gatherer gives the metrics to tests.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Buckets in seconds, or in pieces.
var (
	handlerBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	scriptBuckets  = []float64{.1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600}
	fanOutBuckets  = []float64{.000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .1,
		.5}
	redisBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3}
	batchBuckets = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)
