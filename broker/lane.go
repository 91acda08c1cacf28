package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

const (
	// lazyAfter is how long an UNSUBSCRIBE waits for others, and for a change of mind.
	lazyAfter = 50 * time.Millisecond
	// perCommand bounds the topics of one SUBSCRIBE: Redis keeps all its answers in
	// one output buffer until the command is done.
	perCommand = 1000
)

var (
	// errUnused ends a lane whose master has no topic of its link any more: no fault.
	errUnused = errors.New("no topic is left here")
	// errReplica: after a failover. Redis takes subscriptions there too, but the new master does not pass on to
	// it what is published before it has heard that the old one follows it.
	errReplica = errors.New("the master has become a replica")
)

// lane is one life of one connection of a link: dialled, asked for topics, watched, read from, ended.
//
// A plain lane (SUBSCRIBE) may carry any topic. A sharded one (SSUBSCRIBE) carries topics whose slots
// one master serves, and so does its watch topic: its echo proves the way from that master's shard.
// Such a master ends subscriptions by itself when their slot leaves it, and refuses those of other
// slots; then the topic goes astray, and the lane goes on.
type lane struct {
	// static
	l *link
	place
	wake  chan struct{} // something is in asked or dropped; capacity 1
	again bool          // made for topics that had lost their connection

	// answered counts Redis's answers to what was asked on this connection; echoed and sent are
	// numbers of echoes that came back and that Redis confirmed to have published.
	answered atomic.Uint64
	echoed   atomic.Uint64
	sent     atomic.Uint64

	// guarded by link.mu
	watch     string   // the watch topic
	unwatched bool     // the watch topic's slot has left this master
	doubtful  bool     // and it was not asked yet whether it is a master at all
	watches   int      // watch topics so far
	asked     []*topic // may need a SUBSCRIBE
	dropped   []*topic // may need an UNSUBSCRIBE
	due       answers  // sharded: the commands whose answers are due
	// the reader's present delivery: its topic (nil: none), and its number
	delivering *topic
	deliveries uint64
}

// newLane makes a lane and puts it among the link's. beside is the topic it is made for. link.mu is held.
func newLane(l *link, at place, beside string) *lane {
	l.made++
	ln := &lane{l: l, place: at, wake: make(chan struct{}, 1)}
	l.lanes[at.addr] = ln
	// The watch topic has another name each time: in a Cluster the slot of a plain one chooses the node.
	ln.nameWatchLocked(beside)
	return ln
}

func (ln *lane) sharded() bool { return ln.addr != "" }

func (ln *lane) nudge() { nudge(ln.wake) }

// nameWatchLocked chooses the watch topic: for a sharded lane in the slot of another of its topics.
func (ln *lane) nameWatchLocked(beside string) {
	ln.watches++
	id := ln.l.id + ":" + strconv.Itoa(ln.l.made) + ":" + strconv.Itoa(ln.watches)
	if ln.sharded() {
		ln.watch = ln.l.b.keys.WatchTopicBeside(beside, id)
	} else {
		ln.watch = ln.l.b.keys.WatchTopic(id)
	}
	ln.unwatched = false
}

// takeInLocked makes the lane that of a topic that has none.
func (ln *lane) takeInLocked(t *topic) {
	t.lane = ln
	ln.again = ln.again || t.lost
	ln.asked = append(ln.asked, t)
	ln.nudge()
}

// run lives the lane's life.
func (ln *lane) run(ctx context.Context) {
	defer ln.l.ended(ln)
	log := ln.l.b.cfg.Log
	if ln.sharded() {
		log = log.With("master", ln.addr)
	}
	c, err := ln.connect(ctx)
	if err != nil {
		if ln.failed() {
			log.Warn("redis subscription connection failed", "error", err)
		}
		return
	}
	if ln.up() {
		log.Info("redis subscription connection is back")
		ln.l.b.redis.ReportBreak()
	}
	err = ln.serve(ctx, c)
	ln.down(err)
	if ctx.Err() == nil && err != errUnused {
		log.Warn("redis subscription connection broke", "error", err)
		ln.l.b.redis.ReportBreak()
	}
}

// failed notes that the lane could not connect, and reports whether that is news.
func (ln *lane) failed() (news bool) {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	news = !ln.l.failing[ln.addr]
	ln.l.failing[ln.addr] = true
	return news
}

// up notes that the lane is connected, and reports whether it takes the place of one that broke.
func (ln *lane) up() (again bool) {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	delete(ln.l.failing, ln.addr)
	ln.l.standing++
	return ln.again
}

// down notes that the connection has ended.
func (ln *lane) down(why error) {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	ln.l.standing--
	if why != errUnused {
		ln.l.breaks++
	}
}

// connection is what a lane has to write to and read from.
type connection struct {
	ps      *redis.PubSub
	sharded bool
	ctx     context.Context // nothing dials under it
	end     chan error      // the reader's last word; capacity 1
}

// connect dials, asks for the watch topic, and starts the reader.
func (ln *lane) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, ln.l.b.cfg.Timeout)
	defer cancel()
	c := &connection{sharded: ln.sharded(), ctx: redisconn.WithoutDial(ln.l.b.ctx), end: make(chan error, 1)}
	if c.sharded {
		if err := ln.checkMaster(ctx); err != nil {
			return nil, err
		}
		c.ps = ln.node.Subscribe(ctx)
	} else {
		c.ps = ln.l.b.redis.GoRedis().Subscribe(ctx)
	}
	if err := c.send(ctx, ln.askWatch()); err != nil {
		_ = c.ps.Close()
		return nil, err
	}
	go func() { c.end <- ln.read(c) }()
	return c, nil
}

// checkMaster asks the master of a sharded lane whether it still is one: errReplica if not.
func (ln *lane) checkMaster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ln.l.b.cfg.Timeout)
	defer cancel()
	replica, err := redisconn.IsReplica(ctx, ln.node)
	if replica {
		return errReplica
	}
	return err
}

// doubted reports, once, that the watch topic was lost.
func (ln *lane) doubted() bool {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	was := ln.doubtful
	ln.doubtful = false
	return was
}

// hangUp closes the connection and waits for its reader.
func (ln *lane) hangUp(c *connection) {
	_ = c.ps.Close()
	<-c.end
}

// send writes one command. Only the first may dial.
func (c *connection) send(ctx context.Context, cmd command) error {
	var err error
	switch {
	case c.sharded && cmd.order == subscribe:
		err = c.ps.SSubscribe(ctx, cmd.names...)
	case c.sharded:
		err = c.ps.SUnsubscribe(ctx, cmd.names...)
	case cmd.order == subscribe:
		err = c.ps.Subscribe(ctx, cmd.names...)
	default:
		err = c.ps.Unsubscribe(ctx, cmd.names...)
	}
	if err != nil {
		return fmt.Errorf("write to pub/sub connection: %w", err)
	}
	return nil
}

func (c *connection) sendEach(cmds []command) error {
	for _, cmd := range cmds {
		if err := c.send(c.ctx, cmd); err != nil {
			return err
		}
	}
	return nil
}

// serve writes and watches until the connection breaks or is found dead. It returns why.
func (ln *lane) serve(ctx context.Context, c *connection) (err error) {
	tick := time.NewTicker(ln.l.b.cfg.WatchEvery)
	defer tick.Stop()
	lazy := time.NewTimer(lazyAfter)
	lazy.Stop()
	defer lazy.Stop()
	look := &lookout{every: ln.l.b.cfg.WatchEvery}
	for {
		select {
		case <-ctx.Done():
			ln.hangUp(c)
			return ctx.Err()
		case err := <-c.end:
			_ = c.ps.Close()
			return err
		case <-ln.wake:
			if ln.doubted() {
				if err = ln.checkMaster(ctx); err != nil {
					break
				}
			}
			var drops bool
			if drops, err = ln.sendAsked(c); drops {
				lazy.Reset(lazyAfter)
			}
		case <-lazy.C:
			err = c.sendEach(ln.take(&ln.dropped, unsubscribe))
		case now := <-tick.C:
			err = ln.guard(c, look, now)
		}
		if err != nil {
			ln.hangUp(c)
			return err
		}
	}
}

// sendAsked subscribes to what was asked for since the last time; drops: some
// topics wait to be unsubscribed.
func (ln *lane) sendAsked(c *connection) (drops bool, err error) {
	cmds := ln.take(&ln.asked, subscribe)
	ln.l.mu.Lock()
	drops = len(ln.dropped) > 0
	ln.l.mu.Unlock()
	return drops, c.sendEach(cmds)
}

// take empties list and returns the commands for those topics for which o is what is due now,
// noting them as sent: their answers may come before the write has returned.
func (ln *lane) take(list *[]*topic, o order) []command {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	due := make([]*topic, 0, len(*list))
	for _, t := range *list {
		if ln.l.topics[t.name] == t && t.lane == ln && t.sub.next(t.wantedHere()) == o {
			t.sub = t.sub.sent(o)
			due = append(due, t)
		}
	}
	*list = nil
	if !ln.sharded() {
		return commands(o, due)
	}
	var cmds []command
	slices.SortStableFunc(due, func(a, b *topic) int { return a.slot - b.slot })
	for len(due) > 0 {
		n := 1
		for n < len(due) && due[n].slot == due[0].slot {
			n++
		}
		cmds = append(cmds, commands(o, due[:n])...) // Redis takes one slot for one command
		due = due[n:]
	}
	ln.due = append(ln.due, cmds...)
	return cmds
}

// askWatchLocked returns the command that subscribes to the watch topic, noting it as sent.
func (ln *lane) askWatchLocked() command {
	cmd := command{order: subscribe, names: []string{ln.watch}}
	if ln.sharded() {
		cmd.slot = redisconn.Slot(ln.watch)
		ln.due = append(ln.due, cmd)
	}
	return cmd
}

func (ln *lane) askWatch() command {
	ln.l.mu.Lock()
	defer ln.l.mu.Unlock()
	return ln.askWatchLocked()
}
