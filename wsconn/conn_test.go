package wsconn

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/outbox"
	"rollcall/testkit"
)

func TestEcho(t *testing.T) {
	h := newHost(t, setup{})
	h.setup = func(p *probe) {
		p.onMessage = func(p *probe, s string) { _ = p.c.Send(TextString(s)) }
	}
	c, p := h.dial(t)
	for _, n := range []int{0, 1, 125, 126, 511, 512, 513, 65535, 65536} {
		s := strings.Repeat("x", n)
		c.text(s)
		c.wantText("text:" + s)
		c.write(frame(final|opBinary, s))
		c.wantText("binary:" + s)
	}
	c.write(frame(final|opClose, closeBody(1000, "bye")))
	if got := c.wantClose(1000); got != "bye" {
		t.Errorf("reason %q", got)
	}
	c.wantEOF()
	if got, want := testkit.Receive(t, p.closed,
		"Closed"), (outbox.CloseInfo{Code: 1000, Reason: "bye", Clean: true, ByPeer: true,
		Why: outbox.WhyPeer}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOrder(t *testing.T) {
	h := newHost(t, setup{})
	c, p := h.dial(t)
	const n = 5000
	for i := range n {
		if err := p.c.Send(TextString(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	p.c.Close(1000, "done")
	for i := range n {
		c.wantText(fmt.Sprint(i))
	}
	c.wantClose(1000)
	c.write(frame(final|opClose, closeBody(1000, "")))
	c.wantEOF()
	if got, want := testkit.Receive(t, p.closed,
		"Closed"), (outbox.CloseInfo{Code: 1000, Reason: "done", Clean: true, Why: outbox.WhyServer}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
