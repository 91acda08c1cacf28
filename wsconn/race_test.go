package wsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
)

// TestSenders: many goroutines send at once to a client that reads in fits and starts; every frame comes whole,
// each sender's in order, and the close frame last.
func TestSenders(t *testing.T) {
	const senders, each = 8, 100
	for _, name := range []string{"tcp", "tls"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{Config: outbox.Config{SendQueue: 256 << 20}, buffers: 64 << 10})
			c, p := h.dial(t)
			if name == "tls" {
				c, p = dialTLS(t, h)
			}
			var wg sync.WaitGroup
			for s := range senders {
				wg.Go(func() {
					for i := range each {
						size := 1 << rand.IntN(14)
						if err := p.c.Send(TextString(fmt.Sprintf("%d %d %s", s, i, strings.Repeat("x", size)))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			go func() {
				wg.Wait()
				p.c.Close(1000, "")
			}()
			next := make([]int, senders)
			for n := range senders * each {
				if n%75 == 0 {
					time.Sleep(20 * time.Millisecond) // the socket fills meanwhile
				}
				op, payload, err := c.next()
				var s, i int
				if _, scan := fmt.Sscanf(payload, "%d %d ", &s, &i); err != nil || op != opText || scan != nil {
					t.Fatalf("frame %d %.40q: %v %v", op, payload, err, scan)
				}
				if i != next[s] {
					t.Fatalf("sender %d: frame %d, want %d", s, i, next[s])
				}
				next[s]++
			}
			c.wantClose(1000)
			c.write(frame(0x88, closeBody(1000, "")))
			if got := testkit.Receive(t, p.closed, "Closed"); !got.Clean {
				t.Errorf("%+v", got)
			}
			check(t, &p.c.Conn)
		})
	}
}

// dialTLS connects a client to h's server through a TLS listener.
func dialTLS(t *testing.T, h *host) (*client, *probe) {
	t.Helper()
	ts := h.newHTTP()
	ts.StartTLS()
	t.Cleanup(ts.Close)
	pool := ts.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	nc, err := tls.Dial("tcp", ts.Listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return h.upgrade(t, nc)
}

func TestTLS(t *testing.T) {
	h := newHost(t, setup{Config: outbox.Config{Ping: quick, SendQueue: 100 << 10}})
	h.setup = func(p *probe) {
		p.onMessage = func(p *probe, s string) { _ = p.c.Send(TextString(s)) }
	}
	t.Run("echo and close", func(t *testing.T) {
		c, p := dialTLS(t, h)
		c.text("hello")
		for {
			op, got, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if op == opText {
				if got != "text:hello" {
					t.Errorf("%q", got)
				}
				break
			}
		}
		c.write(frame(0x88, closeBody(1001, "")))
		c.wantClose(1001)
		if got := testkit.Receive(t, p.closed, "Closed"); got.Code != 1001 || !got.Clean {
			t.Errorf("%+v", got)
		}
	})
	t.Run("dead", func(t *testing.T) {
		_, p := dialTLS(t, h)
		if got := testkit.Receive(t, p.closed, "Closed"); got.Why != outbox.WhyDead {
			t.Errorf("%+v", got)
		}
	})
	t.Run("never reads", func(t *testing.T) {
		_, p := dialTLS(t, h)
		var err error
		for f := TextString(strings.Repeat("x", 10000)); err == nil; {
			err = p.c.Send(f)
		}
		at := time.Now()
		if got := testkit.Receive(t, p.closed, "Closed"); !errors.Is(err, outbox.ErrSlow) || got.Code != 1013 ||
			time.Since(at) > 1500*time.Millisecond {
			t.Errorf("%v, %+v after %s", err, got, time.Since(at))
		}
	})
}

// TestCommotion: clients come, talk, flood, stop reading, vanish and close, while the server sends to all and
// closes some. Every connection that opened is closed once, last; nothing is left.
func TestCommotion(t *testing.T) {
	h := newHost(t, setup{Config: outbox.Config{Ping: quick, SendQueue: 64 << 10}, limits: Config{MessageRate: 50}})
	h.conns = make(chan *probe, 10000)
	h.setup = func(p *probe) {
		p.onMessage = func(p *probe, s string) {
			if rand.IntN(50) == 0 {
				panic("in Message")
			}
			_ = p.c.Send(TextString(s))
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			f := TextString(strings.Repeat("x", 2000))
			for {
				select {
				case <-stop:
					return
				default:
				}
				h.sockets.Each(func(c *outbox.Conn) {
					switch rand.IntN(200) {
					case 0:
						c.Close(1000, "")
					case 1:
						<-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond)
					}
					_ = c.Send(f)
					check(t, c)
				})
			}
		})
	}
	for range 20 {
		wg.Go(func() {
			for range 10 {
				visit(h.http.Listener.Addr().String())
			}
		})
	}
	time.AfterFunc(2*time.Second, func() { close(stop) })
	wg.Wait()
	h.sockets.Close()
	h.http.Close()
	close(h.conns)
	n := 0
	for p := range h.conns {
		n++
		info := testkit.Receive(t, p.closed, "Closed")
		if calls := p.Noted(); !strings.HasPrefix(calls, "open") || strings.Count(calls, "closed") != 1 ||
			!strings.HasSuffix(calls, "closed") || info.Why == "" {
			t.Errorf("%+v, calls %s", info, calls)
		}
		check(t, &p.c.Conn)
	}
	check(t, h.sockets)
	if h.sockets.Len() != 0 || len(h.log.closed) != n || n == 0 {
		t.Errorf("%d left of %d, told of %d", h.sockets.Len(), n, len(h.log.closed))
	}
}

// visit is one client's short and perhaps unruly life.
func visit(addr string) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Duration(10+rand.IntN(200)) * time.Millisecond))
	_, _ = nc.Write([]byte(upgradeRequest))
	buf := make([]byte, 1000)
	for range rand.IntN(20) {
		switch rand.IntN(12) {
		case 0:
			return
		case 1:
			_, _ = nc.Write(frame(0x88, closeBody(1000, "")))
		case 2:
			_ = nc.(*net.TCPConn).SetLinger(0)
			return
		case 3:
			_, _ = nc.Write([]byte(strings.Repeat(string(frame(0x89, "")), 200)))
		case 4:
			_, _ = nc.Write([]byte{0xff, 0xff})
		case 5:
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		case 6, 7:
			_, _ = nc.Read(buf)
		default:
			_, _ = nc.Write(frame(0x81, "hello"))
		}
	}
}
