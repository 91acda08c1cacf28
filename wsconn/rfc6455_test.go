package wsconn

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRFC6455 is a table of what the wire asks for beyond the ordinary: handshakes, and how connections end.
func TestRFC6455(t *testing.T) {
	key := "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	long := closeBody(1014, strings.Repeat("r", 123))
	tests := map[string]struct {
		old, new string // what is changed in a good request
		early    []byte // sent with it
		status   int    // of the answer
		says     string // in its body
		send     []byte // after an upgrade; then the end of the connection is looked at
		slow     bool   // byte by byte
		reply    int    // code of the close frame that comes
		code     int    // that the handler is told
		reason   string
		byPeer   bool
	}{
		"empty elements of Connection":      {old: "Connection: Upgrade", new: "Connection: , ,Upgrade", status: 101},
		"empty elements behind":             {old: "Connection: Upgrade", new: "Connection: keep-alive, , Upgrade,", status: 101},
		"empty elements of Upgrade":         {old: "Upgrade: websocket", new: "Upgrade: ,websocket", status: 101},
		"Connection twice":                  {old: "Connection: Upgrade", new: "Connection:\r\nConnection: upgrade", status: 101},
		"nothing but empty elements":        {old: "Connection: Upgrade", new: "Connection: , ,", status: 400},
		"a word that has upgrade in it":     {old: "Connection: Upgrade", new: "Connection: no-upgrade", status: 400},
		"HTTP/1.0, as of an old nginx":      {old: "HTTP/1.1", new: "HTTP/1.0", status: 101},
		"two keys":                          {old: key, new: key + key, status: 400, says: "more than one Sec-WebSocket-Key"},
		"two keys that differ":              {old: key, new: key + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", status: 400, says: "more than one"},
		"a frame with the handshake":        {early: frame(0x81, "early"), status: 400, says: "before the handshake"},
		"a byte with the handshake":         {early: []byte{0x81}, status: 400, says: "before the handshake"},
		"close without a body":              {status: 101, send: frame(0x88, ""), reply: codeNoStatus, code: codeNoStatus, byPeer: true},
		"close of one byte":                 {status: 101, send: frame(0x88, "\x03"), reply: 1002, code: 1002, reason: "close frame of one byte"},
		"close of one byte, slowly":         {status: 101, send: frame(0x88, "\x03"), slow: true, reply: 1002, code: 1002, reason: "close frame of one byte"},
		"close of one byte in a message":    {status: 101, send: append(frame(0x01, "half"), frame(0x88, "\x03")...), reply: 1002, code: 1002, reason: "close frame of one byte"},
		"code 1000":                         {status: 101, send: frame(0x88, closeBody(1000, "bye")), reply: 1000, code: 1000, reason: "bye", byPeer: true},
		"code 1014":                         {status: 101, send: frame(0x88, closeBody(1014, "bad gateway")), reply: 1014, code: 1014, reason: "bad gateway", byPeer: true},
		"code 1014 without a reason":        {status: 101, send: frame(0x88, closeBody(1014, "")), reply: 1014, code: 1014, byPeer: true},
		"code 1014 with the longest":        {status: 101, send: frame(0x88, long), slow: true, reply: 1014, code: 1014, reason: long[2:], byPeer: true},
		"code 1014 in a message":            {status: 101, send: append(frame(0x01, "half"), frame(0x88, closeBody(1014, "x"))...), reply: 1014, code: 1014, reason: "x", byPeer: true},
		"code 1014, reason not UTF-8":       {status: 101, send: frame(0x88, closeBody(1014, "\xff")), reply: 1002, code: 1002, reason: "invalid utf8 payload in close frame"},
		"code 1014 behind a bad frame":      {status: 101, send: append(frame(0x83, "bad"), frame(0x88, closeBody(1014, "x"))...), reply: 1002, code: 1002, reason: "bad opcode 3"},
		"code 1015":                         {status: 101, send: frame(0x88, closeBody(1015, "")), reply: 1002, code: 1002, reason: "bad close code 1015"},
		"an unmasked close of one byte":     {status: 101, send: []byte{0x88, 1, 3}, reply: 1002, code: 1002, reason: "bad MASK"},
		"a long message, then one byte":     {status: 101, send: append(frame(0x82, strings.Repeat("x", 70000)), frame(0x88, "\x03")...), reply: 1002, code: 1002, reason: "close frame of one byte"},
		"a middling message, then 1014":     {status: 101, send: append(frame(0x82, strings.Repeat("x", 300)), frame(0x88, closeBody(1014, ""))...), reply: 1014, code: 1014, byPeer: true},
		"a ping before the close of 1 byte": {status: 101, send: append(frame(0x89, "p"), frame(0x88, "\x03")...), reply: 1002, code: 1002, reason: "close frame of one byte"},
	}
	h := newHost(t, Config{MaxMessage: 1 << 20})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", h.http.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			c := &client{t: t, Conn: nc, r: bufio.NewReader(nc)}
			_ = nc.SetReadDeadline(time.Now().Add(patience))
			c.write(append([]byte(strings.Replace(upgradeRequest, tt.old, tt.new, 1)), tt.early...))
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatalf("it ends without a word: %v", err)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status != 101 {
				if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), tt.says) {
					t.Errorf("it says %q, %v; want %q", body, err, tt.says)
				}
				return
			}
			p := receive(t, h.conns, "the server's side")
			if tt.send == nil {
				c.text("hello")
				receive(t, p.messages, "a message")
				return
			}
			if tt.slow {
				for _, b := range tt.send {
					c.write([]byte{b})
				}
			} else {
				c.write(tt.send)
			}
			if got := c.wantClose(tt.reply); got != tt.reason {
				t.Errorf("the close frame says %q, want %q", got, tt.reason)
			}
			_ = nc.Close()
			if info := receive(t, p.closed, "Closed"); info.Code != tt.code || info.Reason != tt.reason || info.ByPeer != tt.byPeer {
				t.Errorf("%+v", info)
			}
		})
	}
}
