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
	// unsubscribeDelay is how long an UNSUBSCRIBE waits for others, and for a change of mind.
	unsubscribeDelay = 50 * time.Millisecond
	// perCommand bounds the topics of one SUBSCRIBE: Redis keeps all its answers in
	// one output buffer until the command is done.
	perCommand = 1000
)

var (
	// errUnused ends a connection whose master has no topic of its group any more: no fault.
	errUnused = errors.New("no topic is left here")
	// errReplica: after a failover. Redis takes subscriptions there too, but the new master does not pass on to
	// it what is published before it has heard that the old one follows it.
	errReplica = errors.New("the master has become a replica")
)

// conn is one life of one pub/sub connection of a group: dialled, asked for topics, checked, read from, ended.
//
// A plain one (SUBSCRIBE) may carry any topic. A sharded one (SSUBSCRIBE) carries topics whose slots
// one master serves, and so does its echo topic: its echo proves the way from that master's shard.
// Such a master ends subscriptions by itself when their slot leaves it, and refuses those of other
// slots; then the topic is assigned anew, and the connection goes on.
type conn struct {
	// static
	g *group
	master
	wake     chan struct{} // something is in toSubscribe or toUnsubscribe; capacity 1
	replaces bool          // made for topics that had lost their connection

	// static once connect has returned
	pubsub *redis.PubSub
	noDial context.Context // of all that is sent after the first command
	end    chan error      // the reader's last word; capacity 1

	// answered counts Redis's answers to what was asked on this connection; echoed and sent are
	// numbers of echoes that came back and that Redis confirmed to have published.
	answered atomic.Uint64
	echoed   atomic.Uint64
	sent     atomic.Uint64

	// guarded by group.mu
	echoTopic     string   // where the echo is published
	echoLost      bool     // the echo topic's slot has left this master
	suspect       bool     // and it was not asked yet whether it is a master at all
	echoTopics    int      // so far
	toSubscribe   []*topic // may need a SUBSCRIBE
	toUnsubscribe []*topic // may need an UNSUBSCRIBE
	pending       pending  // sharded: the commands whose answers are due
	// the reader's present delivery: its topic (nil: none), and its number
	delivering *topic
	deliveries uint64
}

// newConnLocked makes a connection of the group. beside is the topic that it is made for.
func (g *group) newConnLocked(at master, beside string) *conn {
	g.made++
	c := &conn{g: g, master: at, wake: make(chan struct{}, 1)}
	g.conns[at.addr] = c
	c.nameEchoTopicLocked(beside)
	return c
}

func (c *conn) sharded() bool { return c.addr != "" }

func (c *conn) notify() { notify(c.wake) }

// nameEchoTopicLocked chooses the echo topic: for a sharded connection in the slot of another of its topics. It has
// another name each time: in a Cluster the slot of a plain one chooses the node.
func (c *conn) nameEchoTopicLocked(beside string) {
	c.echoTopics++
	id := c.g.id + ":" + strconv.Itoa(c.g.made) + ":" + strconv.Itoa(c.echoTopics)
	if c.sharded() {
		c.echoTopic = c.g.b.keys.EchoTopicBeside(beside, id)
	} else {
		c.echoTopic = c.g.b.keys.EchoTopic(id)
	}
	c.echoLost = false
}

// run lives the connection's life.
func (c *conn) run(ctx context.Context) {
	defer c.g.ended(c)
	log := c.g.b.cfg.Log
	if c.sharded() {
		log = log.With("master", c.addr)
	}
	if err := c.connect(ctx); err != nil {
		if c.noteFailure() {
			log.Warn("redis subscription connection failed", "error", err)
		}
		return
	}
	if c.noteUp() {
		log.Info("redis subscription connection is back")
		c.g.b.redis.ReportBreak()
	}
	err := c.serve(ctx)
	c.noteDown(err)
	if ctx.Err() == nil && err != errUnused {
		log.Warn("redis subscription connection broke", "error", err)
		c.g.b.redis.ReportBreak()
	}
}

// noteFailure notes that it could not connect, and reports whether that is news.
func (c *conn) noteFailure() (news bool) {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	news = !c.g.failing[c.addr]
	c.g.failing[c.addr] = true
	return news
}

// noteUp notes that it is connected, and reports whether it takes the place of one that broke.
func (c *conn) noteUp() (again bool) {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	delete(c.g.failing, c.addr)
	c.g.connected++
	return c.replaces
}

// noteDown notes that it has ended.
func (c *conn) noteDown(why error) {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.g.connected--
	if why != errUnused {
		c.g.breaks++
	}
}

// connect dials, asks for the echo topic, and starts the reader.
func (c *conn) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.g.b.redis.Timeout())
	defer cancel()
	c.noDial, c.end = redisconn.WithoutDial(c.g.b.ctx), make(chan error, 1)
	if c.sharded() {
		if err := c.checkMaster(ctx); err != nil {
			return err
		}
		c.pubsub = c.node.Subscribe(ctx)
	} else {
		c.pubsub = c.g.b.redis.GoRedis().Subscribe(ctx)
	}
	if err := c.send(ctx, c.subscribeEcho()); err != nil {
		_ = c.pubsub.Close()
		return err
	}
	go func() { c.end <- c.read() }()
	return nil
}

// checkMaster asks the master of a sharded connection whether it still is one: errReplica if not.
func (c *conn) checkMaster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.g.b.redis.Timeout())
	defer cancel()
	replica, err := redisconn.IsReplica(ctx, c.node)
	if replica {
		return errReplica
	}
	return err
}

// takeSuspicion reports, once, that the echo topic was lost.
func (c *conn) takeSuspicion() bool {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	was := c.suspect
	c.suspect = false
	return was
}

// hangUp closes the connection and waits for its reader.
func (c *conn) hangUp() {
	_ = c.pubsub.Close()
	<-c.end
}

// send writes one command. Only the first may dial.
func (c *conn) send(ctx context.Context, cmd command) error {
	var err error
	switch {
	case c.sharded() && cmd.order == subscribe:
		err = c.pubsub.SSubscribe(ctx, cmd.names...)
	case c.sharded():
		err = c.pubsub.SUnsubscribe(ctx, cmd.names...)
	case cmd.order == subscribe:
		err = c.pubsub.Subscribe(ctx, cmd.names...)
	default:
		err = c.pubsub.Unsubscribe(ctx, cmd.names...)
	}
	if err != nil {
		return fmt.Errorf("write to pub/sub connection: %w", err)
	}
	return nil
}

func (c *conn) sendEach(cmds []command) error {
	for _, cmd := range cmds {
		if err := c.send(c.noDial, cmd); err != nil {
			return err
		}
	}
	return nil
}

// serve writes and checks until the connection breaks or is found dead. It returns why.
func (c *conn) serve(ctx context.Context) (err error) {
	tick := time.NewTicker(c.g.b.redis.WatchEvery())
	defer tick.Stop()
	unsubscribes := time.NewTimer(unsubscribeDelay)
	unsubscribes.Stop()
	defer unsubscribes.Stop()
	live := &liveness{every: c.g.b.redis.WatchEvery()}
	for {
		select {
		case <-ctx.Done():
			c.hangUp()
			return ctx.Err()
		case err := <-c.end:
			_ = c.pubsub.Close()
			return err
		case <-c.wake:
			if c.takeSuspicion() {
				if err = c.checkMaster(ctx); err != nil {
					break
				}
			}
			var more bool
			if more, err = c.sendSubscribes(); more {
				unsubscribes.Reset(unsubscribeDelay)
			}
		case <-unsubscribes.C:
			err = c.sendEach(c.take(&c.toUnsubscribe, unsubscribe))
		case now := <-tick.C:
			err = c.checkAlive(live, now)
		}
		if err != nil {
			c.hangUp()
			return err
		}
	}
}

// sendSubscribes subscribes to what was asked for since the last time; more: some
// topics wait to be unsubscribed.
func (c *conn) sendSubscribes() (more bool, err error) {
	cmds := c.take(&c.toSubscribe, subscribe)
	c.g.mu.Lock()
	more = len(c.toUnsubscribe) > 0
	c.g.mu.Unlock()
	return more, c.sendEach(cmds)
}

// take empties list and returns the commands for those topics for which o is what is due now,
// noting them as sent: their answers may come before the write has returned.
func (c *conn) take(list *[]*topic, o order) []command {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	due := make([]*topic, 0, len(*list))
	for _, t := range *list {
		if c.g.topics[t.name] == t && t.conn == c && t.sub.next(t.wantedHere()) == o {
			t.sub = t.sub.sent(o)
			due = append(due, t)
		}
	}
	*list = nil
	if !c.sharded() {
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
	c.pending = append(c.pending, cmds...)
	return cmds
}

// subscribeEchoLocked returns the command that subscribes to the echo topic, noting it as sent.
func (c *conn) subscribeEchoLocked() command {
	cmd := command{order: subscribe, names: []string{c.echoTopic}}
	if c.sharded() {
		cmd.slot = redisconn.Slot(c.echoTopic)
		c.pending = append(c.pending, cmd)
	}
	return cmd
}

func (c *conn) subscribeEcho() command {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	return c.subscribeEchoLocked()
}
