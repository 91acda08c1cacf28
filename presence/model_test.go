package presence

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"
)

// index is what Redis holds of one channel, in the model: the scripts as pure functions. Its messages queue for each
// node.
type index struct {
	epoch   int // 0: nothing
	seq     int64
	users   map[string]*User
	history []*Change // of all epochs; what a topic carries
	past    []index   // after each change, for failovers
}

func (x *index) commit(op Op, gone []string, users ...string) {
	if x.epoch == 0 || x.seq == 0 {
		x.epoch++
	}
	x.seq++
	c := &Change{Epoch: strconv.Itoa(x.epoch), Seq: x.seq, Op: op, Gone: gone}
	for _, id := range users {
		u := User{ID: id, Seq: x.seq}
		if old := x.users[id]; old != nil {
			u.Metas = old.Metas
			x.users[id] = &User{ID: id, Seq: x.seq, Metas: old.Metas}
		}
		c.Users = append(c.Users, u)
	}
	x.history = append(x.history, c)
	x.past = append(x.past, index{epoch: x.epoch, seq: x.seq, users: maps.Clone(x.users)})
}

// fallBack loses the last changes, as a failover to a replica that was behind does.
func (x *index) fallBack(n int) {
	n = min(n, len(x.past)-1)
	if n < 1 {
		return
	}
	x.past = x.past[:len(x.past)-n]
	last := x.past[len(x.past)-1]
	x.epoch, x.seq, x.users = last.epoch, last.seq, maps.Clone(last.users)
}

func (x *index) put(id string, m Meta) {
	old := x.users[id]
	u := &User{ID: id}
	op := OpJoin
	if old != nil {
		for _, o := range old.Metas {
			if o.ConnID != m.ConnID {
				u.Metas = append(u.Metas, o)
				continue
			}
			if o.same(&m) {
				return
			}
			op = OpUpdate
		}
	}
	u.Metas = append(u.Metas, m)
	sortMetas(u.Metas)
	x.users[id] = u
	x.commit(op, nil, id)
}

func (x *index) remove(op Op, by map[string][]string) { // connection ids by user
	var gone, touched []string
	for _, id := range slices.Sorted(maps.Keys(by)) {
		old := x.users[id]
		if old == nil {
			continue
		}
		u := &User{ID: id}
		for _, o := range old.Metas {
			if slices.Contains(by[id], o.ConnID) {
				gone = append(gone, o.ConnID)
			} else {
				u.Metas = append(u.Metas, o)
			}
		}
		if len(u.Metas) == len(old.Metas) {
			continue
		}
		touched = append(touched, id)
		if len(u.Metas) == 0 {
			delete(x.users, id)
		} else {
			x.users[id] = u
		}
	}
	if len(gone) > 0 {
		x.commit(op, gone, touched...)
	}
}

// node is a view driven as its Channel drives it: with messages of the topic, readings, and time; and those who listen
// there.
type node struct {
	view    view
	doubt   time.Time // until then a connection broke a short while ago
	broken  bool      // it has not subscribed again since
	queue   []*Change // sent, not yet received
	reading *reading
	waiting map[chan struct{}]waiter // writers
	scripts scriptClient
	clients []*client
	blind   map[string]bool // users of whom Redis lost connections that this node had not heard of: nobody could hold them
}

// reading is a snapshot that was asked for: pages are read at different moments.
type reading struct {
	read
	snap  *Snapshot // nil: not begun
	pages []string
}

// listen gives a node new listeners, none of whom has been told anything; early ones came while the channel was empty.
func (n *node) listen(number int, early bool) {
	n.scripts, n.clients = scriptClient{map[string]bool{}, map[string]int{}}, nil
	for j, devices := range []bool{false, true, false} {
		c := &client{name: fmt.Sprintf("%d.%d", number, j), devices: devices, left: map[string]int{}}
		if early && j < 2 {
			c.state = map[string][]string{}
		}
		n.clients = append(n.clients, c)
	}
}

// world is a channel with its index and the views of some nodes.
type world struct {
	x       index
	truth   map[string]map[string]Meta // user id to connection id to meta: what connections track
	went    map[string]int             // how often a user's last connection went
	nodes   []*node
	window  time.Duration
	now     time.Time
	lastRef int
	lost    bool // the index lost data and was not written again yet
}

const holdFor = 10 * time.Second

// step lets an event happen at a node, and tells those who listen there what follows of it.
func (w *world) step(t *rapid.T, n *node, e event) {
	now := moment{Time: w.now, Viewers: Viewers{Plain: true, Scripts: true}, window: w.window, holdFor: holdFor}
	if w.now.Before(n.doubt) {
		now.doubt = n.doubt.UnixMilli()
	}
	for _, fx := range n.view.step(e, now) {
		switch fx := fx.(type) {
		case read:
			n.reading = &reading{read: fx}
		case []Event:
			n.scripts.hear(t, fx)
		case *Diff:
			n.diff(t, fx)
		case state:
			n.state(t, fx)
		case woken:
			for _, waiter := range fx {
				delete(n.waiting, waiter.done)
			}
		}
	}
	if fault := n.view.check(); fault != "" {
		t.Fatalf("after %T: %s", e, fault)
	}
}

func (n *node) diff(t *rapid.T, d *Diff) {
	for _, c := range n.clients {
		if c.state == nil {
			continue // it has not been given a state yet
		}
		mine := d
		if f := d.Fresh[c.name]; f != nil {
			mine = f
		}
		if c.devices {
			c.take(t, mine.Devices)
		} else {
			c.take(t, mine.Plain)
		}
	}
}

func (n *node) state(t *rapid.T, s state) {
	for _, c := range n.clients {
		if slices.Contains(s.Conns, c.name) {
			c.state = map[string][]string{}
			for id, m := range parseState(t, s.Frame) {
				c.state[id] = pictures(m)
			}
		}
	}
}

func (w *world) publish() {
	for _, n := range w.nodes {
		n.queue = append(n.queue, w.x.history...)
	}
	w.x.history = nil
}

func (w *world) receive(t *rapid.T, n *node) {
	c := *n.queue[0]
	n.queue = n.queue[1:]
	w.step(t, n, &received{c, 100})
}

// read does the next thing of a reading, as Store.Snapshot does: where the channel stands, then each user, then where
// it stands now.
func (w *world) read(t *rapid.T, n *node) {
	rd := n.reading
	switch {
	case rd.snap == nil:
		w.step(t, n, begins{})
		rd.snap = &Snapshot{Epoch: w.epoch(), Seq: w.x.seq, Users: map[string]*User{}}
		rd.pages = slices.Sorted(maps.Keys(w.x.users))
	case len(rd.pages) > 0:
		id := rd.pages[0]
		rd.pages = rd.pages[1:]
		if u := w.x.users[id]; u != nil {
			copied := *u
			rd.snap.Users[id] = &copied
		}
	default:
		rd.snap.End = w.x.seq
		moved := w.epoch() != rd.snap.Epoch || w.x.seq < rd.snap.Seq
		for _, u := range rd.snap.Users {
			moved = moved || u.Seq > w.x.seq
		}
		if moved {
			rd.snap = nil
		}
		n.reading = nil
		w.step(t, n, readOver{rd.number, rd.snap})
	}
}

// resubscribe loses what is on its way.
func (w *world) resubscribe(t *rapid.T, n *node) {
	n.queue, n.broken = nil, false
	w.step(t, n, reread{resyncSubscription})
}

// pass lets time pass, but ends no hold of a node that has not heard of all: holds are longer than it takes to
// subscribe and to write again.
func (w *world) pass(t *rapid.T, d time.Duration, held bool) {
	now := w.now.Add(d)
	for _, n := range w.nodes {
		if n.broken && now.After(n.doubt) {
			w.resubscribe(t, n)
			return
		}
		if at := n.view.holdsAt; at != 0 && !time.UnixMilli(at).After(now) && (w.lost || !w.inStep(n)) {
			return
		}
	}
	w.now = now
	for _, n := range w.nodes {
		if at := n.view.next(); !at.IsZero() && !at.After(now) {
			w.step(t, n, tick{held})
		}
	}
}

// inStep tells whether a node's view stands where the index does.
func (w *world) inStep(n *node) bool {
	epoch, seq := n.view.replica.Position()
	return n.view.phase == live && epoch == w.epoch() && seq == w.x.seq
}

// leave closes the channel on a node, and opens it anew. What was being read comes late.
func (w *world) leave(t *rapid.T, i int) {
	n := w.nodes[i]
	late := n.reading
	w.step(t, n, detached{})
	if len(n.waiting) > 0 {
		t.Fatal("a writer waits for a view that is not there")
	}
	n.listen(i, false)
	w.step(t, n, reread{resyncFirst})
	if late != nil && late.snap != nil {
		w.step(t, n, readOver{late.number, late.snap})
	}
}

// settle lets everything arrive, writes again what was lost, and lets holds end.
func (w *world) settle(t *rapid.T) {
	w.restore()
	for _, n := range w.nodes {
		if n.broken {
			w.resubscribe(t, n)
		}
	}
	for range 5 {
		for _, n := range w.nodes {
			for len(n.queue) > 0 || n.reading != nil {
				if len(n.queue) > 0 {
					w.receive(t, n)
				} else {
					w.read(t, n)
				}
			}
		}
		w.pass(t, catchUpTime, true)
		for _, n := range w.nodes {
			if n.view.phase == live && !w.inStep(n) {
				w.step(t, n, reread{resyncAudit})
			}
			for _, wait := range n.waiting {
				w.step(t, n, overdue{wait})
			}
		}
	}
	for _, n := range w.nodes {
		for n.reading != nil {
			w.read(t, n)
		}
	}
	for range 3 { // holds that another event made longer, then the window
		w.pass(t, 2*holdFor, true)
	}
}

func (w *world) untrack(id, conn string) {
	if _, here := w.truth[id][conn]; here {
		delete(w.truth[id], conn)
		if len(w.truth[id]) == 0 {
			w.went[id]++
		}
	}
}

// lose notes what no view can hold back when Redis loses its data now.
func (w *world) lose() {
	w.lost = true
	for id, conns := range w.truth {
		for conn := range conns {
			for _, n := range w.nodes {
				if n.view.replica.User(id).meta(conn) == nil {
					n.blind[id] = true
				}
			}
		}
	}
}

func (w *world) epoch() string {
	if w.x.seq == 0 {
		return ""
	}
	return strconv.Itoa(w.x.epoch)
}

// restore writes everything again that connections track; the reaper removes what the old incarnations left.
func (w *world) restore() {
	stray := map[string][]string{}
	for id, u := range w.x.users {
		for _, m := range u.Metas {
			if _, here := w.truth[id][m.ConnID]; !here {
				stray[id] = append(stray[id], m.ConnID)
			}
		}
	}
	w.x.remove(OpReap, stray)
	for _, id := range slices.Sorted(maps.Keys(w.truth)) {
		for _, conn := range slices.Sorted(maps.Keys(w.truth[id])) {
			w.x.put(id, w.truth[id][conn])
		}
	}
	w.lost = false
	w.publish()
}

func (w *world) model() map[string][]string {
	out := map[string][]string{}
	for id, conns := range w.truth {
		var ms []Meta
		for _, m := range conns {
			ms = append(ms, m)
		}
		if len(ms) == 0 {
			continue
		}
		sortMetas(ms)
		for _, m := range ms {
			out[id] = append(out[id], m.Ref+numberIn(m.Info))
		}
	}
	return out
}
