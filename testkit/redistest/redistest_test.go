package redistest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kinds are all kinds of Redis that this package runs.
var kinds = []struct {
	name  string
	start func(testing.TB) *redistest.Redis
}{
	{"mini", redistest.Mini},
	{"standalone", func(t testing.TB) *redistest.Redis { return redistest.Standalone(t) }},
	{"cluster", redistest.Cluster},
	{"sentinel", redistest.Sentinel},
}

func TestEveryKindServesAndForgets(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			r := kind.start(t)
			ctx := t.Context()
			for _, key := range []string{"a", "b", "c", "d"} {
				if err := r.Client().Set(ctx, key, "x", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			count := func() (n int64) {
				for _, key := range []string{"a", "b", "c", "d"} {
					n += r.Client().Exists(ctx, key).Val()
				}
				return n
			}
			if n := count(); n != 4 {
				t.Fatalf("%d keys, want 4", n)
			}
			r.FlushAll()
			if n := count(); n != 0 {
				t.Fatalf("%d keys after FlushAll, want 0", n)
			}
			if err := r.Client().Set(ctx, "a", "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if kind.name == "sentinel" {
				return // a restart of both is a failover of its own
			}
			r.Restart()
			if n := count(); n != 0 {
				t.Fatalf("%d keys after Restart, want 0", n)
			}
		})
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	r := redistest.Standalone(t)
	p := r.Nodes()[0]
	r.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Client().Ping(ctx).Err(); err == nil {
		t.Fatal("a paused server answered")
	}
	r.Resume()
	if err := p.Client().Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	r := redistest.Sentinel(t)
	first := r.Master()
	first.Kill()
	deadline := time.Now().Add(15 * time.Second)
	for r.Master() == first || r.Client().Set(t.Context(), "k", "v", 0).Err() != nil {
		if time.Now().After(deadline) {
			t.Fatal("no failover")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// echoServer sends everything back.
func echoServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// client is a connection whose answers the test waits for.
type client struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, addr string) client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client{t, conn}
}

func (c client) say(text string) {
	c.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c client) hear(text string) {
	c.t.Helper()
	buf := make([]byte, len(text))
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		c.t.Fatalf("heard %q, %v; want %q", buf, err, text)
	}
}

func (c client) hearNothing() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
}

func (c client) hearEnd() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("read: %v, want the end of the connection", err)
	}
}

func TestProxy(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, p *redistest.Proxy, c client){
		"passes": func(t *testing.T, p *redistest.Proxy, c client) {
			c.say("one")
			c.hear("one")
		},
		"drop leaves the connection half-open for good": func(t *testing.T, p *redistest.Proxy, c client) {
			c.say("one")
			c.hear("one")
			p.Drop()
			c.say("two")
			c.hearNothing()
			p.Resume()
			c.say("three")
			c.hearNothing()
			p.Cut()
			c.hearEnd()
		},
		"drop of subscriptions leaves the others": func(t *testing.T, p *redistest.Proxy, c client) {
			const subscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nx\r\n"
			before := dial(t, p.Addr())
			before.say(subscribe)
			before.hear(subscribe)
			p.DropSubscriptions()
			before.say("one")
			before.hearNothing()
			meanwhile := dial(t, p.Addr())
			meanwhile.say(subscribe)
			meanwhile.hearNothing()
			c.say("two")
			c.hear("two")
			p.Resume()
			before.say("three")
			before.hearNothing()
			after := dial(t, p.Addr())
			after.say(subscribe)
			after.hear(subscribe)
		},
		"forget leaves new subscriptions": func(t *testing.T, p *redistest.Proxy, c client) {
			const subscribe = "*2\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n"
			before := dial(t, p.Addr())
			before.say(subscribe)
			before.hear(subscribe)
			c.say("one")
			c.hear("one")
			if n := p.Forget(); n != 1 {
				t.Errorf("%d forgotten", n)
			}
			before.say("two")
			before.hearNothing()
			c.say("three")
			c.hear("three")
			after := dial(t, p.Addr())
			after.say(subscribe)
			after.hear(subscribe)
		},
		"a new connection works after drop": func(t *testing.T, p *redistest.Proxy, c client) {
			p.Drop()
			c.say("one")
			c.hearNothing()
			p.Resume()
			d := dial(t, p.Addr())
			d.say("two")
			d.hear("two")
		},
		"hold delivers late": func(t *testing.T, p *redistest.Proxy, c client) {
			p.Hold()
			c.say("one")
			c.hearNothing()
			p.Resume()
			c.hear("one")
			c.say("two")
			c.hear("two")
		},
		"cut closes": func(t *testing.T, p *redistest.Proxy, c client) {
			c.say("one")
			c.hear("one")
			p.Cut()
			c.hearEnd()
		},
		"refuse closes old and new": func(t *testing.T, p *redistest.Proxy, c client) {
			c.say("one")
			c.hear("one")
			p.Refuse()
			c.hearEnd()
			dial(t, p.Addr()).hearEnd()
			p.Resume()
			d := dial(t, p.Addr())
			d.say("two")
			d.hear("two")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := redistest.NewProxy(t, echoServer(t))
			test(t, p, dial(t, p.Addr()))
		})
	}
}

// What is lost one way is not lost the other way.
func TestProxyDropsRequests(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := redistest.NewProxy(t, l.Addr().String())
	c := dial(t, p.Addr())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := client{t, conn}
	c.say("one")
	s.hear("one")
	p.DropRequestsOfSubscriptions()
	c.say("two")
	s.hear("two")
	p.DropRequests()
	c.say("three")
	s.hearNothing()
	s.say("answer")
	c.hear("answer")
	p.Resume()
	c.say("four")
	s.hearNothing()
	s.say("another")
	c.hear("another")
}
