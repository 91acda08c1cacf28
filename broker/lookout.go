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

// guard checks the connection and asks for signs of life: a PONG on the connection itself, and a message
// that goes the way all messages go and comes back over this connection.
func (ln *lane) guard(c *connection, look *lookout, now time.Time) error {
	watch, lost := ln.watched()
	if lost {
		ln.echoed.Store(ln.sent.Load()) // what was sent to the old watch topic can't come back
	}
	if err := look.check(now, ln.answered.Load(), ln.sent.Load(), ln.echoed.Load()); err != nil {
		return err
	}
	if err := c.ps.Ping(c.ctx); err != nil {
		return err
	}
	if lost {
		cmd, err := ln.rewatch()
		if err != nil || len(cmd.names) == 0 {
			return err
		}
		return c.send(c.ctx, cmd)
	}
	number := ln.l.b.echoes.Add(1)
	payload := strconv.FormatUint(number, 10) + " " + strconv.FormatInt(int64(ln.l.b.now()), 10)
	cmd := ln.l.b.publishCommand(c.ctx, ln.sharded(), watch, payload)
	// An error means that Redis does not answer: that says nothing about this connection.
	_ = ln.l.b.redis.Submit(cmd, func(err error) {
		if err == nil {
			raise(&ln.sent, number)
		}
	})
	return nil
}

func (ln *lane) watched() (watch string, lost bool) {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	return ln.watch, ln.unwatched
}

// rewatch chooses another watch topic, since the slot of the last has left this master: beside a topic that is
// confirmed here. It returns the command that asks for it; none: no topic is confirmed yet. errUnused: all have left.
func (ln *lane) rewatch() (command, error) {
	l := ln.l
	l.mu.Lock()
	defer l.mu.Unlock()
	used := false
	for name, t := range l.topics {
		if t.lane != ln {
			continue
		}
		if used = true; t.sub.live() && !t.away {
			ln.nameWatchLocked(name)
			return ln.askWatchLocked(), nil
		}
	}
	if used {
		return command{}, nil
	}
	delete(l.lanes, ln.addr) // nobody is taken in any more
	return command{}, errUnused
}
