package broker

import (
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// read receives until the connection ends and returns why. All calls to
// receivers of this link are made from here.
//
//go:noinline
func (l *link) read(c *connection) error {
	for {
		message, err := c.ps.Receive(c.ctx)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *redis.Message:
			l.deliver(m.Channel, m.Payload)
		case *redis.Subscription:
			l.answered.Add(1)
			l.answer(m.Kind, m.Channel)
		default: // a pong
			l.answered.Add(1)
		}
	}
}

// deliver hands one message to the receivers of its topic.
func (l *link) deliver(name, payload string) {
	l.mu.Lock()
	l.messages++
	t := l.topics[name]
	if t == nil {
		echo := name == l.watch
		l.mu.Unlock()
		if echo {
			l.echo(payload)
		}
		return
	}
	regs := l.begin(t)
	l.mu.Unlock()
	for _, reg := range regs {
		if !reg.gone.Load() {
			reg.receiver.Receive(payload)
		}
	}
	l.finish()
}

// answer takes Redis's answer to a SUBSCRIBE or UNSUBSCRIBE.
func (l *link) answer(kind, name string) {
	o := subscribe
	if kind == "unsubscribe" {
		o = unsubscribe
	}
	l.mu.Lock()
	t := l.topics[name]
	if t == nil {
		l.mu.Unlock()
		return
	}
	var confirmed bool
	t.sub, confirmed = t.sub.answered(o)
	if !confirmed {
		if !t.wanted() && t.sub.over() {
			delete(l.topics, name)
		}
		l.mu.Unlock()
		return
	}
	var again []*registration
	for _, reg := range t.regs {
		if reg.confirmed || reg.attached {
			again = append(again, reg)
		}
		if !reg.confirmed {
			reg.confirm()
		}
	}
	l.begin(t)
	l.mu.Unlock()
	for _, reg := range again {
		if !reg.gone.Load() {
			reg.receiver.Resubscribed()
		}
	}
	l.finish()
}

// confirm is called with link.mu held.
func (reg *registration) confirm() {
	reg.confirmed = true
	close(reg.ready)
}

// begin notes that the receivers of t are about to be called. link.mu is held.
func (l *link) begin(t *topic) []*registration {
	l.delivering = t
	l.deliveries++
	return t.regs
}

func (l *link) finish() {
	l.mu.Lock()
	l.delivering = nil
	if l.waiters > 0 {
		l.idle.Broadcast()
	}
	l.mu.Unlock()
}

// settleLocked waits until no call that began before is still running for t.
// link.mu is held, and given up while it waits.
func (l *link) settleLocked(t *topic) {
	if l.delivering != t || inReader() {
		return
	}
	number := l.deliveries
	l.waiters++
	for l.delivering == t && l.deliveries == number {
		l.idle.Wait()
	}
	l.waiters--
}

// readEntry is where the code of read begins.
var readEntry = reflect.ValueOf((*link).read).Pointer()

// inReader reports whether the caller is being called by a receiver, that is, on a reader's goroutine.
// It walks the stack, which is slow (microseconds), and is asked only when there is a call to wait for.
func inReader() bool {
	var buf [64]uintptr
	for skip := 2; ; skip += len(buf) {
		n := runtime.Callers(skip, buf[:])
		frames := runtime.CallersFrames(buf[:n])
		for {
			frame, more := frames.Next()
			if frame.Entry == readEntry {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(buf) {
			return false
		}
	}
}

// echo takes what probe published: its number, and when, in ns since the broker was opened.
func (l *link) echo(payload string) {
	text, sent, _ := strings.Cut(payload, " ")
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return
	}
	raise(&l.echoed, number)
	if ns, err := strconv.ParseInt(sent, 10, 64); err == nil {
		l.b.cfg.Observer.Echoed(time.Since(l.b.opened) - time.Duration(ns))
	}
}

// raise sets v to at least n.
func raise(v *atomic.Uint64, n uint64) {
	for {
		old := v.Load()
		if old >= n || v.CompareAndSwap(old, n) {
			return
		}
	}
}
