package outbox

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/rawsock"
)

// TestMain fails on leaked goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// timeout is how long a test waits for what must happen; it is never waited for in a test that passes.
const timeout = 10 * time.Second

// lines is a Kind whose frames are lines.
type lines struct{}

func (lines) Encode(f Frame) string {
	if f.Text() == "" {
		return f.Wire()
	}
	return f.Text() + "\n"
}
func (lines) Size(f Frame) int            { return len(f.Text()) + 1 }
func (lines) Ping() string                { return "ping\n" }
func (lines) Farewell(i CloseInfo) string { return "end: " + i.Reason + "\n" }
func (lines) IsData(wire string) bool     { return wire != "ping\n" && !strings.HasPrefix(wire, "end: ") }

// text is a frame of a text.
func text(s string) Frame { return NewFrame(s, 0) }

// stage is Sockets on loopback.
type stage struct {
	*Sockets
	ln net.Listener
}

func newStage(t *testing.T, cfg Config) *stage {
	t.Helper()
	if cfg.Ping == 0 {
		cfg.Ping = -1
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &stage{New(cfg, nil), rawsock.Listener(ln)}
	t.Cleanup(func() { _ = h.ln.Close(); h.Close() })
	return h
}

// client is the other end of a connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// dial makes a connection, which ends when its client does.
func (h *stage) dial(t *testing.T, o Options) (*client, *Conn) {
	t.Helper()
	nc, err := net.Dial("tcp", h.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	other, err := h.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	o.Kind = lines{}
	c := &Conn{}
	if err := h.Add(c, rawsock.Plain(other), o); err != nil {
		t.Fatal(err)
	}
	h.Go(func() {
		_, _ = io.Copy(io.Discard, c.Socket())
		c.NoteEnd(CloseInfo{Code: CodeAbnormal, ByPeer: true, Why: WhyDropped})
		c.Finish(false)
	})
	return &client{t, nc, bufio.NewReader(nc)}, c
}

// want reads lines.
func (c *client) want(lines ...string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	for _, line := range lines {
		if got, err := c.r.ReadString('\n'); err != nil || got != line+"\n" {
			c.t.Fatalf("%.80q %v, want %.80q", got, err, line)
		}
	}
}

// check checks the invariants of a connection or of all.
func check(t testing.TB, what interface{ Check() error }) {
	t.Helper()
	if err := what.Check(); err != nil {
		t.Error(err)
	}
}

// holdFlushers makes flushers rest until it is called with false.
func (h *stage) holdFlushers(on bool) {
	h.ready.mu.Lock()
	h.ready.resting = on
	if on {
		h.ready.next = append(h.ready.next, &Conn{}) // so that senders leave to them what they send
	}
	h.ready.mu.Unlock()
	h.ready.wake.Broadcast()
}
