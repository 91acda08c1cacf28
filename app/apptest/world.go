package apptest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/app/apptest/memnet"
	"rollcall/egress"
)

const (
	maxNodes = 16
	apiKey   = "the-key-of-this-test-run"

	// dialPause is how long go-redis sleeps between two tries to connect, also when its client is closed meanwhile.
	dialPause = time.Second
)

// secret signs the tokens of this run.
var secret = []byte(rand.Text() + rand.Text())

// world is what a case has for itself: a Redis, nodes, clients. It lives in a bubble, and belongs to the goroutine of
// the case.
type world struct {
	start   func(NodeConfig) (Node, error)
	redis   *miniredis.Miniredis
	began   time.Time
	journal *journal
	members []*member // node 1 first
	clients []*client // client 1 first
	ports   int       // given to clients so far

	// fetch answers what handlers ask; set before anything asks.
	fetch func(context.Context, *egress.Request) (*egress.Response, error)
}

// member is one node of the case.
type member struct {
	number   int
	node     Node
	listener *memnet.Listener
	sockets  memnet.Network // of its clients
	redis    memnet.Network // of its connections to Redis
	killed   atomic.Bool
	up       atomic.Bool // it has started, and its log is for the reader
}

func newWorld(start func(NodeConfig) (Node, error)) (*world, error) {
	w := &world{start: start, redis: miniredis.NewMiniRedis(), began: time.Now()}
	w.journal = &journal{began: w.began}
	first, err := w.redis.Dial() // which makes the server, without a listener
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	_ = first.Close()
	w.redis.ClockTTL(true)
	return w, w.grow(1)
}

func address(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// grow starts nodes until there are n, those that were killed included.
func (w *world) grow(n int) error {
	if n > maxNodes {
		return fmt.Errorf("a case has at most %d nodes", maxNodes)
	}
	for len(w.members) < n {
		m := &member{number: len(w.members) + 1}
		m.listener = m.sockets.Listen(address(6744 + m.number))
		server := w.redis.Server()
		node, err := w.start(NodeConfig{
			Listener: m.listener, Clock: clock, Secret: secret, APIKey: apiKey, Log: slog.New(
				nodeLog{journal: w.journal, member: m}),
			Fetch: func(ctx context.Context, q *egress.Request) (*egress.Response, error) { return w.fetch(ctx, q) },
			Redis: func(context.Context) (net.Conn, error) {
				here, there, err := m.redis.Dial(address(1), address(6379))
				if err == nil {
					server.ServeConn(there)
				}
				return here, err
			},
		})
		if err != nil {
			w.kill(m)
			return fmt.Errorf("start node %d: %w", m.number, err)
		}
		m.node = node
		w.members = append(w.members, m)
	}
	synctest.Wait() // they have joined
	for _, m := range w.members {
		m.up.Store(true)
	}
	return nil
}

// member finds a node that lives and starts those up to it; 0 is the first that lives.
func (w *world) member(number int) (*member, error) {
	if number == 0 {
		for _, m := range w.members {
			if !m.killed.Load() {
				return m, nil
			}
		}
		return nil, errors.New("no node lives")
	}
	if err := w.grow(number); err != nil {
		return nil, err
	}
	m := w.members[number-1]
	if m.killed.Load() {
		return nil, fmt.Errorf("node %d was killed", number)
	}
	return m, nil
}

// kill ends a node as SIGKILL does: all its connections break, and nobody is told of anything.
func (w *world) kill(m *member) {
	m.killed.Store(true)
	m.redis.Cut() // first, so that what the node does about its clients goes nowhere
	m.sockets.Cut()
	_ = m.listener.Close()
}

// dial connects a client's socket to a node.
func (w *world) dial(m *member) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		w.ports++
		return m.listener.Dial(ctx, address(40000+w.ports))
	}
}

// close ends all, so that the bubble can end.
func (w *world) close() {
	for _, m := range w.members {
		w.kill(m) // nobody is left who would like to know
	}
	for _, m := range w.members {
		m.node.Close()
	}
	time.Sleep(2 * dialPause)
	synctest.Wait()
	w.redis.Close()
}
