package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/cluster"
)

// oracle knows the truth, what clients want, and from it what nodes may tell and must show.
//
// A user is present as long as one connection of its is wanted, has been in Redis, and its node is not unseen: dead, or
// cut off, for so long that its lease may be over; or it lingers, and Redis knows that. An absence is the end of a
// presence: so often a leave may be told, and no more, whatever happens to Redis, to the network, and to other nodes.
type oracle struct {
	w     *world
	conns []*conn // wanted, in the order of coming
	all   map[string]*conn
	who   map[string]*presenceOf
	beats map[string]time.Time // when Redis, by its clock, last renewed each incarnation

	departures map[string][]departure // by channel and user, as Redis wrote them
	seen       map[string]int64       // last_seen of channels that are empty, as it was written
	troubled   bool                   // a fault has struck since all was exact

	// of the time since Redis last lost data
	lossy   bool
	unaware map[*room]map[string]bool // users of whom the room had not heard all; "" all users
}

type presenceOf struct {
	present  bool
	absences int
}

func newOracle(w *world) *oracle {
	return &oracle{w: w, all: map[string]*conn{}, who: map[string]*presenceOf{}, beats: map[string]time.Time{},
		departures: map[string][]departure{}, seen: map[string]int64{}, unaware: map[*room]map[string]bool{}}
}

func remove[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(list, func(o T) bool { return o == v })
}

// comes notes a connection that is wanted from now on.
func (o *oracle) comes(c *conn) {
	c.wanted = true
	o.conns = append(o.conns, c)
	if old := o.all[c.id+" "+c.user]; old != nil {
		c.why, c.last = old.why, old.last // it was this user's before, and that may be told late
	}
	o.all[c.id+" "+c.user] = c
}

// lingers notes one that has gone, whose presence stays for a while.
func (o *oracle) lingers(c *conn, stay time.Duration) {
	c.until = time.Now().Add(stay)
	o.w.after(stay, func() {
		if c.wanted {
			o.leaves(c)
		}
	})
}

// leaves notes one that is not any more.
func (o *oracle) leaves(c *conn) {
	c.wanted = false
	o.conns = remove(o.conns, c)
	o.count(c.channel, c.user)
}

// of lists the connections of a node.
func (o *oracle) of(n *node) []*conn {
	var out []*conn
	for _, c := range o.conns {
		if c.node == n {
			out = append(out, c)
		}
	}
	return out
}

// idle lists the connections that may be asked to do something.
func (o *oracle) idle() []*conn {
	var out []*conn
	for _, c := range o.conns {
		if !c.working && !c.node.dead && !c.node.stopping && c.until.IsZero() {
			out = append(out, c)
		}
	}
	return out
}

func (o *oracle) get(channel, user string) *presenceOf {
	key := channel + " " + user
	if o.who[key] == nil {
		o.who[key] = &presenceOf{}
	}
	return o.who[key]
}

func (o *oracle) absences(channel, user string) int { return o.get(channel, user).absences }

// count sees whether a user is present now.
func (o *oracle) count(channel, user string) {
	p := o.get(channel, user)
	now := slices.ContainsFunc(o.conns, func(c *conn) bool {
		return c.channel == channel && c.user == user && c.known && (c.marked || !c.node.unseen)
	})
	if p.present && !now {
		p.absences++
		o.w.story.add("so %s is absent from %s (%d)", user, channel, p.absences)
	}
	p.present = now
}

// ledger begins to count leaves now. One who is absent now may still have to be told.
func (o *oracle) ledger(channel string) ledger {
	l := ledger{left: map[string]int{}, base: map[string]int{}}
	for i := range o.w.plan.Users {
		user := fmt.Sprint("u", i)
		if p := o.get(channel, user); p.present || p.absences == 0 {
			l.base[user] = p.absences
		} else {
			l.base[user] = p.absences - 1
		}
	}
	return l
}

func has(z map[string]float64, member string) bool {
	_, ok := z[member]
	return ok
}

// ran is told of every command that Redis ran.
func (o *oracle) ran(cmd redis.Cmder) {
	o.w.archive.ran(cmd)
	name, args := o.w.script(cmd), cmd.Args()
	if name == "" {
		return
	}
	keys := args[2].(int)
	arg := func(i int) string { return fmt.Sprint(args[3+keys+i]) }
	channel, _ := o.w.keys.ChannelOf(fmt.Sprint(args[3]))
	switch name {
	case "join", "linger":
		list, _ := cmd.(*redis.Cmd).Val().([]any)
		if len(list) == 3 && list[0] == "gone" {
			if c := o.all[arg(4)+" "+arg(5)]; c != nil && c.wanted {
				o.leaves(c)
			}
			break
		}
		nodes := o.w.redis.Get(o.w.keys.Nodes())
		if len(list) == 3 && !o.lossy && (nodes == nil || !has(nodes.Zset, arg(6))) {
			o.w.fail("a write of %s brings %s into %s, long after its lease was over", arg(6), arg(5), channel)
		}
		if c := o.all[arg(4)+" "+arg(5)]; c != nil && len(list) == 3 &&
			(!c.known || c.left && !c.node.dead || name == "linger" && !c.wanted) {
			c.known, c.left = true, false
			if p := o.get(c.channel, c.user); !c.wanted && !p.present {
				p.absences++ // it left before it had come: both are told
			}
			o.count(c.channel, c.user)
		}
		if len(list) == 3 {
			o.meets(arg(4), channel, arg(5), name == "linger")
		}
	case "leave":
		// A late join under an incarnation that a live node gave up may still bring it back for a lease
		// (presence/model/README.md).
		if c := o.all[arg(4)+" "+arg(5)]; c != nil && !c.wanted && !o.holds(c) {
			c.left = true
		}
	case "heartbeat":
		if cmd.(*redis.Cmd).Val() != int64(0) {
			o.beats[arg(0)] = o.w.clock()
		}
	case "reap":
		for i := reaped; 3+keys+i+1 < len(args); i += 2 {
			if c := o.all[arg(i)+" "+arg(i+1)]; c != nil && o.mayReap(c, arg(3)) {
				c.known = false
				o.count(c.channel, c.user)
			}
		}
	}
}

// meets is told of a connection that was written: as one that lingers, or as one that is there; then what lingers of
// its user goes. SPEC 3: "as soon as the user has a live connection in the channel, on any node, lingering ones go".
func (o *oracle) meets(id, channel, user string, lingers bool) {
	if lingers {
		if c := o.all[id+" "+user]; c != nil {
			c.marked = true
		}
		return
	}
	for _, c := range slices.Clone(o.conns) {
		if c.channel != channel || c.user != user || !c.marked {
			continue
		}
		if o.lingering(c) && !o.lossy {
			o.w.fail("%s of %s lingers in %s beside %s", c.id, user, channel, id)
		}
		o.leaves(c)
	}
}

// skew is how far the clock of Redis may have gone when another server took over.
const skew = time.Second

// mayReap tells whether a connection that an incarnation's reaper names is rightly gone. Nobody has the right to remove
// what a node wants that others can see; then it stays known, and is missed. Of a node in trouble others see what its
// entries' incarnation shows: it may have a new one since, and still have been kept from writing them again.
func (o *oracle) mayReap(c *conn, inc string) bool {
	if o.holds(c) {
		return false // under a later incarnation
	}
	if c.marked {
		return time.Until(c.until) < skew
	}
	return c.node.unseen || c.node.dim && o.w.clock().Sub(o.beats[inc]) > ttl+cluster.Grace
}

// holds tells whether Redis has a connection.
func (o *oracle) holds(c *conn) bool {
	h := o.w.redis.Get(o.w.keys.User(c.channel, c.user))
	return h != nil && h.Hash[c.id] != ""
}

// lingering tells whether Redis has a connection as one that lingers.
func (o *oracle) lingering(c *conn) bool {
	h := o.w.redis.Get(o.w.keys.User(c.channel, c.user))
	return h != nil && strings.Contains(h.Hash[c.id], "~")
}

// heard is told when a node was answered that its lease is renewed.
func (o *oracle) heard(n *node) {
	o.ranOut(n)
	n.beat = time.Now()
	_, up := o.w.net.heldUp(n)
	_, back := o.w.net.heldBack(n)
	if n.dim && !up && !back && !n.dead && !time.Now().Before(n.path.slowTill) {
		n.dim, n.unseen = false, false
		o.recount(n)
	}
}

// watch follows a node that something stands before.
func (o *oracle) watch(n *node) {
	if !n.dim {
		return
	}
	o.ranOut(n)
	if n.unseen && n.dead { // all is said, but of what lingers
		for _, c := range o.of(n) {
			if !c.marked {
				o.leaves(c)
			}
		}
		return
	}
	o.w.after(ttl/8, func() { o.watch(n) })
}

// ranOut notes it when a node's lease has run out.
func (o *oracle) ranOut(n *node) {
	if n.dim && !n.unseen && time.Since(n.beat) >= ttl {
		n.unseen = true
		o.w.story.add("n%d may be taken for dead", n.number)
		o.recount(n)
	}
}

func (o *oracle) recount(n *node) {
	for _, c := range o.of(n) {
		o.count(c.channel, c.user)
	}
}

// opened notes a room that was opened while Redis may lack what it lost: what it reads first is no promise to it.
func (o *oracle) opened(r *room) {
	if o.lossy {
		o.unaware[r] = map[string]bool{"": true}
	}
}

// loses lets Redis lose data. What a room had not heard of then it cannot hold back (DESIGN 3, held-back removals); and
// a leave that was lost is told again when it is made again.
func (o *oracle) loses(do func()) {
	o.lossy = true
	clear(o.seen)
	for _, n := range o.w.live() {
		for _, name := range slices.Sorted(maps.Keys(n.rooms)) {
			r := n.rooms[name]
			if o.unaware[r] == nil {
				o.unaware[r] = map[string]bool{}
			}
			for _, c := range o.conns {
				if c.channel == name && c.known && !r.shows(c, "") {
					o.unaware[r][c.user] = true
				}
			}
		}
	}
	do()
	o.w.at(later(time.Now(), o.w.net.downTill).Add(ttl-100*time.Millisecond), o.stillMissing)
	for _, c := range slices.Clone(o.conns) {
		if c.until.IsZero() || o.lingering(c) {
			continue
		}
		again := !o.holds(c) && o.w.redis.Get(o.w.keys.Head(c.channel)) == nil // in a new epoch its node writes it again
		if c.node.dead || !o.holds(c) && !again {
			o.leaves(c)
		}
	}
	for channel := range o.w.plan.Channels {
		name := o.w.plan.channel(channel)
		for user := range o.inRedis(name) {
			if p := o.get(name, user); !p.present {
				p.absences++
			}
		}
	}
}

// stillMissing comes a lease time after a loss: removals are held back no longer (DESIGN 3), so of connections that
// other faults kept from being written again nobody is promised anything, nor is a node that could not hear of it.
func (o *oracle) stillMissing() {
	for _, n := range o.w.live() {
		if n.dim {
			for _, r := range n.rooms {
				o.unaware[r] = map[string]bool{"": true}
			}
		}
	}
	for _, c := range o.conns {
		if !c.known || strings.Contains(" "+o.inRedis(c.channel)[c.user], " "+c.id+"=") {
			continue
		}
		for _, n := range o.w.live() {
			if r := n.rooms[c.channel]; r != nil && o.unaware[r] != nil {
				o.unaware[r][c.user] = true
			}
		}
	}
}

func (o *oracle) blind(r *room, user string) bool { return o.unaware[r][""] || o.unaware[r][user] }

// message is a change as a story tells it: its place in history, what it is, and who is concerned.
func (o *oracle) message(channel, payload string) string {
	if payload == "" || payload[0] != 'p' {
		return payload
	}
	rest := payload[1:]
	next := func() string {
		length, tail, _ := strings.Cut(rest, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n > len(tail) {
			rest = ""
			return "?"
		}
		rest = tail[n:]
		return tail[:n]
	}
	epoch, seq, op := next(), next(), next()
	line := fmt.Sprintf("%s %s/%s %s", channel, o.w.story.epoch(epoch), seq, op)
	gone, _ := strconv.Atoi(next()) // the model writes numbers
	for range gone {
		line += " -" + next()
	}
	users, _ := strconv.Atoi(next())
	for range users {
		line += " " + next() + "["
		metas, _ := strconv.Atoi(next())
		for range metas {
			line += " " + next()
			next()
		}
		line += " ]"
	}
	return line
}
