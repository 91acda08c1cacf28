package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// maxRoutes is how many routes have series of their own; scripts can be registered by the API, without end.
const maxRoutes = 200

// maxReasons bounds the sets that are constants of the program, for the day when one is not.
const maxReasons = 64

// handlers count what Lua does.
type handlers struct {
	kinds    *capped[*capped[prometheus.Observer]] // of runs, then routes
	scripts  *capped[prometheus.Observer]          // by route
	routes   *capped[string]                       // labels of failures
	reasons  *capped[string]
	failures *prometheus.CounterVec
	denials  *prometheus.CounterVec
}

func newHandlers(make promauto.Factory) handlers {
	took := make.NewHistogramVec(prometheus.HistogramOpts{Name: "rollcall_handler_duration_seconds",
		Buckets: handlerBuckets,
		Help:    "Time of one turn of a handler, waiting for a VM, for a core and for Redis included; what it returned is carried out after it. By the event, or http, and the route as registered."},
		[]string{"kind", "route"})
	lived := make.NewHistogramVec(
		prometheus.HistogramOpts{Name: "rollcall_script_duration_seconds", Buckets: scriptBuckets,
			Help: "Time that connection scripts ran, from connect to their end, by script."}, []string{"route"})
	same := func(label string) string { return label }
	return handlers{
		kinds: newCapped(maxReasons, func(kind string) *capped[prometheus.Observer] {
			return newCapped(maxRoutes, func(route string) prometheus.Observer { return took.WithLabelValues(kind, route) })
		}),
		scripts: newCapped(maxRoutes, func(route string) prometheus.Observer { return lived.WithLabelValues(route) }),
		routes:  newCapped(maxRoutes, same),
		reasons: newCapped(maxReasons, same),
		failures: make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_handler_errors_total",
			Help: "Failed runs of Lua and failed actions, by what ran, the route as registered, and why."},
			[]string{"kind", "route", "reason"}),
		denials: make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_handler_denials_total",
			Help: "Returns, calls and requests that were refused since the client may not, by its token, API key or origin; by the event and the route."},
			[]string{"kind", "route"}),
	}
}

// Ran notes one turn of an event handler or a run of an HTTP handler.
func (m *Metrics) Ran(kind, route string, took time.Duration) {
	m.handlers.kinds.of(kind).of(route).Observe(took.Seconds())
}

// ScriptRan notes the end of a connection script.
func (m *Metrics) ScriptRan(route string, took time.Duration) {
	m.handlers.scripts.of(route).Observe(took.Seconds())
}

// HandlerDenied counts what a client was not allowed, by its token, key or origin.
func (m *Metrics) HandlerDenied(kind, route string) {
	h := &m.handlers
	h.denials.WithLabelValues(h.reasons.of(kind), h.routes.of(route)).Inc()
}

// HandlerFailed counts a failed run or action.
func (m *Metrics) HandlerFailed(kind, route, reason string) {
	h := &m.handlers
	h.failures.WithLabelValues(h.reasons.of(kind), h.routes.of(route), h.reasons.of(reason)).Inc()
}
