package presence

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// index is what Redis holds of one channel, in the model: the scripts as pure functions. Its messages queue for each node.
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

// view is one node's: a replica fed by its topic, and the clients that listen to it there.
type view struct {
	r       *Replica
	w       Window
	queue   []*Change // sent, not yet received
	reading *reading
	scripts scriptClient
	clients []*client
	blind   map[string]bool // users of whom Redis lost connections that this node had not heard of: nobody could hold them
	broke   bool            // a connection broke: what is missing in the next reading may be written again
}

// reading is a snapshot under way: pages are read at different moments.
type reading struct {
	snap    *Snapshot
	pages   []string
	backlog []*Change
}

// client is a Phoenix-style reducer.
type client struct {
	name    string
	devices bool
	state   map[string][]string // user id to refs and metadata; nil before its first presence_state
	left    map[string]int      // leaves told
}

// scriptClient hears events.
type scriptClient struct {
	present map[string]bool
	left    map[string]int // leaves told
}

func (s *scriptClient) hear(t *rapid.T, es []Event) {
	for _, e := range es {
		switch e.Type {
		case "join":
			if s.present[e.UserID] {
				t.Fatalf("script: %s joins twice", e.UserID)
			}
			s.present[e.UserID] = true
		case "leave":
			if !s.present[e.UserID] {
				t.Fatalf("script: %s leaves and was not here", e.UserID)
			}
			delete(s.present, e.UserID)
			s.left[e.UserID]++
		default:
			if !s.present[e.UserID] {
				t.Fatalf("script: %s changes and is not here", e.UserID)
			}
		}
	}
}

func pictures(ms metas) []string {
	var out []string
	for _, m := range ms.Metas {
		out = append(out, fmt.Sprint(m["phx_ref"], m["n"]))
	}
	return out
}

// take is what SPEC 1.2 promises about: "a client that replaces users on `joins` and deletes them on `leaves`".
func (c *client) take(t *rapid.T, text []byte) {
	if text == nil {
		return
	}
	f := parseFrame(t, text)
	if c.state == nil {
		c.state = map[string][]string{}
	}
	for id, m := range f.Payload.Joins {
		if _, both := f.Payload.Leaves[id]; both {
			t.Fatalf("%s is in both halves of %s", id, text)
		}
		c.state[id] = pictures(m)
	}
	for id := range f.Payload.Leaves {
		if _, here := c.state[id]; !here {
			t.Fatalf("%s: %s leaves and was not here: %s", c.name, id, text)
		}
		delete(c.state, id)
		c.left[id]++
	}
}

// world is a channel with its index and the views of some nodes.
type world struct {
	x       index
	truth   map[string]map[string]Meta // user id to connection id to meta: what connections track
	went    map[string]int             // how often a user's last connection went
	views   []*view
	now     int64
	lastRef int
	lost    bool // the index lost data and was not written again yet
}

const holdFor = 100

func (w *world) note(t *rapid.T, v *view, ts []Transition) {
	var es []Event
	for _, tr := range ts {
		es = appendEvents(es, tr)
	}
	v.scripts.hear(t, es)
	v.w.Note(ts)
	w.check(t, v)
}

func (w *world) check(t *rapid.T, v *view) {
	if fault := v.r.Check(); fault != "" {
		t.Fatal(fault)
	}
}

func (w *world) publish() {
	for _, v := range w.views {
		v.queue = append(v.queue, w.x.history...)
	}
	w.x.history = nil
}

// receive is Channel.Receive.
func (w *world) receive(t *rapid.T, v *view) {
	c := v.queue[0]
	v.queue = v.queue[1:]
	if v.reading != nil {
		v.reading.backlog = append(v.reading.backlog, c)
		w.finish(t, v)
		return
	}
	copied := *c
	ts, ok := v.r.Apply(&copied)
	if !ok {
		if len(ts) > 0 {
			t.Fatal("a gap tells something")
		}
		w.read(v)
		return
	}
	w.note(t, v, ts)
}

// read begins Store.Snapshot.
func (w *world) read(v *view) {
	s := &Snapshot{Seq: w.x.seq, End: -1, Users: map[string]*User{}}
	if w.x.seq > 0 {
		s.Epoch = strconv.Itoa(w.x.epoch)
	}
	v.reading = &reading{snap: s, pages: slices.Sorted(maps.Keys(w.x.users))}
}

// page reads one user, or ends the snapshot.
func (w *world) page(t *rapid.T, v *view) {
	rd := v.reading
	if rd.snap.End >= 0 {
		return
	}
	if len(rd.pages) > 0 {
		id := rd.pages[0]
		rd.pages = rd.pages[1:]
		if u := w.x.users[id]; u != nil {
			copied := *u
			rd.snap.Users[id] = &copied
		}
		return
	}
	epoch := ""
	if w.x.seq > 0 {
		epoch = strconv.Itoa(w.x.epoch)
	}
	moved := epoch != rd.snap.Epoch || w.x.seq < rd.snap.Seq
	for _, u := range rd.snap.Users {
		moved = moved || u.Seq > w.x.seq
	}
	if moved {
		w.read(v)
		return
	}
	rd.snap.End = w.x.seq
	w.finish(t, v)
}

// finish is Channel.complete.
func (w *world) finish(t *rapid.T, v *view) {
	rd := v.reading
	if rd.snap.End < 0 {
		return
	}
	for _, c := range rd.backlog {
		copied := *c
		if !rd.snap.Advance(&copied) {
			w.read(v)
			return
		}
	}
	rd.backlog = nil
	if rd.snap.Seq < rd.snap.End {
		return
	}
	v.reading = nil
	hold := int64(0)
	if epoch, seq := v.r.Position(); v.r.Len() > 0 && (epoch != rd.snap.Epoch || rd.snap.Seq < seq || v.broke) {
		hold = w.now + holdFor
	}
	w.note(t, v, v.r.Reset(rd.snap, hold))
}

func (w *world) flush(t *rapid.T, v *view) {
	d := v.w.Flush("C", v.r.User)
	for _, c := range v.clients {
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

func (w *world) state(t *rapid.T, v *view, c *client) {
	f := parseState(t, renderState("C", v.r.users))
	c.state = map[string][]string{}
	for id, m := range f {
		c.state[id] = pictures(m)
	}
	v.w.Told(c.name)
}

// settle lets everything arrive, writes again what was lost, and lets holds end.
func (w *world) settle(t *rapid.T) {
	w.restore()
	for _, v := range w.views {
		if v.broke {
			w.read(v)
		}
	}
	for range 3 {
		for _, v := range w.views {
			for len(v.queue) > 0 || v.reading != nil {
				if len(v.queue) > 0 {
					w.receive(t, v)
				} else {
					w.page(t, v)
					if v.reading != nil && v.reading.snap.End >= 0 {
						w.read(v) // a message was lost: the timeout of Channel.adopt
					}
				}
			}
			if at, _ := v.r.Position(); at != w.epoch() || v.r.seq != w.x.seq {
				w.read(v) // the audit
			}
		}
		w.publish()
	}
	w.now += 2 * holdFor
	for _, v := range w.views {
		w.note(t, v, v.r.Expire(w.now))
		w.flush(t, v)
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
			for _, v := range w.views {
				if v.r.users[id].meta(conn) == nil {
					v.blind[id] = true
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

func numberIn(info string) string { return strings.TrimSuffix(strings.TrimPrefix(info, `{"n":`), "}") }
