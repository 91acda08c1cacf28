package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"rollcall/presence"
)

// conn is one connection's tracking of a user in a channel.
type conn struct {
	id, user, channel string
	node              *node
	room              *room
	n                 int // its metadata
	script            bool

	until  time.Time      // it has gone, and lingers until then; zero: it is there
	why    presence.Cause // it left last
	last   time.Time      // its last sign of life then, by the clock of Redis; zero: it is there
	marked bool           // Redis knows that it lingers

	wanted  bool // the client wants it, or it lingers: the truth
	known   bool // Redis has had it, and nobody had a right to take it away since
	left    bool // not wanted, and gone from Redis by its node's own leave
	working bool // a call is under way
}

// act is one act of a client, chosen when its time comes.
func (w *world) act(rng *rand.Rand) {
	user, channel := fmt.Sprint("u", rng.IntN(w.plan.Users)), w.plan.channel(rng.IntN(w.plan.Channels))
	c, any := pick(rng, w.oracle.idle())
	n, up := pick(rng, w.live())
	if !up {
		return
	}
	crowded := len(w.oracle.conns) > 4*w.plan.Users
	switch k := rng.IntN(100); {
	case k < 10 && n.rooms[w.plan.channel(0)] == nil, k < 4:
		w.observe(n, channel, rng)
	case k < 10:
		w.unobserve(n, rng)
	case k < 45 && !crowded:
		w.track(user, channel, rng)
	case !any:
	case k < 60:
		w.update(c)
	case k < 66:
		w.rename(c, user)
	case k < 69 && !c.script:
		w.untrackAndStay(c)
	case k < 72: // it comes back elsewhere
		w.track(c.user, c.channel, rng)
		w.untrack(c)
	case k < 78:
		w.ask(c)
	case k < 86:
		w.drop(c, lingerFor(rng))
	case k < 88: // its page is loaded again
		w.drop(c, lingerFor(rng))
		w.after(time.Duration(rng.Int64N(int64(2*time.Second))), func() { w.track(c.user, c.channel, rng) })
	default:
		w.untrack(c)
	}
}

func (w *world) encode(c *conn) presence.Encoded {
	src := presence.FromEvent
	if c.script {
		src = presence.FromScript
	}
	e, err := presence.Encode(src, presence.Fields{"n": json.RawMessage(strconv.Itoa(c.n))})
	if err != nil {
		w.fail("metadata cannot be encoded: %v", err)
	}
	return e
}

// call runs one call of a connection in a goroutine of its own, as a handler does; then is done in the loop.
func (w *world) call(c *conn, what string, do func(ctx context.Context) (pending bool),
	then func(pending bool, took time.Duration),
) {
	c.working = true
	w.story.add("n%d: %s %s in %s %s (%d)", c.node.number, c.id, what, c.channel, c.user, c.n)
	n, began := c.node, time.Now()
	w.closed.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, redisTimeout)
		defer cancel()
		c.room.wait(ctx)
		pending := do(ctx)
		w.post(n, "called "+c.id+" "+c.user, func() {
			c.working = false
			w.story.add("n%d: %s %s is over, pending %v", n.number, c.id, what, pending)
			then(pending, time.Since(began))
		})
	})
}

// track lets a new connection of a user come.
func (w *world) track(user, channel string, rng *rand.Rand) {
	n, up := pick(rng, w.live())
	if !up {
		return
	}
	w.serial++
	c := &conn{id: fmt.Sprint("k", w.serial), user: user, channel: channel, node: n,
		n: rng.IntN(10), script: rng.IntN(4) == 0}
	c.room = n.enter(channel)
	if !c.script {
		c.room.clients[c.id] = &client{id: c.id, devices: rng.IntN(2) == 0, waiting: true}
	}
	w.enters(c, "tracks")
}

// enters is the first call of a tracking.
func (w *world) enters(c *conn, what string) {
	w.oracle.comes(c)
	e := w.encode(c)
	w.call(c, what, func(ctx context.Context) bool { return w.trackAs(ctx, c, c.user, e) }, w.tracked(c))
}

// tracked is what holds once a call of Track is over. SPEC 1.1: "reads your own writes".
func (w *world) tracked(c *conn) func(bool, time.Duration) {
	return func(pending bool, took time.Duration) {
		sure := !pending && took < time.Second && !c.node.shaken()
		if sure && c.wanted && c.room.ready() && !c.room.shows(c, c.id) {
			c.room.fail("%s does not see itself after it was tracked", c.id)
		}
	}
}

func (w *world) update(c *conn) {
	c.n = (c.n + 1) % 10
	f := presence.Fields{"n": json.RawMessage(strconv.Itoa(c.n))}
	w.call(c, "updates", func(ctx context.Context) bool {
		pending, err := c.room.ch.Update(ctx, c.id, c.user, f)
		if err != nil {
			w.post(c.node, "update "+c.id, func() { c.room.fail("update of %s: %v", c.id, err) })
		}
		return pending
	}, w.tracked(c))
}

// rename makes the connection another user's: leave, then join (SPEC 1.2).
func (w *world) rename(c *conn, user string) {
	if user == c.user {
		return
	}
	w.ends(c, presence.CauseUntracked)
	w.oracle.leaves(c)
	next := &conn{id: c.id, user: user, channel: c.channel, node: c.node, room: c.room, n: c.n, script: c.script}
	w.oracle.comes(next)
	if cl := c.room.clients[c.id]; cl != nil {
		cl.waiting = true
	}
	e := w.encode(next)
	w.call(next, "is now", func(ctx context.Context) bool {
		c.room.ch.Untrack(ctx, c.id, c.user)
		return w.trackAs(ctx, c, user, e)
	}, w.tracked(next))
}

func (w *world) trackAs(ctx context.Context, c *conn, user string, e presence.Encoded) (pending bool) {
	pending, err := c.room.ch.Track(ctx, c.id, user, e, !c.script)
	if err != nil {
		w.post(c.node, "track "+c.id, func() { c.room.fail("track of %s: %v", c.id, err) })
	}
	return pending
}

// endings are causes of connections that end at once.
var endings = []presence.Cause{presence.CauseClosed, presence.CauseUntracked, presence.CauseKicked,
	presence.CauseExpired, presence.CauseSlow, presence.CauseError}

// ends notes the end of a connection, or that it is not tracked any more.
func (w *world) ends(c *conn, why presence.Cause) { c.why, c.last = why, w.clock() }

// untrack ends a connection.
func (w *world) untrack(c *conn) {
	w.ends(c, endings[c.n%len(endings)])
	w.oracle.leaves(c)
	delete(c.room.clients, c.id)
	w.call(c, "untracks", func(ctx context.Context) bool { return c.room.ch.Exit(ctx, c.id, c.user, c.why, 0) },
		func(pending bool, took time.Duration) {
			sure := !pending && took < time.Second && !c.node.shaken()
			if sure && c.room.ready() && c.room.shows(c, c.id) {
				c.room.fail("%s still sees itself after it was untracked", c.id)
			}
			c.node.leave(c.room)
		})
}

// lingerFor draws how long something lingers.
func lingerFor(rng *rand.Rand) time.Duration {
	return 500*time.Millisecond + time.Duration(rng.Int64N(int64(4500*time.Millisecond)))
}

// drop lets a connection go whose presence stays for a while (SPEC 3, --presence-linger).
func (w *world) drop(c *conn, stay time.Duration) {
	w.ends(c, presence.CauseLost)
	w.oracle.lingers(c, stay)
	delete(c.room.clients, c.id)
	w.call(c, "drops", func(ctx context.Context) bool { return c.room.ch.Exit(ctx, c.id, c.user, c.why, stay) },
		func(bool, time.Duration) { c.node.leave(c.room) })
}

// untrackAndStay untracks a connection that stays in the channel. If it is still owed a state, that must not be
// forgotten: it was sent no diffs meanwhile.
func (w *world) untrackAndStay(c *conn) {
	w.ends(c, presence.CauseUntracked)
	w.oracle.leaves(c)
	stays := &conn{id: c.id, channel: c.channel, node: c.node, room: c.room}
	c.node.observers = append(c.node.observers, stays)
	w.call(stays, "untracks and stays", func(ctx context.Context) bool { return c.room.ch.Untrack(ctx, c.id, c.user) },
		func(bool, time.Duration) {
			if cl := c.room.clients[c.id]; cl != nil && cl.waiting && !c.room.closed {
				w.call(stays, "is owed a state", func(ctx context.Context) bool { return c.room.ch.State(ctx, c.id) != nil },
					func(bool, time.Duration) {})
			}
		})
}

// ask is send_presence.
func (w *world) ask(c *conn) {
	if c.script {
		return
	}
	w.call(c, "asks for a state", func(ctx context.Context) bool { return c.room.ch.State(ctx, c.id) != nil },
		func(bool, time.Duration) {})
}

// observe lets a client come that is in the channel and not tracked.
func (w *world) observe(n *node, channel string, rng *rand.Rand) {
	w.serial++
	id := fmt.Sprint("o", w.serial)
	r := n.enter(channel)
	r.clients[id] = &client{id: id, devices: rng.IntN(2) == 0}
	c := &conn{id: id, channel: channel, node: n, room: r}
	n.observers = append(n.observers, c)
	w.call(c, "observes", func(ctx context.Context) bool { return r.ch.State(ctx, id) != nil },
		func(bool, time.Duration) {})
}

func (w *world) unobserve(n *node, rng *rand.Rand) {
	c, any := pick(rng, n.observers)
	if !any || c.working {
		return
	}
	n.observers = remove(n.observers, c)
	delete(c.room.clients, c.id)
	n.leave(c.room)
}

// ready tells that the room is open and its channel has been read.
func (r *room) ready() bool {
	select {
	case <-r.ch.Ready():
		return !r.closed
	default:
		return false
	}
}

// shows tells whether the room's view has a connection, as reader is given it.
func (r *room) shows(c *conn, reader string) bool {
	us, _ := r.ch.List(reader)
	for _, u := range us {
		for i := range u.Metas {
			if u.ID == c.user && u.Metas[i].ConnID == c.id {
				return true
			}
		}
	}
	return false
}
