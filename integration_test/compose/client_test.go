package compose_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit/roster"
)

// A client is one WebSocket to the chat example, through the balancer. It keeps the
// room's user list the way SPEC 1.2 tells clients to.
type client struct {
	// Static after construction.
	user    string
	server  string // the balancer's name of the node it is on
	process string // that node's name of itself
	ws      *websocket.Conn
	done    chan struct{} // closed when the connection has ended

	// mu guards what follows.
	mu      sync.Mutex
	channel string // of the first presence_state; "" before it
	roster  roster.Roster
	came    map[string]int // users that entered the list by a diff
	went    map[string]int // users that left it by a diff
	wrong   []string       // what no right server sends
	changed chan struct{}  // closed and made anew at every change
}

// view is what a client sees at one moment.
type view struct {
	online     []string // sorted
	came, went map[string]int
	wrong      []string
}

// connect opens a client and returns once its list holds itself.
func connect(ctx context.Context, s *stack, room, user string) (*client, error) {
	at := url.URL{Scheme: "ws", Host: s.addr, Path: "/ws/chat",
		RawQuery: url.Values{"room": {room}, "user": {user}}.Encode()}
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	ws, answer, err := dialer.DialContext(ctx, at.String(), nil)
	if err != nil {
		if answer != nil {
			return nil, fmt.Errorf("connect %s: %s: %w", user, answer.Status, err)
		}
		return nil, fmt.Errorf("connect %s: %w", user, err)
	}
	c := &client{
		user:    user,
		server:  answer.Header.Get("X-Served-By"),
		process: answer.Header.Get("X-Rollcall-Node"),
		ws:      ws,
		done:    make(chan struct{}),
		came:    map[string]int{},
		went:    map[string]int{},
		changed: make(chan struct{}),
	}
	go c.read()
	if err := c.await(ctx, func(v view) bool { return slices.Contains(v.online, user) }); err != nil {
		c.close()
		return nil, fmt.Errorf("connect %s: own presence: %w", user, err)
	}
	return c, nil
}

// reconnect connects until it works, as a page would.
func reconnect(ctx context.Context, s *stack, room, user string) (*client, error) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for {
		c, err := connect(ctx, s, room, user)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-every.C:
		}
	}
}

// close ends the connection with a close handshake and waits for the reader.
func (c *client) close() {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	_ = c.ws.SetReadDeadline(time.Now().Add(2 * time.Second))
	<-c.done
	_ = c.ws.Close()
}

// read is the client's goroutine; it ends with the connection.
func (c *client) read() {
	defer close(c.done)
	for {
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage {
			c.take(data)
		}
	}
}

// take applies one frame. What is no presence frame of the room is none of its business.
func (c *client) take(data []byte) {
	frame, faults := roster.Read(data)
	if frame == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.channel == "" && frame.State:
		c.channel = frame.Channel
	case c.channel != frame.Channel:
		return
	}
	told, more := c.roster.Take(frame)
	for _, what := range told {
		switch kind, user, _ := strings.Cut(what, " "); kind {
		case "join":
			c.came[user]++
		case "leave":
			c.went[user]++
		}
	}
	for _, fault := range append(faults, more...) {
		c.wrong = append(c.wrong, fmt.Sprintf("%v: %s", fault, data))
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// view returns a copy of what the client sees now.
func (c *client) view() (v view, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return view{
		online: slices.Sorted(maps.Keys(c.roster.Users)),
		came:   maps.Clone(c.came),
		went:   maps.Clone(c.went),
		wrong:  slices.Clone(c.wrong),
	}, c.changed
}

// await returns when the view is as wanted. The error tells the last view.
func (c *client) await(ctx context.Context, want func(view) bool) error {
	for {
		v, changed := c.view()
		if want(v) {
			return nil
		}
		select {
		case <-changed:
		case <-c.done:
			return fmt.Errorf("%s on %s: the connection ended; saw %+v", c.user, c.server, v)
		case <-ctx.Done():
			return fmt.Errorf("%s on %s: %w; saw %+v", c.user, c.server, ctx.Err(), v)
		}
	}
}

// forget sets the counters to nothing: from here on they count.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.came)
	clear(c.went)
}

// mustConnect is connect or reconnect for the test's own goroutine; the client is
// closed at the test's end, before the stack is removed.
func mustConnect(ctx context.Context, t *testing.T, s *stack, room, user string,
	how func(context.Context, *stack, string, string) (*client, error)) *client {
	t.Helper()
	c, err := how(ctx, s, room, user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if !slices.Contains(nodes, c.server) || c.process == "" {
		t.Fatalf("%s: X-Served-By %q, X-Rollcall-Node %q: both must tell the node", user, c.server, c.process)
	}
	return c
}
