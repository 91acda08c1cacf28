package presence

import (
	"time"
)

// view is one channel as this node sees it, and what its audience has been told: a pure value, without lock, clock or
// I/O. step is all that happens to it. The Channel around it does what a step leaves to do.
//
//	(opened) ──▶ cold ── reread(first) ──▶ loading ── snapshot complete ──▶ live ──┐
//	              ▲                           ▲                                    │
//	              │                           └── gap, re-subscription, audit ─────┘
//	              └── detached
//
// Its files: view.go says what happens, load.go reads snapshots, notify.go tells the audience, wait.go lets writers see
// their own changes.
//
// Invariant: while it is cold it knows nobody, waits for nothing, and nobody waits but for a presence_state.
// Invariant: while it is loading it has a load, else none. Either the reading numbered reading is under way, or the
// load's snapshot waits for changes until catchUpBy; never both.
// Invariant: while nothing happens, what it holds beside the replica is a few words: most channels are quiet.
// Invariant: no writer waits for what the view holds already.
type view struct {
	// static
	channel string

	phase   phase
	known   bool   // it was live since it was opened: there is a list
	reading uint32 // numbers readings; one of another number is of no use any more
	begun   uint32 // the last that was begun
	adopted uint32 // the last that was adopted
	replica Replica

	load *load

	changes *Window // nil: nothing has changed since the last flush
	states  *states // nil: nobody is owed a presence_state, and none is kept
	holdsAt int64   // when the earliest hold ends (unix ms); 0: there is none

	waiters map[Position][]waiter // writers that wait to see their change

	*stepping // nil between steps
}

// stepping is the step under way.
type stepping struct {
	now moment
	out []effect
}

type phase byte

const (
	cold phase = iota
	loading
	live
)

// moment is what a step has to know of the world besides its event.
type moment struct {
	time.Time
	doubt int64 // until when (unix ms) Redis is suspected to have lost data; 0: it is not
	Viewers
	window  time.Duration // in which changes gather; 0: each is a frame
	holdFor time.Duration // how long removals are held back when Redis has lost data
}

// event is one thing that happens to a view: reread, begins, readOver, *received, awaits, owes, gaveUp, overdue,
// encoded, tick or detached.
type event any

type (
	// reread says why the channel is to be read from Redis. One that is cold is read for the first reason alone.
	reread struct{ why resync }
	// begins says that the reading that was asked for begins now: what Redis holds from now on will be in it.
	begins struct{}
	// readOver is the end of the reading with a number; no snapshot: Redis did not give one.
	readOver struct {
		number uint32
		snap   *Snapshot
	}
	// received is a change that came by the topic, in a message of so many bytes.
	received struct {
		change Change
		bytes  int
	}
	// awaits lets a writer wait until it sees its change.
	awaits struct{ waiter }
	// owes lets a connection be sent a presence_state.
	owes struct{ waiter }
	// gaveUp says that a writer does not wait any more.
	gaveUp struct{ waiter }
	// overdue says that what somebody waits for should have come by now.
	overdue struct{ waiter }
	// encoded says how long it took to encode a presence_state.
	encoded struct{ took time.Duration }
	// tick says that the time of next has come; held is false while the lease is in doubt.
	tick struct{ held bool }
	// detached says that nobody on this node is in the channel any more.
	detached struct{}
)

// State is a presence_state for some connections: those that are sent the frame, and clients of Phoenix, for whom it is
// the payload alone.
type State struct {
	Conns   []string
	Frame   []byte // presence_state of SPEC 1.2
	ByRefs  []string
	Payload []byte // {user:{"metas":[…]}}
}

// effect is one thing that a step leaves to do. At once: resync (count it), gap (log it), read, adopted. In order and
// not under a lock, since it calls the audience: []Event, *Diff, state, woken.
type effect any

type (
	// gap is where the view stands, and the change that does not follow.
	gap struct{ have, got Position }
	// read asks for a snapshot, after a while.
	read struct {
		number uint32
		after  time.Duration
	}
	// adopted says that a snapshot is the view now.
	adopted struct{}
	// state is a presence_state for some connections; those who asked for it are woken.
	state struct {
		State
		asked []waiter
		fresh bool // it was encoded in this step
	}
	// woken are waiters whose wait is over.
	woken []waiter
)

// step lets one event happen at a moment, and gives what is to be done, in order.
func (v *view) step(e event, now moment) []effect {
	v.stepping = &stepping{now: now}
	defer func() { v.stepping = nil }()
	switch e := e.(type) {
	case *received:
		v.receive(e)
	case awaits:
		v.await(e.waiter)
	case owes:
		v.owe(e.waiter)
	case gaveUp:
		v.dropWaiter(e.waiter)
	case overdue:
		if v.phase == live && !v.reached(e.waiter) {
			v.reload(resyncUnseen)
		}
	case reread:
		if v.phase != cold || e.why == resyncFirst {
			v.reload(e.why)
		}
	case begins:
		v.begin()
	case readOver:
		v.adopt(e.number, e.snap)
	case encoded:
		v.states.took(now.Time, e.took)
	case tick:
		v.tick(e.held)
	case detached:
		v.detach()
	}
	return v.out
}

func (v *view) do(fx effect) { v.out = append(v.out, fx) }

// next is when the view has to be ticked; zero: not.
func (v *view) next() (at time.Time) {
	earliest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if v.changes != nil {
		earliest(v.changes.flushAt)
	}
	if v.states != nil {
		earliest(v.states.due)
	}
	if v.load != nil {
		earliest(v.load.catchUpBy)
	}
	if v.holdsAt != 0 {
		earliest(time.UnixMilli(v.holdsAt))
	}
	return at
}

// due tells whether a time has come.
func (v *view) due(at time.Time) bool { return !at.IsZero() && !at.After(v.now.Time) }

// tick does what is due.
func (v *view) tick(held bool) {
	if v.load != nil && v.due(v.load.catchUpBy) {
		v.discard()
	}
	if v.holdsAt != 0 && v.due(time.UnixMilli(v.holdsAt)) {
		v.expire(held)
	}
	if v.changes != nil && v.due(v.changes.flushAt) {
		v.flush()
	}
	if v.states != nil && v.due(v.states.due) {
		v.sendStates()
	}
}

// receive takes a change.
func (v *view) receive(e *received) {
	switch v.phase {
	case loading:
		v.follow(&e.change)
		v.keep(e)
	case live:
		if v.apply(&e.change) {
			return
		}
		epoch, seq := v.replica.Position()
		v.do(gap{have: Position{epoch, seq}, got: e.change.position()})
		v.reload(resyncGap)
	}
}

// apply applies a change and tells of it. false: it is a gap. While Redis is suspected to have lost data, the beginning
// of a history is one: it may be the late message of a history that is over.
func (v *view) apply(c *Change) bool {
	if epoch, _ := v.replica.Position(); c.Epoch != epoch && v.now.doubt != 0 {
		return false
	}
	ts, ok := v.replica.Apply(c)
	if ok {
		v.note(ts)
		v.seen(c.position())
	}
	return ok
}

// detach forgets all but the numbers of changes and readings, which go on.
func (v *view) detach() {
	var all woken
	for _, ws := range v.waiters {
		all = append(all, ws...)
	}
	if all = append(all, v.states.all()...); len(all) > 0 {
		v.do(all)
	}
	v.reading++
	v.phase, v.known, v.replica = cold, false, Replica{}
	v.load, v.changes, v.states, v.holdsAt, v.waiters = nil, nil, nil, 0, nil
}

// check returns what breaks the invariants, or "". For tests.
func (v *view) check() string {
	switch {
	case v.replica.Check() != "":
		return v.replica.Check()
	case v.phase == cold && (v.replica.Len() > 0 || len(v.waiters) > 0 || !v.next().IsZero()):
		return "cold, and it knows or awaits something"
	case (v.load != nil) != (v.phase == loading):
		return "it has a load though it is not loading, or has none"
	case v.load != nil && (v.load.snap != nil) != !v.load.catchUpBy.IsZero():
		return "a snapshot waits for changes, but not until a time"
	case v.changes != nil && (len(v.changes.dirty) != len(v.changes.order) || len(v.changes.dirty) == 0 ||
		v.changes.flushAt.IsZero()):
		return "changes gather, but nothing ends the window"
	case v.holdsAt == 0 && v.replica.Held() > 0:
		return "removals are held back for ever"
	case v.states != nil && !v.states.due.IsZero() && len(v.states.owed) == 0:
		return "a presence_state is made for nobody"
	case v.anyDue() && v.states.due.IsZero():
		return "a presence_state is due, and not sent"
	case v.states != nil && len(v.states.owed) == 0 && !v.crowded():
		return "a small channel keeps what it needs for presence_states"
	case v.states != nil && v.states.text != nil &&
		len(v.states.text) != len(renderState(v.channel, &v.replica)),
		v.states != nil && v.states.byRefs != nil && len(v.states.byRefs) != len(renderByRefs(&v.replica)):
		return "the shared presence_state is not that of now"
	case v.waiters != nil && len(v.waiters) == 0:
		return "nobody waits, and a map for waiters is kept"
	case v.stepping != nil:
		return "a step is still under way"
	}
	for _, ws := range v.waiters {
		for _, w := range ws {
			if v.reached(w) {
				return "a writer waits for what is there"
			}
		}
	}
	return ""
}
