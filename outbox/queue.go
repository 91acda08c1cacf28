package outbox

import "slices"

// queue holds the pieces that wait for one client; see the package's diagram. Pieces that are being written still
// count among its bytes.
//
// Invariant: bytes is the cost of pieces and of those being written.
type queue struct {
	pieces []piece
	bytes  int
	state  queueState
}

// queueState tells who may write.
type queueState uint8

const (
	idle    queueState = iota // nothing waits
	queued                    // a sender or the flushers are about to write
	writing                   // somebody writes, or has the right to
	held                      // nobody writes yet
)

// keepQueue is the capacity of a queue that a connection keeps while it is idle, in pieces.
const keepQueue = 16

// push appends a piece, which costs most at most. ready tells that nobody sees to the outbox yet: the caller has to.
func (q *queue) push(p piece, most int) (ready bool) {
	q.pieces = append(q.pieces, p)
	q.bytes += p.cost(most)
	if q.state != idle {
		return false
	}
	q.state = queued
	return true
}

// take appends what waits to buf, for a writer that then has the right to write; ok is false when it has nothing to do.
func (q *queue) take(buf []piece) (pieces []piece, ok bool) {
	if q.state != queued { // another was faster
		return buf, false
	}
	if len(q.pieces) == 0 { // the connection is gone
		q.state = idle
		return buf, false
	}
	q.state = writing
	buf = append(buf, q.pieces...)
	clear(q.pieces)
	if q.pieces = q.pieces[:0]; cap(q.pieces) > keepQueue {
		q.pieces = nil
	}
	return buf, true
}

// wrote takes the cost of what was written away. With last, the writer has written all that it took, and gives its
// right back; ready then tells that more has come, and that it has to see to it.
func (q *queue) wrote(cost int, last bool) (ready bool) {
	q.bytes -= cost
	if !last {
		return false
	}
	q.state = idle
	if len(q.pieces) > 0 {
		q.state = queued
	}
	return q.state == queued
}

// drop takes out what waits and is not being written.
func (q *queue) drop(most int) (dropped []piece) {
	for _, p := range q.pieces {
		q.bytes -= p.cost(most)
	}
	dropped, q.pieces = q.pieces, nil
	return dropped
}

// release lets go what was held, behind first; false: nothing was.
func (q *queue) release(first piece, most int) bool {
	if q.state != held {
		return false
	}
	q.pieces = slices.Insert(q.pieces, 0, first)
	q.bytes += first.cost(most)
	q.state = queued
	return true
}
