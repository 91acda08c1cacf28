package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/broker"
	"rollcall/cluster"
	"rollcall/presence"
	"rollcall/redisconn"
	"rollcall/wsconn"
)

// Config of a hub.
type Config struct {
	Redis   *redisconn.Client
	Broker  Broker
	Cluster *cluster.Cluster
	Tracker *presence.Tracker
	Log     *slog.Logger

	// How long presence outlives a connection that ended in one of two ways, 0 not at all. It keeps a user, not a device.
	Linger       time.Duration // Dropped
	RestartGrace time.Duration // SentAway

	Observer Observer // nil: nobody
}

// Broker is how broadcasts and presence come and go.
type Broker interface {
	Publish(ctx context.Context, topic string, payload []byte) error
	PublishMany(ctx context.Context, ms []broker.Message) error
	Attach(topic string, r broker.Receiver) (confirmed bool)
	Unsubscribe(topic string, r broker.Receiver)
}

// Observer is told how fast broadcasts are, for metrics. It is called from the broker's goroutines and must not block.
type Observer interface {
	// FannedOut is called after each broadcast: how long until it was in the queue of every connection here.
	FannedOut(took time.Duration)
}

// noObserver is the Observer of a Hub that was given none.
type noObserver struct{}

func (noObserver) FannedOut(time.Duration) {}

// waitForRedis is how long join, track and their like wait for Redis before they succeed all the same (SPEC 5.3).
const waitForRedis = 3 * time.Second

// Hub is the connections of this node.
type Hub struct {
	// static
	cfg  Config
	keys redisconn.Keys

	ctx    context.Context // ends with Close; rooms open under it
	cancel context.CancelFunc
	done   sync.WaitGroup

	stats Stats

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
}

// New makes a hub. Start subscribes it.
func New(cfg Config) *Hub {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{cfg: cfg, keys: cfg.Redis.Keys(), ctx: ctx, cancel: cancel,
		sessions: map[string]*Session{}, rooms: map[string]*room{}}
}

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

// Messages on a topic are `<b|j><sender> <ms> <data>`: b for a string as it is, j for JSON text.

// encode writes a broadcast for its topic.
func encode(v Value, senderID string) []byte {
	b := make([]byte, 0, len(v.Text)+len(senderID)+24)
	b = append(b, v.tag())
	b = append(b, senderID...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, time.Now().UnixMilli(), 10)
	b = append(b, ' ')
	return append(b, v.Text...)
}

func (v Value) tag() byte {
	if v.JSON {
		return 'j'
	}
	return 'b'
}

// decode reads what encode wrote.
func decode(payload string) (v Value, senderID string, ms int64, ok bool) {
	sender, rest, ok := strings.Cut(payload[1:], " ")
	if !ok {
		return Value{}, "", 0, false
	}
	at, data, ok := strings.Cut(rest, " ")
	if !ok {
		return Value{}, "", 0, false
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	return Value{Text: data, JSON: payload[0] == 'j'}, sender, ms, err == nil
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
	err := h.publish(ctx, h.keys.Topic(channel), v, senderID)
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
	if payload == "" || payload[0] != 'b' && payload[0] != 'j' {
		return // of the script registry
	}
	v, _, _, ok := decode(payload)
	if !ok {
		return
	}
	began := time.Now()
	defer func() { e.h.cfg.Observer.FannedOut(time.Since(began)) }()
	frame := wsconn.TextString(v.Text)
	wsconn.SendAll(func(send func(wsconn.Sender, wsconn.Frame) bool) {
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
