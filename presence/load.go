package presence

import "time"

const (
	// maxBacklog is how many changes wait while a snapshot is read, and maxBacklogBytes what they take; past it the
	// snapshot is read again.
	maxBacklog      = 1 << 14
	maxBacklogBytes = 16 << 20
	// catchUpTime is how long changes that are on their way have to come.
	catchUpTime = 500 * time.Millisecond
	// A reading that failed is made again after a while, from firstRetry up to lastRetry.
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second
)

// load is what a view needs to read a channel, from when it begins to until the snapshot is the view.
type load struct {
	stale     bool // what is being read will be read again
	inStep    bool // no change has been missed as far as is known, and those that come are told at once
	backlog   backlog
	snap      *Snapshot     // read, but the changes up to its End have not all come
	catchUpBy time.Time     // until then they may
	retry     time.Duration // before the next reading
}

// reload begins to read the snapshot, or makes a reading under way begin again.
func (v *view) reload(why resync) {
	v.do(why)
	switch {
	case v.phase != loading:
		v.load = &load{inStep: v.phase == live}
		v.phase = loading
		v.read()
	case v.load.snap != nil:
		v.discard()
	default:
		v.load.stale = true
	}
}

// read asks for the next reading.
func (v *view) read() {
	v.reading++
	v.do(read{v.reading, v.load.retry})
	v.load.retry = min(max(2*v.load.retry, firstRetry), lastRetry)
}

// begin notes that the reading begins: it will hold all changes from before.
func (v *view) begin() {
	v.begun = v.reading
	v.load.stale, v.load.backlog = false, backlog{}
}

// adopt takes a snapshot, whose changes may not all have come: only with those that happened while it was read it is
// the state at one moment.
func (v *view) adopt(number uint32, snap *Snapshot) {
	switch {
	case number != v.reading: // of no use any more
	case v.load.stale || snap == nil:
		v.read()
	default:
		v.load.snap, v.load.catchUpBy = snap, v.now.Add(catchUpTime)
		v.complete()
	}
}

// discard gives up a snapshot that waits for changes: they do not fit together, or one is missing.
func (v *view) discard() {
	v.load.snap, v.load.catchUpBy = nil, time.Time{}
	v.read()
}

// follow tells of a change at once although the channel is being read again, as long as none was missed: so a node that
// reads for caution alone tells its clients the same changes in the same order as the nodes that do not read.
func (v *view) follow(c *Change) { v.load.inStep = v.load.inStep && v.apply(c) }

// backlog is the changes that wait while a snapshot is read.
type backlog struct {
	changes []*Change
	bytes   int // of their messages
}

// add takes one more; false: there are too many.
func (b *backlog) add(change *Change, bytes int) bool {
	if len(b.changes) >= maxBacklog || b.bytes+bytes > maxBacklogBytes {
		return false
	}
	b.changes, b.bytes = append(b.changes, change), b.bytes+bytes
	return true
}

// keep holds a change back while the snapshot is read.
func (v *view) keep(e *received) {
	switch {
	case v.load.stale: // it will be in the next one
	case !v.load.backlog.add(&e.change, e.bytes):
		v.load.stale, v.load.backlog = true, backlog{}
	case v.load.snap != nil:
		v.complete()
	}
}

// complete adds what has come to the snapshot, and makes it the view once nothing is missing.
func (v *view) complete() {
	snap := v.load.snap
	for _, c := range v.load.backlog.changes {
		if !snap.Advance(c) {
			v.discard()
			return
		}
	}
	v.load.backlog = backlog{}
	if snap.Seq < snap.End {
		return
	}
	v.load = nil
	v.phase, v.known, v.adopted = live, true, v.begun
	v.note(v.replica.Reset(snap, v.holdUntil(snap)))
	v.armHolds()
	v.do(adopted{})
	v.seenAll()
}

// holdUntil decides whether removals are held back (DESIGN 3): Redis may have lost data when the epoch changed, when it
// stands before what was applied already, or when a connection to it broke a short while ago.
func (v *view) holdUntil(snap *Snapshot) int64 {
	epoch, seq := v.replica.Position()
	if v.replica.Len() == 0 {
		return 0
	}
	if epoch != snap.Epoch || snap.Seq < seq {
		return v.now.Add(v.now.holdFor).UnixMilli() // others may find it out later
	}
	return v.now.doubt
}

// armHolds sets the time at which the earliest hold ends.
func (v *view) armHolds() {
	if until, any := v.replica.Holding(); any && v.holdsAt == 0 {
		v.holdsAt = until + 1
	}
}

// holdOn is how long holds that are over last on while the node cannot know whether what it holds was written again.
const holdOn = 100 * time.Millisecond

// expire ends the holds that are over. Not while the lease is in doubt or the channel is being read: this node was
// frozen or cut off, and the messages that release what it holds may just be waiting for it.
func (v *view) expire(held bool) {
	if v.phase == loading || !held {
		v.holdsAt = v.now.Add(holdOn).UnixMilli()
		return
	}
	v.holdsAt = 0
	v.note(v.replica.Expire(v.now.UnixMilli()))
	v.armHolds()
}
