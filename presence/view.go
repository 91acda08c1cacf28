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
// Invariant: while it is loading, either the reading numbered reading is under way, or snap waits for changes until
// catchUpBy; never both.
// Invariant: no writer waits for what the view holds already.
type view struct {
	// static
	channel string
	window  time.Duration // in which changes gather; 0: each is a frame
	holdFor time.Duration // how long removals are held back when Redis has lost data

	phase   phase
	known   bool // it was live since it was opened: there is a list
	replica *Replica

	// reading a snapshot
	reading   uint64 // numbers readings; one of another number is of no use any more
	begun     uint64 // the last that was begun
	adopted   uint64 // the last that was adopted
	stale     bool   // what is being read will be read again
	inStep    bool   // no change has been missed as far as is known, and those that come are told at once
	backlog   backlog
	snap      *Snapshot     // read, but the changes up to its End have not all come
	catchUpBy time.Time     // until then they may
	retry     time.Duration // before the next reading

	// telling; the times are zero when nothing is due
	changes   Window
	flushAt   time.Time // the window ends
	holdsAt   time.Time // the earliest hold ends
	state     []byte    // the last presence_state, while it is still right
	byRefs    []byte    // the same for clients of Phoenix, likewise
	stateAt   time.Time // when it was encoded
	stateTook time.Duration
	statesAt  time.Time // the next may be encoded
	states    []waiter  // who is owed one, oldest first

	waiters map[Position][]waiter // writers that wait to see their change

	// of the step under way
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
		number uint64
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
		number uint64
		after  time.Duration
	}
	// adopted says that a snapshot is the view now: these are its users.
	adopted struct{ users map[string]*User }
	// state is a presence_state for some connections; those who asked for it are woken.
	state struct {
		State
		asked []waiter
		fresh bool // it was encoded in this step
	}
	// woken are waiters whose wait is over.
	woken []waiter
)

func newView(channel string, window, holdFor time.Duration) view {
	return view{channel: channel, window: window, holdFor: holdFor, replica: NewReplica()}
}

// step lets one event happen at a moment, and gives what is to be done, in order; the slice is good until the next
// step.
func (v *view) step(e event, now moment) []effect {
	v.now, v.out = now, v.out[:0]
	switch e := e.(type) {
	case *received:
		v.receive(e)
	case awaits:
		v.await(e.waiter)
	case owes:
		v.states = append(v.states, e.waiter)
		v.callStates()
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
		v.stateAt, v.stateTook = now.Time, e.took
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
	for _, t := range [...]*time.Time{&v.flushAt, &v.holdsAt, &v.statesAt, &v.catchUpBy} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = *t
		}
	}
	return at
}

// due takes a time that has come, and clears it.
func (v *view) due(at *time.Time) bool {
	if at.IsZero() || at.After(v.now.Time) {
		return false
	}
	*at = time.Time{}
	return true
}

// tick does what is due.
func (v *view) tick(held bool) {
	if v.due(&v.catchUpBy) {
		v.discard()
	}
	if v.due(&v.holdsAt) {
		v.expire(held)
	}
	if v.due(&v.flushAt) {
		v.flush()
	}
	if v.due(&v.statesAt) {
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
	if all = append(all, v.states...); len(all) > 0 {
		v.do(all)
	}
	next := newView(v.channel, v.window, v.holdFor)
	next.reading, next.begun, next.adopted, next.changes.version = v.reading+1, v.begun, v.adopted, v.changes.version
	next.out = v.out
	*v = next
}

// check returns what breaks the invariants, or "". For tests.
func (v *view) check() string {
	switch catching := v.snap != nil; {
	case v.replica.Check() != "":
		return v.replica.Check()
	case v.phase == cold && (v.replica.Len() > 0 || len(v.waiters) > 0 || !v.next().IsZero()):
		return "cold, and it knows or awaits something"
	case catching != !v.catchUpBy.IsZero(), catching && v.phase != loading:
		return "a snapshot waits for changes, but not until a time, or not while loading"
	case v.phase != loading && len(v.backlog.changes) > 0:
		return "changes wait though nothing is read"
	case len(v.changes.dirty) != len(v.changes.order), len(v.changes.dirty) > 0 && v.flushAt.IsZero():
		return "changes gather, but nothing ends the window"
	case v.holdsAt.IsZero() && v.replica.Held() > 0:
		return "removals are held back for ever"
	case !v.statesAt.IsZero() && len(v.states) == 0:
		return "a presence_state is made for nobody"
	case v.statesAt.IsZero() && v.anyDue():
		return "a presence_state is due, and not sent"
	case v.state != nil && len(v.state) != len(renderState(v.channel, v.replica.users)),
		v.byRefs != nil && len(v.byRefs) != len(renderByRefs(v.replica.users)):
		return "the shared presence_state is not that of now"
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
