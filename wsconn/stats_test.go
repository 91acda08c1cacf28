package wsconn

import (
	"strings"
	"testing"

	"rollcall/outbox"
	"rollcall/testkit"
)

// Each frame that Send took is in the end told to the Observer as sent, or counted as dropped, however its connection
// ends.
func TestDropped(t *testing.T) {
	big := TextString(strings.Repeat("x", 10_000))
	for _, tt := range []struct {
		name  string
		drops bool
		run   func(c *client, p *probe) (taken int) // sends, then ends the connection
	}{
		{"all is read", false, func(c *client, p *probe) (taken int) {
			for range 50 {
				if p.c.Send(TextString("x")) == nil {
					taken++
				}
			}
			p.c.Close(1000, "")
			c.wantClose(1000)
			c.write(frame(0x88, closeBody(1000, "")))
			return taken
		}},
		{"too slow", true, func(_ *client, p *probe) (taken int) {
			for p.c.Send(big) == nil {
				taken++
			}
			return taken
		}},
		{"gone while much waits", true, func(c *client, p *probe) (taken int) {
			for range 1500 {
				if p.c.Send(big) == nil {
					taken++
				}
			}
			c.Conn.Close()
			return taken
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, setup{Config: outbox.Config{SendQueue: 16 << 20}})
			c, p := h.dial(t)
			taken := tt.run(c, p)
			testkit.Receive(t, p.closed, "Closed")
			h.http.Close()
			h.sockets.Close() // after it nobody writes any more
			h.log.mu.Lock()
			defer h.log.mu.Unlock()
			sent, dropped := h.log.frames, int(h.sockets.Stats().Dropped.Load())
			if n := sent + dropped; n != taken && n != taken+1 { // one more: the close frame
				t.Errorf("%d frames were taken, %d sent and %d dropped", taken, sent, dropped)
			}
			if (dropped > 0) != tt.drops {
				t.Errorf("%d frames dropped", dropped)
			}
			if h.sockets.Stats().Accepted.Load() != 1 {
				t.Errorf("%d connections were accepted", h.sockets.Stats().Accepted.Load())
			}
		})
	}
}
