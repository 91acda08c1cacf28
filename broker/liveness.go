package broker

import (
	"errors"
	"strconv"
	"time"
)

var (
	errSilent = errors.New("no answer for two watch intervals")
	errNoEcho = errors.New("published messages do not come back")
)

// liveness decides whether a connection that looks open is dead. A half-open connection
// gives no error: only silence tells. Each way is looked at for itself: messages may still come on a connection
// that takes no SUBSCRIBE any more, and answers on one that gets no message. It counts checks, not time: a process
// that was frozen finds its first check late, not its connection dead.
type liveness struct {
	every time.Duration

	last       time.Time
	answered   uint64
	unanswered int // checks in a row without an answer
	unechoed   int // checks in a row with an echo missing
}

// check is told, at each watch interval, how many answers came so far, the number of the last echo
// that Redis confirmed to have published, and of the last that came back. A check
// that follows the one before too soon does not count.
func (l *liveness) check(now time.Time, answered, sent, echoed uint64) error {
	if !l.last.IsZero() && now.Sub(l.last) < l.every/2 {
		return nil
	}
	first := l.last.IsZero()
	l.last = now
	if answered != l.answered || first {
		l.answered, l.unanswered = answered, 0
	} else {
		l.unanswered++
	}
	if sent > echoed {
		l.unechoed++
	} else {
		l.unechoed = 0
	}
	switch {
	case l.unanswered >= 2:
		return errSilent
	case l.unechoed >= 2:
		return errNoEcho
	}
	return nil
}

// checkAlive checks the connection and asks for signs of life: a PONG on the connection itself, and a message
// that goes the way all messages go and comes back over this connection.
func (c *conn) checkAlive(live *liveness, now time.Time) error {
	topic, lost := c.echoState()
	if lost {
		c.echoed.Store(c.sent.Load()) // what was sent to the old echo topic can't come back
	}
	if err := live.check(now, c.answered.Load(), c.sent.Load(), c.echoed.Load()); err != nil {
		return err
	}
	if err := c.pubsub.Ping(c.noDial); err != nil {
		return err
	}
	if lost {
		cmd, err := c.newEchoTopic()
		if err != nil || len(cmd.names) == 0 {
			return err
		}
		return c.send(c.noDial, cmd)
	}
	number := c.g.b.echoes.Add(1)
	payload := strconv.FormatUint(number, 10) + " " + strconv.FormatInt(int64(c.g.b.now()), 10)
	cmd := c.g.b.publishCommand(c.noDial, c.sharded(), topic, payload)
	// An error means that Redis does not answer: that says nothing about this connection.
	_ = c.g.b.redis.Submit(cmd, func(err error) {
		if err == nil {
			raise(&c.sent, number)
		}
	})
	return nil
}

func (c *conn) echoState() (topic string, lost bool) {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	return c.echoTopic, c.echoLost
}

// newEchoTopic chooses another echo topic, since the slot of the last has left this master: beside a topic that is
// confirmed here. It returns the command that asks for it; none: no topic is confirmed yet. errUnused: all have left.
func (c *conn) newEchoTopic() (command, error) {
	g := c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	used := false
	for name, t := range g.topics {
		if t.conn != c {
			continue
		}
		if used = true; t.sub.live() && !t.moving {
			c.nameEchoTopicLocked(name)
			return c.subscribeEchoLocked(), nil
		}
	}
	if used {
		return command{}, nil
	}
	delete(g.conns, c.addr) // no topic is assigned any more
	return command{}, errUnused
}
