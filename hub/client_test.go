package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/outbox"
)

// client is one connection: a fake WebSocket that writes down what it gets.
type client struct {
	*Session
	w    *world
	name string

	mu     sync.Mutex
	lines  []string
	closed string
	full   bool // the script's queue is full
	refuse bool // the socket is gone
	frames int
	space  int // frames or events that its queue takes at once; 0: all
}

func (n *node) event(name string, devices ...bool) *client {
	return n.enter(name, Member{Devices: len(devices) > 0 && devices[0]}, false)
}
func (n *node) script(name string) *client { return n.enter(name, Member{}, true) }

func (n *node) enter(name string, m Member, script bool) *client {
	c := &client{w: n.w, name: name}
	m.ID, m.Conn, m.Route = n.NewID(), c, "/test"
	if script {
		m.Events = c.hear
		m.Fits = func(events, _ int) bool { return c.space == 0 || events <= c.space }
	}
	n.w.mu.Lock()
	n.w.names[m.ID] = name
	n.w.mu.Unlock()
	c.Session = n.Enter(m)
	return c
}

func (c *client) Send(f outbox.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse {
		return outbox.ErrClosed
	}
	c.frames++
	c.lines = append(c.lines, c.w.short(string(f.Payload())))
	return nil
}

func (c *client) Fits(frames []outbox.Frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.space == 0 || len(frames) <= c.space
}

func (c *client) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = fmt.Sprint(code, " ", reason)
}

func (c *client) CloseFor(why outbox.Why, code int, reason string) {
	c.Close(code, reason)
}

func (c *client) hear(e *Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		c.lines = append(c.lines, "full")
		return false
	}
	switch e.Kind {
	case EventBroadcast:
		line := fmt.Sprintf("%s: %s from %s", e.Channel, e.Data.Text, c.w.who(e.SenderID))
		if e.Position != "" {
			line += " at " + c.w.since(e.Position)
		}
		c.lines = append(c.lines, line)
	case EventLost:
		c.lines = append(c.lines, fmt.Sprintf("%s: lost before what follows %s, %s", e.Channel, c.w.since(e.Position), e.Why))
	default:
		c.lines = append(c.lines, fmt.Sprintf("%s: %s %s[%s] %s", e.Channel, e.Type, e.UserID, c.w.who(e.ConnID), e.UserInfo))
	}
	return true
}

// got gives the lines so far.
func (c *client) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

// want waits until the client got exactly these lines, and forgets them.
func (c *client) want(lines ...string) {
	c.w.t.Helper()
	end := time.Now().Add(15 * time.Second)
	for {
		got := c.got()
		if slices.Equal(got, lines) {
			break
		}
		if len(got) > len(lines) || time.Now().After(end) {
			c.w.t.Fatalf("%s got\n\t%s\nwant\n\t%s", c.name, strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
		}
		time.Sleep(2 * time.Millisecond)
	}
	for _, n := range c.w.nodes {
		n.check()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = c.lines[len(lines):]
}

func (c *client) ctx() context.Context { return context.Background() }

func (c *client) join(channels ...string) {
	c.w.t.Helper()
	for _, ch := range channels {
		must(c.w.t, c.Join(c.ctx(), ch))
	}
}

func (c *client) track(channel, user, fields string) {
	c.w.t.Helper()
	must(c.w.t, c.Track(c.ctx(), channel, user, fieldsOf(c.w.t, fields)))
}

func (c *client) set(channel, fields string) {
	c.w.t.Helper()
	must(c.w.t, c.SetPresence(c.ctx(), channel, fieldsOf(c.w.t, fields)))
}

func (c *client) say(channel, text string) {
	c.w.t.Helper()
	must(c.w.t, c.h.Broadcast(c.ctx(), channel, Value{Text: text}, c.id))
}
