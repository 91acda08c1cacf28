package broker

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// read receives until the connection ends and returns why. All calls to
// receivers of this lane's topics are made from here.
//
//go:noinline
func (ln *lane) read(c *connection) error {
	for {
		message, err := c.ps.Receive(c.ctx)
		if err != nil && !ln.refused(err) {
			return err
		}
		switch m := message.(type) {
		case *redis.Message:
			ln.deliver(m.Channel, m.Payload)
		case *redis.Subscription:
			ln.answered.Add(1)
			ln.answer(m.Kind, m.Channel)
		default: // a pong, or a refusal
			ln.answered.Add(1)
		}
	}
}

// deliver hands one message to the receivers of its topic.
func (ln *lane) deliver(name, payload string) {
	l := ln.l
	l.mu.Lock()
	l.messages++
	t := l.topics[name]
	if t == nil || t.lane != ln {
		echo := name == ln.watch
		l.mu.Unlock()
		if echo {
			ln.echo(payload)
		}
		return
	}
	regs := ln.begin(t)
	l.mu.Unlock()
	for _, reg := range regs {
		if !reg.gone.Load() {
			reg.receiver.Receive(payload)
		}
	}
	ln.finish()
}

// answer takes Redis's answer to a SUBSCRIBE or UNSUBSCRIBE, plain or sharded, or the notice that a subscription
// is over because its slot has left the master.
func (ln *lane) answer(kind, name string) {
	o := subscribe
	if kind == "unsubscribe" || kind == "sunsubscribe" {
		o = unsubscribe
	}
	l := ln.l
	l.mu.Lock()
	ln.due.told(o, name)
	t := l.topics[name]
	if t == nil || t.lane != ln {
		if o == unsubscribe && name == ln.watch {
			ln.unwatched, ln.doubtful = true, true
			ln.nudge()
		}
		l.mu.Unlock()
		return
	}
	var confirmed bool
	if o == unsubscribe && t.sub.unsubs == 0 {
		t.sub, t.away = t.sub.ended(), true
	} else {
		t.sub, confirmed = t.sub.answered(o)
	}
	if !confirmed {
		l.leaveLocked(t)
		l.mu.Unlock()
		return
	}
	t.tries, t.lost = 0, false
	var again []*registration
	for _, reg := range t.regs {
		if reg.confirmed || reg.attached {
			again = append(again, reg)
		}
		if !reg.confirmed {
			reg.confirm()
		}
	}
	ln.begin(t)
	l.mu.Unlock()
	for _, reg := range again {
		if !reg.gone.Load() {
			reg.receiver.Resubscribed()
		}
	}
	ln.finish()
}

// refused takes an error of the connection. It reports true if that is a master's answer to one command, which says
// that it does not serve the slot: those topics have to be asked for elsewhere, or later.
func (ln *lane) refused(err error) bool {
	if !ln.sharded() {
		return false
	}
	slot := -1
	switch {
	case redis.HasErrorPrefix(err, "MOVED"):
		if _, scanErr := fmt.Sscanf(err.Error(), "MOVED %d", &slot); scanErr != nil {
			return false
		}
	case !redis.HasErrorPrefix(err, "CLUSTERDOWN"):
		return false
	}
	l := ln.l
	l.mu.Lock()
	defer l.mu.Unlock()
	cmd, ok := ln.due.refused(slot)
	if !ok {
		return true // to an UNSUBSCRIBE for what had been ended already
	}
	for _, name := range cmd.names {
		if name == ln.watch {
			ln.unwatched = true
		}
		if t := l.topics[name]; t != nil && t.lane == ln {
			t.sub, t.away = t.sub.refused(cmd.order), true
			l.leaveLocked(t)
		}
	}
	return true
}

// confirm is called with link.mu held.
func (reg *registration) confirm() {
	reg.confirmed = true
	close(reg.ready)
}

// begin notes that the receivers of t are about to be called. link.mu is held.
func (ln *lane) begin(t *topic) []*registration {
	ln.delivering = t
	ln.deliveries++
	return t.regs
}

func (ln *lane) finish() {
	l := ln.l
	l.mu.Lock()
	ln.delivering = nil
	if l.waiters > 0 {
		l.idle.Broadcast()
	}
	l.mu.Unlock()
}

// settleLocked waits until no call that began before is still running for t.
// link.mu is held, and given up while it waits.
func (l *link) settleLocked(t *topic) {
	ln := t.lane
	if ln == nil || ln.delivering != t || inReader() {
		return
	}
	number := ln.deliveries
	l.waiters++
	for ln.delivering == t && ln.deliveries == number {
		l.idle.Wait()
	}
	l.waiters--
}

// readEntry is where the code of read begins.
var readEntry = reflect.ValueOf((*lane).read).Pointer()

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

// echo takes what guard published: its number, and when, in ns since the broker was opened.
func (ln *lane) echo(payload string) {
	text, sent, _ := strings.Cut(payload, " ")
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return
	}
	raise(&ln.echoed, number)
	if ns, err := strconv.ParseInt(sent, 10, 64); err == nil {
		ln.l.b.cfg.Observer.Echoed(ln.l.b.now() - time.Duration(ns))
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
