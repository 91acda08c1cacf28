package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Snapshot is a node at one moment, and what its rooms have counted since its start.
type Snapshot struct {
	Ready    bool // SPEC 2, /readyz
	Draining bool
	Rooms    *Rooms // nil: the node still waits for Redis
	JWKS     *JWKS  // nil: none is configured
}

// Rooms is the state of the rooms of a node.
type Rooms struct {
	// wsconn
	Connections int    // open
	Accepted    uint64 // since the start
	Dropped     uint64 // frames

	// hub
	Channels            int // with someone here in them
	BroadcastsPublished int64
	BroadcastsReceived  int64
	Deliveries          int64

	// broker
	RedisQueue      int // commands that wait for a pipeline
	RedisQueueBytes int
	RedisMessages   uint64
	RedisTopics     int
	RedisLinks      int    // subscription connections that stand
	RedisLinkBreaks uint64 // and were lost
	RedisBreaks     uint64

	// cluster
	Lease              string // "held", "in_doubt", "lost"
	Nodes              int    // alive
	Incarnations       int64
	ReapedIncarnations int64
	ReapedEntries      int64
	ReapErrors         int64
	QuestionsDropped   int64 // of other nodes
	QuestionsRefused   int64 // of this one

	// presence
	PresenceChannels int // with a view
	PresenceUsers    int // in the views
	PresenceEntries  int // of this node's connections
	PresencePending  int // of these, not in Redis as they should be
	PresenceHeld     int // removals that are held back
	Snapshots        int64
	Gaps             int64
	Resyncs          map[string]int64 // by reason
	Audits           int64
	PresenceMerged   int64
	PresenceRefused  int64
	AuditErrors      int64
	Repairs          int64
	Orphans          int64

	// app
	VMs        int // of handlers
	VMsBusy    int
	TurnQueue  int           // turns that wait for a VM
	Scripts    int           // connection scripts that run
	GateQueue  int           // VMs that wait for a core
	GateWaited time.Duration // all together
	LuaMemory  int64         // bytes
	LogDropped int64         // lines of handlers and scripts
}

// JWKS is how the following of the JWKS goes.
type JWKS struct {
	Keys     int
	Fetched  time.Time // zero: never
	Failures int       // in a row since
}

// Watch says where snapshots come from. read is called in each scrape, from any goroutine.
func (m *Metrics) Watch(read func() Snapshot) { m.state.read.Store(&read) }

// state makes metrics of snapshots.
type state struct {
	read                              atomic.Pointer[func() Snapshot]
	rows                              []row
	lease                             *prometheus.Desc
	syncs                             *prometheus.Desc
	ready, draining                   *prometheus.Desc
	jwksKeys, jwksFetched, jwksFailed *prometheus.Desc
}

// row is one metric of the rooms without labels.
type row struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Rooms) float64
}

// leaseStates are the labels of rollcall_lease_state.
var leaseStates = [...]string{"held", "in_doubt", "lost"}

func newState() *state {
	s := &state{
		lease:       desc("rollcall_lease_state", "1 for the state that the node's lease in Redis is in, 0 for the others: held, in_doubt (the heartbeats are not answered), lost (a new one is being taken).", "state"),
		syncs:       desc("rollcall_presence_resyncs_total", "Times that a channel's presence was read again from Redis, by reason.", "reason"),
		ready:       desc("rollcall_ready", "1 while /readyz answers 200."),
		draining:    desc("rollcall_draining", "1 while the node sends its clients away."),
		jwksKeys:    desc("rollcall_jwks_keys", "Keys of the JWKS that are in use."),
		jwksFetched: desc("rollcall_jwks_last_success_timestamp_seconds", "When the JWKS was last fetched, in Unix time; 0: never."),
		jwksFailed:  desc("rollcall_jwks_failures", "Fetches of the JWKS that failed in a row since the last success."),
	}
	gauge := func(name, help string, value func(*Rooms) float64) {
		s.rows = append(s.rows, row{desc(name, help), prometheus.GaugeValue, value})
	}
	counter := func(name, help string, value func(*Rooms) float64) {
		s.rows = append(s.rows, row{desc(name, help), prometheus.CounterValue, value})
	}
	gauge("rollcall_connections", "Open WebSocket connections.", func(r *Rooms) float64 { return float64(r.Connections) })
	counter("rollcall_connections_opened_total", "WebSocket upgrades that succeeded.", func(r *Rooms) float64 { return float64(r.Accepted) })

	counter("rollcall_frames_dropped_total", "Frames that waited for a client when it turned out too slow, or gone, and were never written; pings and close frames do not count.", func(r *Rooms) float64 { return float64(r.Dropped) })

	gauge("rollcall_channels", "Channels with a connection of this node in them.", func(r *Rooms) float64 { return float64(r.Channels) })
	counter("rollcall_broadcasts_published_total", "Broadcasts that this node gave to Redis, or tried to.", func(r *Rooms) float64 { return float64(r.BroadcastsPublished) })
	counter("rollcall_broadcasts_received_total", "Broadcasts that this node got from Redis, once for each channel.", func(r *Rooms) float64 { return float64(r.BroadcastsReceived) })
	counter("rollcall_deliveries_total", "Broadcasts handed to connections: one for each connection and broadcast.", func(r *Rooms) float64 { return float64(r.Deliveries) })

	gauge("rollcall_redis_queue_commands", "Commands that wait for a pipeline to Redis.", func(r *Rooms) float64 { return float64(r.RedisQueue) })
	gauge("rollcall_redis_queue_bytes", "What these commands carry.", func(r *Rooms) float64 { return float64(r.RedisQueueBytes) })
	counter("rollcall_redis_messages_received_total", "Messages of subscriptions that came from Redis, broadcasts and presence and calls between nodes.", func(r *Rooms) float64 { return float64(r.RedisMessages) })
	gauge("rollcall_redis_topics", "Topics of Redis that this node is subscribed to.", func(r *Rooms) float64 { return float64(r.RedisTopics) })
	gauge("rollcall_redis_subscription_connections", "Subscription connections to Redis that stand.", func(r *Rooms) float64 { return float64(r.RedisLinks) })
	counter("rollcall_redis_subscription_breaks_total", "Subscription connections to Redis that broke or were given up as dead.", func(r *Rooms) float64 { return float64(r.RedisLinkBreaks) })
	counter("rollcall_redis_breaks_total", "Moments in which something may have been lost: a broken subscription, one that is back, an answer that did not come, another Redis process.", func(r *Rooms) float64 { return float64(r.RedisBreaks) })

	gauge("rollcall_cluster_nodes", "Live nodes of the cluster as this one sees it.", func(r *Rooms) float64 { return float64(r.Nodes) })
	counter("rollcall_incarnations_total", "Leases that this node began: one at its start, each further one after it was declared dead or something was lost.", func(r *Rooms) float64 { return float64(r.Incarnations) })
	counter("rollcall_reaped_incarnations_total", "Incarnations of dead nodes that this node removed.", func(r *Rooms) float64 { return float64(r.ReapedIncarnations) })
	counter("rollcall_reaped_entries_total", "Presence entries of dead nodes that this node removed.", func(r *Rooms) float64 { return float64(r.ReapedEntries) })
	counter("rollcall_reap_errors_total", "Rounds of removing dead nodes that failed.", func(r *Rooms) float64 { return float64(r.ReapErrors) })
	counter("rollcall_cluster_questions_dropped_total", "Questions of other nodes that got no answer, since too many were being answered.", func(r *Rooms) float64 { return float64(r.QuestionsDropped) })
	counter("rollcall_cluster_questions_refused_total", "Questions to other nodes that were not asked, since too many were open.", func(r *Rooms) float64 { return float64(r.QuestionsRefused) })

	gauge("rollcall_presence_channels", "Channels of which this node holds a view of who is present.", func(r *Rooms) float64 { return float64(r.PresenceChannels) })
	gauge("rollcall_presence_users", "Users in these views; one who is in two channels counts twice.", func(r *Rooms) float64 { return float64(r.PresenceUsers) })
	gauge("rollcall_presence_entries", "Presence entries of connections of this node, lingering ones included.", func(r *Rooms) float64 { return float64(r.PresenceEntries) })
	gauge("rollcall_presence_pending_entries", "Entries of this node that are still to be written to Redis.", func(r *Rooms) float64 { return float64(r.PresencePending) })
	gauge("rollcall_presence_held_removals", "Entries that Redis lost and that stay in the views for a lease time, since their nodes may write them again.", func(r *Rooms) float64 { return float64(r.PresenceHeld) })
	counter("rollcall_presence_snapshots_total", "Times that a channel's presence was read whole from Redis with success, first readings included.", func(r *Rooms) float64 { return float64(r.Snapshots) })
	counter("rollcall_presence_gaps_total", "Changes of presence that were missed.", func(r *Rooms) float64 { return float64(r.Gaps) })
	counter("rollcall_presence_changes_merged_total", "Changes of presence that waited for their turn, since there were too many.", func(r *Rooms) float64 { return float64(r.PresenceMerged) })
	counter("rollcall_presence_refused_total", "Changes that waited and were then more than their user may have.", func(r *Rooms) float64 { return float64(r.PresenceRefused) })
	counter("rollcall_presence_audits_total", "Comparisons of all presence with Redis.", func(r *Rooms) float64 { return float64(r.Audits) })
	counter("rollcall_presence_audit_errors_total", "Comparisons that Redis did not answer.", func(r *Rooms) float64 { return float64(r.AuditErrors) })
	counter("rollcall_presence_repairs_total", "Entries of this node that an audit found missing in Redis, or found there in vain.", func(r *Rooms) float64 { return float64(r.Repairs) })
	counter("rollcall_presence_orphans_total", "Entries that belonged to no node and were removed.", func(r *Rooms) float64 { return float64(r.Orphans) })

	gauge("rollcall_lua_vms", "Lua VMs of event and HTTP handlers.", func(r *Rooms) float64 { return float64(r.VMs) })
	gauge("rollcall_lua_vms_busy", "Of these, in the midst of a turn.", func(r *Rooms) float64 { return float64(r.VMsBusy) })
	gauge("rollcall_lua_turns_waiting", "Events and requests that wait for a VM.", func(r *Rooms) float64 { return float64(r.TurnQueue) })
	gauge("rollcall_lua_scripts", "Connection scripts that run, each in a VM of its own.", func(r *Rooms) float64 { return float64(r.Scripts) })
	gauge("rollcall_lua_gate_waiting", "VMs that wait for a core.", func(r *Rooms) float64 { return float64(r.GateQueue) })
	counter("rollcall_lua_gate_wait_seconds_total", "Time that VMs have waited for a core, all together.", func(r *Rooms) float64 { return r.GateWaited.Seconds() })
	gauge("rollcall_lua_memory_bytes", "What Lua of all connections holds, an estimate; --script-memory bounds it.", func(r *Rooms) float64 { return float64(r.LuaMemory) })
	counter("rollcall_log_lines_dropped_total", "Log lines of handlers and scripts that were dropped.", func(r *Rooms) float64 { return float64(r.LogDropped) })
	return s
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe lists what Collect may give.
func (s *state) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.lease, s.syncs, s.ready, s.draining, s.jwksKeys, s.jwksFetched, s.jwksFailed} {
		out <- d
	}
	for _, r := range s.rows {
		out <- r.desc
	}
}

// Collect takes a snapshot.
func (s *state) Collect(out chan<- prometheus.Metric) {
	var now Snapshot
	if read := s.read.Load(); read != nil {
		now = (*read)()
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(s.ready, number(now.Ready))
	gauge(s.draining, number(now.Draining))
	if j := now.JWKS; j != nil {
		fetched := 0.0
		if !j.Fetched.IsZero() {
			fetched = float64(j.Fetched.UnixMilli()) / 1000
		}
		gauge(s.jwksKeys, float64(j.Keys))
		gauge(s.jwksFetched, fetched)
		gauge(s.jwksFailed, float64(j.Failures))
	}
	lease := "lost"
	if r := now.Rooms; r != nil {
		lease = r.Lease
		for _, row := range s.rows {
			out <- prometheus.MustNewConstMetric(row.desc, row.kind, row.value(r))
		}
		for reason, n := range r.Resyncs {
			out <- prometheus.MustNewConstMetric(s.syncs, prometheus.CounterValue, float64(n), reason)
		}
	}
	for _, state := range leaseStates {
		gauge(s.lease, number(state == lease), state)
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
