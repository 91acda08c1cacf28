package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"rollcall/cluster"
	"rollcall/history"
	"rollcall/hub"
	"rollcall/presence"
)

// node is one process: its tracker and its cluster are real, and put together as cmd/node does it.
type node struct {
	// static
	w       *world
	number  int
	process string
	wire    *wire
	cluster *cluster.Cluster
	tracker *presence.Tracker
	hub     *hub.Hub        // of a plan about history
	ctx     context.Context // ends with the node
	cancel  context.CancelFunc
	over    chan struct{} // closed with the node
	gone    atomic.Bool   // over is closed

	// owned by the loop
	rooms     map[string]*room
	observers []*conn
	touched   map[string]bool // channels of which something was heard
	path      path
	stopping  bool
	dead      bool

	// what the others may think of it; see oracle.go
	beat   time.Time // when it last heard that its lease is renewed
	dim    bool      // something stood between it and Redis since
	unseen bool      // so that its lease may be over
	shock  time.Time // when a connection last broke
}

// nobody answers calls from other nodes: presence makes none.
type nobody struct{}

func (nobody) OneWay(string, string) {}

func (nobody) Answer(context.Context, string, string) (string, error) { return "", nil }

// start begins a new process.
func (w *world) start(number int) *node {
	w.serial++
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{w: w, number: number, process: fmt.Sprintf("%010x%02x", w.serial, number), ctx: ctx, cancel: cancel,
		over: make(chan struct{}), rooms: map[string]*room{}, touched: map[string]bool{}, beat: time.Now()}
	n.wire = &wire{w: w, n: n}
	for range 2 {
		n.wire.subs = append(n.wire.subs, &sub{w: w, n: n, topics: map[string]*topic{}})
	}
	w.nodes = append(w.nodes, n)
	w.story.add("n%d starts as %s", number, n.process)
	for _, s := range n.wire.subs {
		s.open()
	}
	log := slog.New(journal{n})
	store := presence.NewStore(n.wire, w.keys)
	store.KeepLastSeen(time.Hour)
	n.cluster = cluster.New(cluster.Config{Redis: n.wire, Broker: n.wire, Process: n.process, TTL: ttl,
		Heartbeat: heartbeat, Remover: store, Log: log})
	n.tracker = presence.NewTracker(presence.Config{Store: store, Lease: n.cluster, TTL: ttl,
		Window: w.plan.Window, AuditQuiet: auditQuiet, Log: log})
	first := true
	n.cluster.OnIncarnation(func(string) {
		n.tracker.NewIncarnation(first)
		first = false
	})
	n.cluster.Handle(nobody{})
	if w.plan.Keep.Size > 0 {
		n.hub = hub.New(hub.Config{Redis: n.wire, Broker: n.wire, Cluster: n.cluster, Tracker: n.tracker, Log: log,
			HistoryMemory: w.plan.Memory})
		n.hub.SetHistory(history.NewRules([]history.Rule{{Pattern: "c*", Policy: w.plan.Keep}}))
	}
	// Some moments later: timers of one node that are due at the very same time would run in no order.
	w.after(time.Duration(1+w.rng.Int64N(int64(time.Millisecond))), func() {
		if !n.dead {
			n.cluster.Start()
		}
	})
	return n
}

// broke is what cmd/node does when OnBreak tells.
func (n *node) broke() {
	if n.dead {
		return
	}
	n.shock = time.Now()
	n.tracker.Suspect()
	n.cluster.Renounce("a connection to Redis broke")
}

// shaken tells that removals may be held back: a connection broke, or Redis lost data.
func (n *node) shaken() bool { return n.w.oracle.lossy || time.Since(n.shock) < 2*ttl }

// crash ends a node at once. Its goroutines end too, but nothing of what they still do gets out.
func (w *world) crash(n *node) {
	if n.dead {
		return
	}
	n.dead = true
	n.gone.Store(true)
	close(n.over)
	n.cancel()
	for _, s := range n.wire.subs {
		s.linked, s.up, s.server, s.queue = false, false, nil, nil
		s.life++
	}
	w.closed.Go(func() {
		n.closeHub()
		n.tracker.Close()
		_ = n.cluster.Close(context.Background()) // nothing gets out any more
	})
}

func (n *node) closeHub() {
	if n.hub != nil {
		n.hub.Close()
	}
}

// stop ends a node in order: its connections go first. With a stay their users may come back elsewhere in that time
// (SPEC 3, --restart-grace), and some do.
func (w *world) stop(n *node, stay time.Duration) {
	n.stopping = true
	w.sendAway(n)
	var conns []*conn
	for _, c := range w.oracle.of(n) {
		if !c.until.IsZero() {
			continue
		}
		if c.working { // its handler is at it; what it leaves behind is reaped
			w.oracle.leaves(c)
			continue
		}
		conns = append(conns, c)
		w.ends(c, presence.CauseDrained)
		if stay == 0 {
			w.oracle.leaves(c)
			continue
		}
		w.oracle.lingers(c, stay)
		if w.rng.IntN(3) > 0 {
			w.after(time.Duration(w.rng.Int64N(int64(stay))), func() { w.track(c.user, c.channel, w.rng) })
		}
	}
	w.closed.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, redisTimeout)
		defer cancel()
		for _, c := range conns {
			pending := c.room.ch.Exit(ctx, c.id, c.user, presence.CauseDrained, stay)
			if pending && stay > 0 {
				w.post(n, "lingers "+c.id+" "+c.user, func() { w.oracle.leaves(c) }) // the end of the node finds it as it was
			}
		}
		n.closeHub()
		n.tracker.Close()
		_ = n.cluster.Close(ctx) // the others reap what is left
		w.post(n, "stopped", func() { w.crash(n) })
	})
}

// touch notes that something was heard of a channel, so that its room is looked at.
func (n *node) touch(channel string) { n.touched[channel] = true }

// journal puts what a node logs into the story.
type journal struct{ n *node }

func (j journal) Enabled(context.Context, slog.Level) bool { return true }

func (j journal) Handle(_ context.Context, r slog.Record) error {
	n := j.n
	switch r.Message {
	case "lease held", "lease renounced", "reaped", "removed orphaned presence", "audit repaired own presence":
	case "gap in presence", "audit found a difference in presence", "bad presence message":
	default:
		return nil // errors of calls, which the story has already
	}
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "incarnation", "channel", "why":
			line += " " + a.Value.String()
		}
		return true
	})
	n.w.post(n, "log "+line, func() { n.w.story.add("n%d logs: %s", n.number, line) })
	return nil
}

func (j journal) WithAttrs([]slog.Attr) slog.Handler { return j }

func (j journal) WithGroup(string) slog.Handler { return j }
