package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/cluster"
	"rollcall/history"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/redisconn"
	"rollcall/wsconn"
)

// Config of a hub.
type Config struct {
	Redis   Redis
	Broker  Broker
	Cluster *cluster.Cluster
	Tracker *presence.Tracker
	Log     *slog.Logger

	// How long presence outlives a connection that ended in one of two ways, 0 not at all. It keeps a user, not a device.
	Linger       time.Duration // Dropped
	RestartGrace time.Duration // SentAway

	HistoryMemory int64 // bytes of messages that are kept for those who come back; beyond, Redis is read

	Observer Observer // nil: nobody
}

// Redis is what the hub needs of Redis.
type Redis interface {
	history.Redis
	Batch(ctx context.Context, cmds []redis.Cmder) error
	Keys() redisconn.Keys
}

// Broker is how broadcasts and presence come and go.
type Broker interface {
	Publish(ctx context.Context, topic string, payload []byte) error
	PublishMany(ctx context.Context, ms []broker.Message) error
	Attach(topic string, r broker.Receiver) (confirmed bool)
	Unsubscribe(topic string, r broker.Receiver)
}

// Observer is told how fast broadcasts are, for metrics. It is called from many goroutines and must not block.
type Observer interface {
	// Published is called after broadcasts to channels with history were given to Redis, also when that failed.
	Published(took time.Duration)
	// FannedOut is called after each broadcast: how long until it was in the queue of every connection here.
	FannedOut(took time.Duration)
}

// noObserver is the Observer of a Hub that was given none.
type noObserver struct{}

func (noObserver) FannedOut(time.Duration) {}
func (noObserver) Published(time.Duration) {}

// waitForRedis is how long join, track and their like wait for Redis before they succeed all the same (SPEC 5.3).
const waitForRedis = 3 * time.Second

// Hub is the connections of this node.
type Hub struct {
	// static
	cfg     Config
	keys    redisconn.Keys
	history *history.Store
	began   time.Time

	ctx    context.Context // ends with Close; rooms open under it
	cancel context.CancelFunc
	done   sync.WaitGroup

	rings *rings
	stats Stats
	rules atomic.Pointer[history.Rules]

	mu       sync.RWMutex
	sessions map[string]*Session

	roomsMu sync.Mutex // taken before a channel's or a room's lock
	rooms   map[string]*room

	doneMu sync.Mutex // the last to be taken
	closed bool       // no more goroutines begin
}

// Stats counts what operators watch.
type Stats struct {
	Broadcasts atomic.Int64 // published by this node
	Fanouts    atomic.Int64 // received from Redis
	Delivered  atomic.Int64 // frames and events handed to connections
	Reads      atomic.Int64 // of histories in Redis, for those who came in or missed messages
	Recovered  atomic.Int64 // connections that came back to a channel and got what they missed
	Refused    atomic.Int64 // that were told that it cannot be had
}

// recovered counts a recovery.
func (s *Stats) recovered(rec Recovery) {
	switch {
	case rec.Recovered:
		s.Recovered.Add(1)
	case rec.Asked:
		s.Refused.Add(1)
	}
}

// New makes a hub. Start subscribes it.
func New(cfg Config) *Hub {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	keys := cfg.Redis.Keys()
	return &Hub{cfg: cfg, keys: keys, history: history.NewStore(cfg.Redis, keys), rings: newRings(cfg.HistoryMemory),
		began: time.Now(), ctx: ctx, cancel: cancel,
		sessions: map[string]*Session{}, rooms: map[string]*room{}}
}

// SetHistory says which channels have a history from now on.
func (h *Hub) SetHistory(rules *history.Rules) { h.rules.Store(rules) }

// Start subscribes to cluster-wide broadcasts. It does not wait for Redis.
func (h *Hub) Start() { h.cfg.Broker.Attach(h.keys.AllTopic(), everyone{h}) }

// Close waits for all goroutines. All sessions have exited before.
func (h *Hub) Close() {
	h.doneMu.Lock()
	h.closed = true
	h.doneMu.Unlock()
	h.cancel()
	h.done.Wait()
	h.cfg.Broker.Unsubscribe(h.keys.AllTopic(), everyone{h})
}

// background runs f on a goroutine that Close waits for, and tells whether it does: not after Close. Receivers may call
// it, since it takes no lock that is held while a room is closed.
func (h *Hub) background(f func()) bool {
	h.doneMu.Lock()
	defer h.doneMu.Unlock()
	if !h.closed {
		h.done.Go(f)
	}
	return !h.closed
}

// NewID makes a connection id that names this node.
func (h *Hub) NewID() string { return cluster.NewConnID(h.cfg.Cluster.Process()) }

// Load is what heartbeats tell of this node.
func (h *Hub) Load() cluster.Load {
	h.mu.RLock()
	n := len(h.sessions)
	h.mu.RUnlock()
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	return cluster.Load{Connections: n, Channels: len(h.rooms)}
}

// session finds a connection of this node, or nil.
func (h *Hub) session(id string) *Session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[id]
}

// broadcast is a value on its way.
func (v Value) broadcast(senderID string) history.Broadcast {
	return history.Broadcast{JSON: v.JSON, Text: v.Text, Sender: senderID}
}

// encode writes a broadcast that is not kept for its topic.
func encode(v Value, senderID string) []byte {
	return v.broadcast(senderID).Encode(time.Now().UnixMilli())
}

func (v Value) tag() byte {
	if v.JSON {
		return 'j'
	}
	return 'b'
}

// Broadcast sends a value to all in a channel. senderID is "" for the HTTP API.
func (h *Hub) Broadcast(ctx context.Context, channel string, v Value, senderID string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	h.stats.Broadcasts.Add(1)
	sender := h.ownMembership(channel, senderID)
	if sender != nil {
		sender.sent.Add(1)
	}
	err := h.publishIn(ctx, channel, v, senderID)
	if err != nil && sender != nil { // it may come or not; nobody waits for it
		sender.heard.Add(1)
	}
	return err
}

// BroadcastAll sends a value to every connection of the cluster.
func (h *Hub) BroadcastAll(ctx context.Context, v Value) error {
	h.stats.Broadcasts.Add(1)
	return h.publish(ctx, h.keys.AllTopic(), v, "")
}

// publishIn publishes in a channel, and keeps what is to be kept.
func (h *Hub) publishIn(ctx context.Context, channel string, v Value, senderID string) error {
	policy, kept := h.rules.Load().For(channel)
	if !kept || v.Transient {
		return h.publish(ctx, h.keys.Topic(channel), v, senderID)
	}
	began := time.Now()
	_, err := h.history.Publish(ctx, channel, policy, v.broadcast(senderID))
	h.cfg.Observer.Published(time.Since(began))
	if err != nil {
		return unavailable("broadcast", err)
	}
	return nil
}

func (h *Hub) publish(ctx context.Context, topic string, v Value, senderID string) error {
	if err := h.cfg.Broker.Publish(ctx, topic, encode(v, senderID)); err != nil {
		return unavailable("broadcast", err)
	}
	return nil
}

// unavailable makes a broker's error one that a handler's author understands.
func unavailable(what string, err error) error {
	if errors.Is(err, redisconn.ErrUnavailable) {
		return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// everyone receives the cluster-wide topic.
type everyone struct{ h *Hub }

func (e everyone) Receive(payload string) {
	if !history.IsBroadcast(payload) {
		return // of the script registry
	}
	b, ok := history.Decode(payload)
	if !ok {
		return
	}
	began := time.Now()
	defer func() { e.h.cfg.Observer.FannedOut(time.Since(began)) }()
	frame := wsconn.TextString(b.Text)
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		e.h.mu.RLock()
		defer e.h.mu.RUnlock()
		for _, s := range e.h.sessions {
			send(s.conn, frame)
		}
		e.h.stats.Delivered.Add(int64(len(e.h.sessions)))
	}, false)
	e.h.stats.Fanouts.Add(1)
}

func (e everyone) Resubscribed() {}
