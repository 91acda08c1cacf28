package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// redis counts what goes to Redis and back.
type redis struct {
	commands, took prometheus.Observer
	failed         *capped[prometheus.Counter]
	published      prometheus.Observer
	echo           prometheus.Observer
}

func newRedis(make promauto.Factory, cfg Config) redis {
	failed := make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_redis_command_errors_total",
		Help: "Commands without success: unavailable (not carried out: Redis was away or would not serve), unknown (the answer was lost), refused (Redis's own error), timeout (the caller waited no longer), overloaded (too many wait already)."}, []string{"reason"})
	r := redis{
		commands: make.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_redis_batch_commands", Buckets: batchBuckets,
			Help: "Commands that shared one pipeline to Redis; the sum is all commands."}),
		took: make.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_redis_batch_duration_seconds", Buckets: redisBuckets,
			Help: "Time from sending a pipeline until its last answer was there."}),
		failed: newCapped(maxReasons, func(reason string) prometheus.Counter { return failed.WithLabelValues(reason) }),
		published: make.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_redis_publish_duration_seconds",
			Buckets: redisBuckets,
			Help:    "Time from a publish until Redis had confirmed it, waiting for its pipeline included; failed ones too."}),
		echo: make.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_redis_echo_seconds", Buckets: redisBuckets,
			Help: "Time of a message through Redis and back: one is published each second for each subscription connection, by the node to itself, so no clocks are compared."}),
	}
	for _, reason := range cfg.Failures {
		r.failed.of(reason)
	}
	return r
}

// Batched notes one pipeline.
func (m *Metrics) Batched(commands int, took time.Duration) {
	m.redis.commands.Observe(float64(commands))
	m.redis.took.Observe(took.Seconds())
}

// CommandFailed counts a command without success.
func (m *Metrics) CommandFailed(reason string) { m.redis.failed.of(reason).Inc() }

// Published notes one publish, or several at once.
func (m *Metrics) Published(took time.Duration) { m.redis.published.Observe(took.Seconds()) }

// Echoed notes a message that came back to this node.
func (m *Metrics) Echoed(took time.Duration) { m.redis.echo.Observe(took.Seconds()) }

// leases counts heartbeats.
type leases struct {
	took   prometheus.Observer
	failed prometheus.Counter
}

func newLeases(make promauto.Factory) leases {
	return leases{
		took: make.NewHistogram(prometheus.HistogramOpts{Name: "rollcall_heartbeat_duration_seconds", Buckets: redisBuckets,
			Help: "Time of a heartbeat until Redis had answered it; failed ones too."}),
		failed: make.NewCounter(prometheus.CounterOpts{Name: "rollcall_heartbeat_errors_total",
			Help: "Heartbeats without an answer."}),
	}
}

// Beat notes one heartbeat.
func (m *Metrics) Beat(took time.Duration, err error) {
	m.leases.took.Observe(took.Seconds())
	if err != nil {
		m.leases.failed.Inc()
	}
}
