package app

import (
	"sync/atomic"

	"rollcall/hub"
)

// timing is what a connection has from the first timer on that its handler sets. From then on its events come from two
// goroutines: from that of the connection, and from one that runs due timers and exists only as long as there are some.
// The turn lets one event run at a time.
//
//	alarm set ── its time ──▶ ringing: waits for the turn, runs what is due, one event a turn ──▶ alarm set, or none
type timing struct {
	conn    *eventClient  // static
	turn    chan struct{} // static; buffer 1: full while an event of the connection runs
	ringing atomic.Bool   // a goroutine runs timers, or is about to

	// Owned by who has the turn.
	timers timers
	alarm  alarm
}

// newTiming makes the timing of a connection, with the turn of the event that is running.
func newTiming(c *eventClient) *timing {
	t := &timing{conn: c, turn: make(chan struct{}, 1)}
	t.alarm.ring = t.ring
	t.turn <- struct{}{}
	return t
}

// enter waits for the turn. Before its first timer a connection has no timing, and need not wait.
func (t *timing) enter() {
	if t != nil {
		t.turn <- struct{}{}
	}
}

// leave ends the turn.
func (t *timing) leave() {
	if t != nil {
		<-t.turn
	}
}

// set carries out an action.
func (t *timing) set(a hub.Timer) error {
	set := timer{name: a.Name, data: a.Data, at: t.conn.server.now() + a.Wait, of: t.conn.current}
	if a.Cancel {
		t.timers.cancel(set)
	} else if err := t.timers.set(set); err != nil {
		return err
	}
	t.arm()
	return nil
}

// arm sets the alarm for the nearest timer.
func (t *timing) arm() {
	s := t.conn.server
	if at, ok := t.timers.next(); ok {
		s.alarms.set(&t.alarm, s.began.Add(at))
	} else {
		s.alarms.drop(&t.alarm)
	}
}

// end forgets all timers.
func (t *timing) end() {
	if t != nil {
		t.timers = timers{}
		t.arm()
	}
}

// endOf forgets the timers of one handling.
func (t *timing) endOf(h *handling) {
	if t != nil {
		t.timers.drop(h)
		t.arm()
	}
}

// ring has the due timers run. While a goroutine does that already, it looks for more by itself.
func (t *timing) ring() {
	if t.ringing.CompareAndSwap(false, true) {
		t.conn.server.running.Go(func() {
			for t.runNext() {
			}
		})
	}
}

// runNext runs one due timer and tells whether there may be another. A timer that was replaced or taken back while it
// waited for the turn does not run, nor does one of a connection that is closing.
func (t *timing) runNext() (more bool) {
	t.enter()
	defer t.leave()
	if t.conn.isClosing() {
		t.timers = timers{}
	}
	due, ok := t.timers.take(t.conn.server.now())
	if !ok {
		t.ringing.Store(false)
		t.arm() // after that: an alarm that rings now starts anew
		return false
	}
	t.conn.ws.Protect(func() { due.of.timer(due) })
	return true
}

// setTimer is hub.Member.SetTimer.
func (c *eventClient) setTimer(t hub.Timer) error {
	if c.ended {
		return hub.ErrGone
	}
	if c.timing == nil {
		if t.Cancel {
			return nil
		}
		c.timing = newTiming(c)
	}
	return c.timing.set(t)
}

// isClosing tells that the connection gets no events any more but its end.
func (c *eventClient) isClosing() bool { return c.ended || c.ws.IsDone() }

// timer runs the handler for a timer that is due.
func (c *handling) timer(t timer) {
	e := event{kind: RunTimer, timer: t}
	if c.join != nil {
		c.join.handle(e, nil)
		return
	}
	c.handleEvent(e)
}
