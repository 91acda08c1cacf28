package wsconn

// outbox holds the frames that wait for one client; see the package's diagram. Frames that are being written still
// count among its bytes.
//
// Invariant: bytes is the cost of frames and of those being written.
type outbox struct {
	frames []Frame
	bytes  int
	state  outboxState
}

// outboxState tells who may write.
type outboxState uint8

const (
	idle    outboxState = iota // nothing waits
	queued                     // a sender or the flushers are about to write
	writing                    // somebody writes, or has the right to
)

// keepQueue is the capacity of a queue that a connection keeps while it is idle, in frames.
const keepQueue = 16

// push appends a frame, which costs most at most. ready tells that nobody sees to the outbox yet: the caller has to.
func (o *outbox) push(f Frame, most int) (ready bool) {
	o.frames = append(o.frames, f)
	o.bytes += f.cost(most)
	if o.state != idle {
		return false
	}
	o.state = queued
	return true
}

// take appends what waits to buf, for a writer that then has the right to write; ok is false when it has nothing to do.
func (o *outbox) take(buf []Frame) (frames []Frame, ok bool) {
	if o.state != queued { // another was faster
		return buf, false
	}
	if len(o.frames) == 0 { // the connection is gone
		o.state = idle
		return buf, false
	}
	o.state = writing
	buf = append(buf, o.frames...)
	clear(o.frames)
	if o.frames = o.frames[:0]; cap(o.frames) > keepQueue {
		o.frames = nil
	}
	return buf, true
}

// wrote takes the cost of what was written away. With last, the writer has written all that it took, and gives its
// right back; ready then tells that more has come, and that it has to see to it.
func (o *outbox) wrote(cost int, last bool) (ready bool) {
	o.bytes -= cost
	if !last {
		return false
	}
	o.state = idle
	if len(o.frames) > 0 {
		o.state = queued
	}
	return o.state == queued
}

// drop takes out what waits and is not being written.
func (o *outbox) drop(most int) (dropped []Frame) {
	for _, f := range o.frames {
		o.bytes -= f.cost(most)
	}
	dropped, o.frames = o.frames, nil
	return dropped
}
