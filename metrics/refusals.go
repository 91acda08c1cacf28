package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// refusals count who was not let in.
type refusals struct {
	upgrades, sockets, tokens *capped[prometheus.Counter]
}

func newRefusals(make promauto.Factory) refusals {
	upgrades := make.NewCounterVec(
		prometheus.CounterOpts{Name: "rollcall_upgrades_refused_total",
			Help: "WebSocket upgrades that were refused, by reason; bad tokens are counted for themselves."}, []string{"reason"})
	sockets := make.NewCounterVec(
		prometheus.CounterOpts{Name: "rollcall_sockets_refused_total",
			Help: "Sockets that were refused before any request, by reason."}, []string{"reason"})
	tokens := make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_tokens_refused_total",
		Help: "Tokens that were refused, by what is wrong with them."}, []string{"code"})
	return refusals{
		upgrades: newCapped(maxReasons, func(reason string) prometheus.Counter { return upgrades.WithLabelValues(reason) }),
		sockets:  newCapped(maxReasons, func(reason string) prometheus.Counter { return sockets.WithLabelValues(reason) }),
		tokens:   newCapped(maxReasons, func(code string) prometheus.Counter { return tokens.WithLabelValues(code) }),
	}
}

// Refused counts an upgrade that was refused. The reason is a constant of the program, such as "draining".
func (m *Metrics) Refused(reason string) { m.refusals.upgrades.of(reason).Inc() }

// SocketRefused counts a socket that was refused before any request. The reason is a constant of the program.
func (m *Metrics) SocketRefused(reason string) { m.refusals.sockets.of(reason).Inc() }

// TokenRefused counts a token that was refused. The code is auth's.
func (m *Metrics) TokenRefused(code string) { m.refusals.tokens.of(code).Inc() }

// ExpectRefusals makes the series of reasons and codes that may come, all 0.
func (m *Metrics) ExpectRefusals(upgrades, sockets, codes []string) {
	for _, r := range upgrades {
		m.refusals.upgrades.of(r)
	}
	for _, r := range sockets {
		m.refusals.sockets.of(r)
	}
	for _, c := range codes {
		m.refusals.tokens.of(c)
	}
}

// api counts requests of back ends.
type api struct {
	requests *prometheus.CounterVec
	took     *capped[prometheus.Observer]
	ops      *capped[string]
}

func newAPI(make promauto.Factory) api {
	took := make.NewHistogramVec(prometheus.HistogramOpts{Name: "rollcall_api_request_duration_seconds",
		Buckets: redisBuckets,
		Help:    "Time of a request to /_api, by operation."}, []string{"operation"})
	return api{
		requests: make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_api_requests_total",
			Help: "Requests to /_api, by operation as in its OpenAPI document, and class of the answer's status."},
			[]string{"operation", "status"}),
		took: newCapped(maxReasons, func(op string) prometheus.Observer { return took.WithLabelValues(op) }),
		ops:  newCapped(maxReasons, func(op string) string { return op }),
	}
}

// Answered notes an answer of /_api. The operation is a constant of the program.
func (m *Metrics) Answered(operation string, status int, took time.Duration) {
	m.api.requests.WithLabelValues(m.api.ops.of(operation), class(status)).Inc()
	m.api.took.of(operation).Observe(took.Seconds())
}

// class is the class of a status: "2xx".
func class(status int) string {
	if status < 100 || status > 599 {
		return other
	}
	return strconv.Itoa(status/100) + "xx"
}
