package outbox

import (
	"sync"
	"unsafe"
)

// frameCost is what a waiting frame counts against Config.SendQueue besides its bytes: its place in the queue.
const frameCost = 32

// Frame is one message for clients, as a WebSocket sends it: package wsconn encodes it, once for all who get it. What
// other kinds of connections send is made of its payload, also once (Once). It is immutable. The zero Frame is no
// frame: sending it does nothing.
type Frame struct {
	wire string
	more *more // shared by all copies; nil: a control frame
}

// more is what a frame has besides its wire form.
type more struct {
	payload int // where it begins in wire
	at      *ResumePoint

	mu   sync.Mutex
	key  string // what form was made for
	form string // "": nothing was made yet
}

// ResumePoint is where in a channel with history one stands who has got a frame (SPEC 7).
type ResumePoint struct {
	Channel  string
	Position string

	once  sync.Once
	alone string
}

// Alone gives what f makes of a point for those who stand nowhere else; f is called once.
func (p *ResumePoint) Alone(f func() string) string {
	p.once.Do(func() { p.alone = f() })
	return p.alone
}

// NewFrame makes a frame of its wire form, in which the payload begins at an offset.
func NewFrame(wire string, payload int) Frame { return Frame{wire, &more{payload: payload}} }

// NewControl makes a frame that carries nothing for the client's user.
func NewControl(wire string) Frame { return Frame{wire: wire} }

// At gives the frame to those of whom it says where they stand when they have got it. The caller made f and has sent it
// to nobody.
func (f Frame) At(point *ResumePoint) Frame {
	f.more.at = point
	return f
}

// ResumePoint is where one stands who has got the frame; nil: it does not say.
func (f Frame) ResumePoint() *ResumePoint {
	if f.more == nil {
		return nil
	}
	return f.more.at
}

// IsControl tells whether it carries nothing for the client's user.
func (f Frame) IsControl() bool { return f.more == nil }

// IsZero tells whether it is no frame.
func (f Frame) IsZero() bool { return f.wire == "" }

// Wire is the frame as a WebSocket sends it.
func (f Frame) Wire() string { return f.wire }

// Len returns the length of Wire, in bytes.
func (f Frame) Len() int { return len(f.wire) }

// Text is what the frame carries.
func (f Frame) Text() string {
	if f.more == nil {
		return ""
	}
	return f.wire[f.more.payload:]
}

// Payload returns a copy of what the frame carries.
func (f Frame) Payload() []byte { return []byte(f.Text()) }

// Once gives what make makes of the frame for a key. It is made once as long as the same is asked for.
func (f Frame) Once(key string, make func() string) string {
	m := f.more
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.form == "" || m.key != key {
		m.key, m.form = key, make()
	}
	return m.form
}

// piece is what leaves as a whole, or is dropped as a whole: a frame as its connection sends it. Under load a million
// of them wait, and their size tells how much of the processor's cache queues take. Hence it is no more than a string.
type piece string

// cost is what p takes of an outbox, in bytes: most at most (Config.mostOfFrame).
func (p piece) cost(most int) int { return costOf(len(p), most) }

func costOf(bytes, most int) int { return min(bytes+frameCost, most) }

// cursor is a position in a row of pieces that are being written. It is a pure value: it packs what comes next
// and moves by what was written.
//
// Invariant: i <= len(pieces); off < len(pieces[i]), or 0 at the end.
type cursor struct {
	pieces []piece
	most   int // that a piece costs
	i, off int
}

func (c *cursor) done() bool { return c.i == len(c.pieces) }

// fill appends to buf, without growing it, as many of the next bytes as it has room for.
func (c *cursor) fill(buf []byte) []byte {
	off := c.off
	for i := c.i; i < len(c.pieces); i++ {
		w := c.pieces[i][off:]
		room := cap(buf) - len(buf)
		if len(w) > room {
			return append(buf, w[:room]...)
		}
		buf = append(buf, w...)
		off = 0
	}
	return buf
}

// next gives the next bytes: of one piece alone as they are, which must not be changed, else packed into buf.
func (c *cursor) next(buf []byte) []byte {
	if c.i == len(c.pieces)-1 {
		w := string(c.pieces[c.i][c.off:])
		return unsafe.Slice(unsafe.StringData(w), len(w))
	}
	return c.fill(buf)
}

// skip moves the cursor by n bytes that were written. It returns the number of pieces this completed and their
// cost.
func (c *cursor) skip(n int) (pieces, cost int) {
	for n > 0 {
		p := c.pieces[c.i]
		left := len(p) - c.off
		if n < left {
			c.off += n
			break
		}
		n -= left
		pieces++
		cost += p.cost(c.most)
		c.i++
		c.off = 0
	}
	return pieces, cost
}

// cut drops all pieces but the one whose beginning has been written, if any. It returns the cost of the dropped.
func (c *cursor) cut() (cost int) {
	drop := c.untouched()
	for _, p := range drop {
		cost += p.cost(c.most)
	}
	c.pieces = c.pieces[:len(c.pieces)-len(drop)]
	return cost
}

// untouched are the pieces of which nothing has been written.
func (c *cursor) untouched() []piece {
	if c.off > 0 {
		return c.pieces[c.i+1:]
	}
	return c.pieces[c.i:]
}

// unfinished are the pieces that have not been written to their end.
func (c *cursor) unfinished() []piece { return c.pieces[c.i:] }
