package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// sockets count what goes over connections.
type sockets struct {
	messages, received prometheus.Counter
	frames, sent       prometheus.Counter
	panics             prometheus.Counter

	whys  fixed[string]
	codes fixed[int]
}

func newSockets(make promauto.Factory, cfg Config) sockets {
	closed := make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_connections_closed_total",
		Help: "Connections that ended, by what ended them."}, []string{"why"})
	codes := make.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_connections_close_codes_total",
		Help: "Connections that ended, by close code: the client's own if it began, 1005 if it gave none, 1006 if it vanished."}, []string{"code"})
	return sockets{
		messages: make.NewCounter(prometheus.CounterOpts{Name: "rollcall_messages_received_total",
			Help: "Whole messages of clients."}),
		received: make.NewCounter(prometheus.CounterOpts{Name: "rollcall_received_bytes_total",
			Help: "Bytes of the messages of clients, without framing."}),
		frames: make.NewCounter(prometheus.CounterOpts{Name: "rollcall_frames_sent_total",
			Help: "Frames written to clients, pings and close frames included."}),
		sent: make.NewCounter(prometheus.CounterOpts{Name: "rollcall_sent_bytes_total",
			Help: "Bytes written to clients, framing included, TLS not."}),
		panics: make.NewCounter(prometheus.CounterOpts{Name: "rollcall_panics_total",
			Help: "Faults of the node itself in the handling of a connection; its log has the stack."}),
		whys:  newFixed(closed, cfg.Whys, func(why string) string { return why }),
		codes: newFixed(codes, cfg.CloseCodes, strconv.Itoa),
	}
}

// Received counts one message of a client.
func (m *Metrics) Received(bytes int) {
	m.sockets.messages.Inc()
	m.sockets.received.Add(float64(bytes))
}

// Sent counts what one write took.
func (m *Metrics) Sent(frames, bytes int) {
	m.sockets.frames.Add(float64(frames))
	m.sockets.sent.Add(float64(bytes))
}

// Closed counts the end of a connection.
func (m *Metrics) Closed(why string, code int) {
	m.sockets.whys.of(why).Inc()
	m.sockets.codes.of(code).Inc()
}

// Panicked counts a fault of the node.
func (m *Metrics) Panicked() { m.sockets.panics.Inc() }

// FannedOut notes how long one broadcast took to reach all queues of this node.
func (m *Metrics) FannedOut(took time.Duration) { m.fanOut.Observe(took.Seconds()) }
