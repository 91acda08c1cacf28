package integration_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// silent is a client that never reads, and so answers nothing.
func silent(t *testing.T, addr, path string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	conn, _, err := dialer.Dial("ws://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bystanders are two connections of one node, one of each kind, who must not notice anything.
type bystanders struct {
	t             *testing.T
	event, script *nodetest.Client
}

func standBy(t *testing.T, n *nodetest.Node) bystanders {
	t.Helper()
	return bystanders{t, nodetest.Dial(t, n.Addr(), "/ws/do"), nodetest.Dial(t, n.Addr(), "/api/custom/test/do")}
}

// goOn checks that both are served, and soon.
func (b bystanders) goOn() {
	b.t.Helper()
	began := time.Now()
	b.event.Act(`{}`)
	b.script.Call("solidb.ws.channel.list")
	if took := time.Since(began); took > 3*time.Second {
		b.t.Errorf("another connection waited %v", took)
	}
}

// frame is a masked frame of a client.
func frame(head byte, payload string) []byte {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// SPEC 4: "1002 and 1007 protocol error and text that is not UTF-8", "1009 too big"; issue: "binary, empty, oversized
// and malformed frames … Each gets its clear error, the node and its other connections go on."
func TestMalformedFrames(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	others := standBy(t, n)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	tests := []struct {
		name  string
		bytes []byte
		want  int
	}{
		{"not masked", []byte{0x81, 1, 'x'}, 1002},
		{"reserved bit", frame(0xc1, "x"), 1002},
		{"reserved opcode", frame(0x83, "x"), 1002},
		{"reserved control opcode", frame(0x8b, "x"), 1002},
		{"ping in fragments", frame(0x09, "x"), 1002},
		{"ping too long", frame(0x89, strings.Repeat("x", 126)), 1002},
		{"continuation of nothing", frame(0x80, "x"), 1002},
		{"text inside a fragmented message", join(frame(0x01, "a"), frame(0x81, "b")), 1002},
		{"close with a reserved code", frame(0x88, "\x03\xed"), 1002},
		{"close with a code that is none", frame(0x88, "\x00\x01"), 1002},
		{"HTTP instead of frames", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1002},
		{"text that is not UTF-8", frame(0x81, "a\xff"), 1007},
		{"text that ends inside a character", frame(0x81, "\xe2\x82"), 1007},
		{"text with a surrogate", frame(0x81, "\xed\xa0\x80"), 1007},
		{"fragments that are not UTF-8", join(frame(0x01, "\xe2"), frame(0x80, "x")), 1007},
		{"over the limit", frame(0x81, strings.Repeat("x", 64<<10+1)), 1009},
		{"binary over the limit", frame(0x82, strings.Repeat("x", 64<<10+1)), 1009},
		{"over the limit in fragments",
			join(frame(0x01, strings.Repeat("x", 40<<10)), frame(0x80, strings.Repeat("x", 40<<10))), 1009},
		{"claims to be huge", []byte{0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1009},
		{"length with the top bit", []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1009},
	}
	for _, path := range []string{"/ws/do", "/api/custom/test/do"} {
		for _, tt := range tests {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				c := nodetest.Dial(t, n.Addr(), path)
				_, _ = c.Conn.NetConn().Write(tt.bytes) // it may be closed on the way
				if got := c.Next(); !strings.HasPrefix(got, fmt.Sprint("closed ", tt.want)) {
					t.Errorf("got %s, want a close with %d", got, tt.want)
				}
				others.goOn()
			})
		}
	}
	t.Run("right ones", func(t *testing.T) {
		c := nodetest.Dial(t, n.Addr(), "/ws/do")
		raw := c.Conn.NetConn()
		for _, b := range [][]byte{
			frame(0x81, ""), frame(0x01, ""), frame(0x89, "ping between"), frame(0x80, ""), frame(0x82, ""), frame(0x8a,
				"pong unasked"),
			// its end is missing: no JSON
			frame(0x01, `{"id":77,"acti`), frame(0x00, ""), frame(0x80, `ons":{}}`), frame(0x82,
				strings.Repeat("x", 64<<10)), frame(0x81, `{"id":78,"actions":{"send":"é`),
		} {
			if _, err := raw.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		c.Expect(`{"empty":true}`, `{"empty":true}`, `…`, `{"reply":77}`, `…`)
		c.Act(`{}`)
		others.goOn()
	})
}

// SPEC 4: what is no upgrade.
func TestMalformedUpgrades(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	others := standBy(t, n)
	const good = "GET /ws/do HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	for _, tt := range []struct{ name, request, want string }{
		{"right", good, "101"},
		{"no key", strings.Replace(good, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1), "400"},
		{"a bad key", strings.Replace(good, "dGhlIHNhbXBsZSBub25jZQ==", "short", 1), "400"},
		{"an old version", strings.Replace(good, "Version: 13", "Version: 8", 1), "426"},
		{"POST", strings.Replace(good, "GET", "POST", 1), "405"},
		{"a path that is not encoded well", strings.Replace(good, "/ws/do", "/ws/%zz", 1), "400"},
		{"a path that is not UTF-8", strings.Replace(good, "/ws/do", "/ws/do/%ff/x", 1), "400"},
		{"headers too large", strings.Replace(good, "Host: x", "Host: x\r\nX-Large: "+strings.Repeat("x", 100<<10), 1),
			"431"},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", n.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(nodetest.Timeout))
			go func() { _, _ = io.WriteString(conn, tt.request) }() // it may be cut off
			line, err := bufio.NewReader(conn).ReadString('\n')
			if !strings.Contains(line, " "+tt.want+" ") {
				t.Errorf("got %q (%v), want %s", line, err, tt.want)
			}
			others.goOn()
		})
	}
}

// SPEC 3: --message-rate: "100/s a connection, burst twice that … 1008"; --max-message: "64 KiB; beyond: 1009".
func TestTooManyMessages(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: []string{"--max-message", "2000"}})
	others := standBy(t, n)
	for _, path := range []string{"/ws/do", "/api/custom/test/do"} {
		c := nodetest.Dial(t, n.Addr(), path)
		for range 500 {
			if c.Conn.WriteMessage(websocket.TextMessage, []byte(`{"call":"crypto.uuid"}`)) != nil {
				break // closed already
			}
		}
		for {
			got := c.Next()
			if strings.HasPrefix(got, "{") {
				continue
			}
			if !strings.HasPrefix(got, "closed 1008 ") {
				t.Errorf("%s: got %s, want 1008", path, got)
			}
			break
		}
		others.goOn()
		c = nodetest.Dial(t, n.Addr(), path)
		c.Send(`"` + strings.Repeat("x", 1999) + `"`)
		if got := c.Next(); !strings.HasPrefix(got, "closed 1009") {
			t.Errorf("%s: got %s, want 1009", path, got)
		}
		others.goOn()
	}
}

// SPEC 5.5: "A slow or hostile client hurts only itself … the slow consumer is closed (1013)."
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: append(fast[:len(fast):len(fast)], "--send-queue", "64KiB", "--log-level", "debug")})
	others := standBy(t, n)
	reader := nodetest.Dial(t, n.Addr(), "/ws/do")
	reader.Act(`{"join":"room"}`)
	slow := silent(t, n.Addr(), "/ws/do")
	if err := slow.WriteMessage(websocket.TextMessage,
		[]byte(`{"raw":{"join":"room","track":{"channel":"room","user_id":"slow"}}}`)); err != nil {
		t.Fatal(err)
	}
	reader.AwaitUsers("room", "slow")
	reader.Next()
	message := strings.Repeat("x", 30<<10)
	sent := 0
	closed := func() bool {
		for _, l := range n.Log.Lines() {
			if l.Is("connection closed", "code", "1013") {
				return true
			}
		}
		return false
	}
	for ; sent < 1000 && !closed(); sent++ {
		others.event.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":"room","message":%q}}`, message))
		for {
			if got := reader.Next(); got == message {
				break
			}
		}
	}
	line := n.Log.Await(t, "of the slow client's end",
		func(l nodetest.Line) bool { return l.Is("connection closed", "code", "1013") })
	if line.Text("cause") != "slow" {
		t.Errorf("log line: %v", line)
	}
	reader.AwaitUsers("room") // its presence has gone
	if reader.Over() {
		t.Error("the one who reads was disconnected")
	}
	others.goOn()
}
