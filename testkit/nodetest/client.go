package nodetest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit/roster"
)

// Client is a WebSocket client. A goroutine reads all that comes: every text frame goes into what it knows of presence,
// and into a queue that the test takes from. How the connection ended is the queue's last entry, "closed <code>
// <reason>".
type Client struct {
	t    testing.TB
	Conn *websocket.Conn
	Node string // the process id of its node, as the upgrade's answer said
	done chan struct{}

	mu       sync.Mutex
	queue    []string // text frames as they are, binary ones as "binary <text>"
	presence map[string]*channelPresence
	changed  chan struct{} // closed and made anew with each frame
	over     bool
	asked    int

	record func(Frame) // nil: frames are queued; called by the reader
}

// Frame is one frame as a recorded client got it.
type Frame struct {
	Text    string // as in a queue
	Over    bool   // the connection has ended: the last one
	Channel string // of presence frames, else ""
	Told    []string
	Faults  []roster.Fault
	Users   map[string][]roster.Meta // the roster after it; not to be kept
	Left    map[string][]roster.Meta // what a diff said of those who leave
}

// Record connects a client that keeps no frames but hands each to take, on the reader's goroutine, which take holds up.
// It is for crowds: nothing fails a test, and the caller Drops it. Of the other methods only Close works.
func Record(ctx context.Context, addr, path string, take func(Frame)) (*Client, error) {
	dialer := websocket.Dialer{HandshakeTimeout: Timeout}
	conn, resp, err := dialer.DialContext(ctx, "ws://"+addr+path, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	c := &Client{Conn: conn, Node: resp.Header.Get("X-Rollcall-Node"), done: make(chan struct{}),
		presence: map[string]*channelPresence{}, record: take}
	go c.read()
	return c, nil
}

// Close sends a close frame and waits for the end of the connection, for a time; then it is dropped.
func (c *Client) Close(code int, within time.Duration) {
	if c.Conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(within)) == nil {
		select {
		case <-c.done:
		case <-time.After(within):
		}
	}
	c.Drop()
}

// Dial connects; header is "Name: value" lines. The connection is closed at the test's end.
func Dial(t testing.TB, addr, path string, header ...string) *Client {
	t.Helper()
	c, resp, err := TryDial(t, addr, path, header...)
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		t.Fatalf("connect to %s: %v (status %d)", path, err, status)
	}
	return c
}

// TryDial is Dial for connections that may be refused.
func TryDial(t testing.TB, addr, path string, header ...string) (*Client, *http.Response, error) {
	return dial(t, &websocket.Dialer{HandshakeTimeout: Timeout}, "ws://"+addr+path, header)
}

// TryDialTLS is TryDial for wss, with a certificate that pool trusts.
func TryDialTLS(t testing.TB, pool *x509.CertPool, addr, path string, header ...string) (*Client, *http.Response,
	error) {
	return dial(t, &websocket.Dialer{HandshakeTimeout: Timeout, TLSClientConfig: &tls.Config{RootCAs: pool}},
		"wss://"+addr+path, header)
}

func dial(t testing.TB, dialer *websocket.Dialer, url string, header []string) (*Client, *http.Response, error) {
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	conn, resp, err := dialer.Dial(url, h)
	if err != nil {
		return nil, resp, err
	}
	c := &Client{t: t, Conn: conn, Node: resp.Header.Get("X-Rollcall-Node"), done: make(chan struct{}),
		presence: map[string]*channelPresence{}}
	go c.read()
	t.Cleanup(c.Drop)
	return c, resp, nil
}

// Drop breaks the connection without a close handshake, and waits for the reader.
func (c *Client) Drop() {
	_ = c.Conn.Close()
	<-c.done
}

// Leave closes with a code and waits for the server's answer.
func (c *Client) Leave(code int, reason string) {
	c.t.Helper()
	if err := c.Conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason),
		time.Now().Add(Timeout)); err != nil {
		c.t.Fatalf("close: %v", err)
	}
	select {
	case <-c.done:
	case <-time.After(Timeout):
		c.t.Fatal("the server did not answer the close frame")
	}
	_ = c.Conn.Close()
}

func (c *Client) read() {
	defer close(c.done)
	for {
		kind, data, err := c.Conn.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
			c.take(strings.TrimSpace(fmt.Sprintf("closed %d %s", closed.Code, closed.Text)), true)
		case err != nil:
			c.take("dropped", true)
		case kind == websocket.BinaryMessage:
			c.take("binary "+string(data), false)
		default:
			c.take(string(data), false)
		}
		if err != nil {
			return
		}
	}
}

func (c *Client) take(text string, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = over
	frame := Frame{Text: text, Over: over}
	channel, p := c.hearLocked(text)
	if c.record != nil {
		if p != nil {
			frame.Channel, frame.Told, frame.Faults = channel, p.told, p.faults
			frame.Users, frame.Left = p.roster.Users, p.left
			p.told, p.faults = nil, nil
		}
		c.record(frame)
		return
	}
	c.queue = append(c.queue, text)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// await returns when ok, called with mu held, does; false after the time.
func (c *Client) await(within time.Duration, ok func() bool) bool {
	deadline := time.After(within)
	for {
		c.mu.Lock()
		if ok() {
			c.mu.Unlock()
			return true
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			return false
		}
	}
}

// Send sends text messages.
func (c *Client) Send(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		if err := c.Conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			c.t.Fatalf("send: %v", err)
		}
	}
}

// SendBinary sends a binary message.
func (c *Client) SendBinary(data string) {
	c.t.Helper()
	if err := c.Conn.WriteMessage(websocket.BinaryMessage, []byte(data)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// Next takes the next frame.
func (c *Client) Next() (text string) {
	c.t.Helper()
	ended := false
	ok := c.await(Timeout, func() bool {
		if ended = c.over && len(c.queue) == 0; ended {
			return true
		}
		if len(c.queue) == 0 {
			return false
		}
		text, c.queue = c.queue[0], c.queue[1:]
		return true
	})
	if !ok {
		c.t.Fatal("no frame came")
	}
	if ended {
		c.t.Fatal("the connection has ended, and all frames are taken")
	}
	return text
}

// Expect takes frames and compares them. A wanted text that ends in "…" is a beginning.
func (c *Client) Expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		got := c.Next()
		begin, open := strings.CutSuffix(w, "…")
		if got != w && !(open && strings.HasPrefix(got, begin)) {
			c.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// Until takes frames up to and with this one, and returns those before it.
func (c *Client) Until(last string) (before []string) {
	c.t.Helper()
	for {
		text := c.Next()
		if text == last {
			return before
		}
		before = append(before, text)
		if strings.HasPrefix(text, "closed ") || text == "dropped" {
			c.t.Fatalf("%s before %s; frames: %q", text, last, before)
		}
	}
}

// ExpectClosed takes frames until the connection ended, which must be so; it returns the frames before.
func (c *Client) ExpectClosed(code int, reason string) (before []string) {
	c.t.Helper()
	want := strings.TrimSpace(fmt.Sprintf("closed %d %s", code, reason))
	for {
		text := c.Next()
		if strings.HasPrefix(text, "closed ") || text == "dropped" {
			if text != want {
				c.t.Fatalf("got %s, want %s; frames before: %q", text, want, before)
			}
			return before
		}
		before = append(before, text)
	}
}

// Over tells whether the connection has ended.
func (c *Client) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// Pending are the frames that wait to be taken; they stay.
func (c *Client) Pending() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.queue...)
}

// Reply is what the test app answers to a command.
type Reply struct {
	Reply   int    `json:"reply"`
	Results []any  `json:"results"`
	Error   string `json:"error"`
}

// Ask sends a command of the test app, fields without the id, and waits for its reply. Other frames stay in the queue.
func (c *Client) Ask(fields map[string]any) Reply {
	c.t.Helper()
	return c.Await(c.Begin(fields))
}

// Begin is the first half of Ask: it sends the command and gives its id.
func (c *Client) Begin(fields map[string]any) (id int) {
	c.t.Helper()
	c.mu.Lock()
	c.asked++
	id = c.asked
	c.mu.Unlock()
	fields["id"] = id
	b, err := json.Marshal(fields)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Send(string(b))
	return id
}

// Await is the second half of Ask: it waits for the reply.
func (c *Client) Await(id int) (reply Reply) {
	c.t.Helper()
	ok := c.await(Timeout, func() bool {
		for i, text := range c.queue {
			if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &reply) == nil && reply.Reply == id {
				c.queue = append(c.queue[:i:i], c.queue[i+1:]...)
				return true
			}
			reply = Reply{}
		}
		return c.over
	})
	if !ok || reply.Reply != id {
		c.t.Fatalf("no reply to command %d; frames: %q", id, c.Pending())
	}
	return reply
}

// Call lets the handler call one of its functions and returns what it returned.
func (c *Client) Call(function string, args ...any) []any {
	c.t.Helper()
	r := c.Ask(map[string]any{"call": function, "args": append([]any{}, args...)})
	if r.Error != "" {
		c.t.Fatalf("%s raised: %s", function, r.Error)
	}
	return r.Results
}

// Call1 is Call for functions with one result, as JSON.
func (c *Client) Call1(function string, args ...any) string {
	c.t.Helper()
	results := c.Call(function, args...)
	if len(results) != 1 {
		c.t.Fatalf("%s gave %d results: %v", function, len(results), results)
	}
	return JSON(results[0])
}

// CallError is Call for functions that raise; it returns the error.
func (c *Client) CallError(function string, args ...any) string {
	c.t.Helper()
	r := c.Ask(map[string]any{"call": function, "args": append([]any{}, args...)})
	if r.Error == "" {
		c.t.Fatalf("%s%s raised nothing; it gave %v", function, JSON(args), r.Results)
	}
	return r.Error
}

// Act lets an event handler return these actions (JSON: a table or an array of tables), and returns when all have run.
func (c *Client) Act(actions string) {
	c.t.Helper()
	c.Ask(map[string]any{"actions": json.RawMessage(actions)})
}

// JSON encodes v; object keys come in order.
func JSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "no JSON: " + err.Error()
	}
	return string(b)
}
