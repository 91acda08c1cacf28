package broker

import (
	"errors"
	"strconv"
	"time"
)

var (
	errSilent = errors.New("no answer for two watch intervals")
	errDeaf   = errors.New("published messages do not come back")
)

// lookout decides whether a connection that looks open is dead. A half-open connection
// gives no error: only silence tells. Each way is looked at for itself: messages may still come on a connection
// that takes no SUBSCRIBE any more, and answers on one that gets no message. It counts checks, not time: a process
// that was frozen finds its first check late, not its connection dead.
type lookout struct {
	every time.Duration

	last     time.Time
	answered uint64
	silent   int // checks in a row without an answer
	deaf     int // checks in a row with an echo missing
}

func (l *link) newLookout() *lookout {
	l.echoed.Store(l.sent.Load())
	return &lookout{every: l.b.cfg.WatchEvery, answered: l.answered.Load()}
}

// check is told, at each watch interval, how many answers came so far, the number of the last echo
// that Redis confirmed to have published, and of the last that came back. A check
// that follows the one before too soon does not count.
func (o *lookout) check(now time.Time, answered, sent, echoed uint64) error {
	if !o.last.IsZero() && now.Sub(o.last) < o.every/2 {
		return nil
	}
	first := o.last.IsZero()
	o.last = now
	if answered != o.answered || first {
		o.answered, o.silent = answered, 0
	} else {
		o.silent++
	}
	if sent > echoed {
		o.deaf++
	} else {
		o.deaf = 0
	}
	switch {
	case o.silent >= 2:
		return errSilent
	case o.deaf >= 2:
		return errDeaf
	}
	return nil
}

// probe asks for signs of life: a PONG on the connection itself, and a message that goes the way
// all messages go and comes back over this connection.
func (l *link) probe(c *connection) error {
	if err := c.ps.Ping(c.ctx); err != nil {
		return err
	}
	l.mu.Lock()
	watch := l.watch
	l.mu.Unlock()
	number := l.b.echoes.Add(1)
	payload := strconv.FormatUint(number, 10) + " " + strconv.FormatInt(int64(time.Since(l.b.opened)), 10)
	cmd := l.b.publishCommand(c.ctx, watch, payload)
	// An error means that Redis does not answer: that says nothing about this connection.
	_ = l.b.Submit(cmd, func(err error) {
		if err == nil {
			raise(&l.sent, number)
		}
	})
	return nil
}
