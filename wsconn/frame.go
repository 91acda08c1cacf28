package wsconn

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Opcodes and bits of a frame's first byte (RFC 6455, 5.2).
const (
	final   = 0x80
	masked  = 0x80 // of a frame's second byte
	control = 0x8  // of opcodes: close, ping, pong

	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// maxControl is the longest payload of a control frame, in bytes (RFC 6455, 5.5).
const maxControl = 125

// frameCost is what a waiting frame counts against Config.SendQueue besides its bytes: its place in the queue.
const frameCost = 32

// Frame is one encoded, unmasked, unfragmented server frame. It is immutable and shared by all who send it, so
// a broadcast is encoded once. Frames of equal bytes are equal. The zero Frame is no frame: sending it does
// nothing.
type Frame struct{ wire string }

// Text returns the text frame of payload, which must be UTF-8. The payload is copied.
func Text(payload []byte) Frame { return encode(opText, payload) }

// TextString returns the text frame of s, which must be UTF-8.
func TextString(s string) Frame { return encode(opText, s) }

// Binary returns the binary frame of payload. The payload is copied.
func Binary(payload []byte) Frame { return encode(opBinary, payload) }

// Len returns the frame's length on the wire, in bytes.
func (f Frame) Len() int { return len(f.wire) }

// Payload returns a copy of what the frame carries.
func (f Frame) Payload() []byte {
	if f.wire == "" {
		return nil
	}
	return []byte(f.wire[headerLen(f.wire[1]):])
}

// cost is what f takes of an outbox, in bytes: most at most (Config.mostOfFrame).
func (f Frame) cost(most int) int { return min(len(f.wire)+frameCost, most) }

// pingFrame is the server's ping: it carries nothing, since whatever the peer sends counts as an answer.
func pingFrame() Frame { return Frame{wire: string([]byte{final | opPing, 0})} }

// closeFrame returns the close frame of a code and reason; noStatus gives one without a body. The reason is
// made valid UTF-8 and cut to fit.
func closeFrame(code int, reason string) Frame {
	if code == codeNoStatus {
		return encode(opClose, "")
	}
	body := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code))
	return encode(opClose, append(body, cutReason(reason)...))
}

// cutReason returns reason as valid UTF-8 of at most 123 bytes, what a close frame can hold.
func cutReason(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= maxControl-2 {
		return reason
	}
	n := maxControl - 2
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

func encode[T string | []byte](op byte, payload T) Frame {
	var head [10]byte
	head[0] = final | op
	switch n := len(payload); {
	case n < 126:
		head[1] = byte(n)
	case n < 1<<16:
		head[1] = 126
		binary.BigEndian.PutUint16(head[2:], uint16(n))
	default:
		head[1] = 127
		binary.BigEndian.PutUint64(head[2:], uint64(n))
	}
	h := headerLen(head[1])
	var b strings.Builder
	b.Grow(h + len(payload))
	b.Write(head[:h])
	switch p := any(payload).(type) {
	case string:
		b.WriteString(p)
	case []byte:
		b.Write(p)
	}
	return Frame{wire: b.String()}
}

// headerLen returns the length of an unmasked frame's header from its second byte.
func headerLen(b byte) int {
	switch b {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// cursor is a position in a row of frames that are being written. It is a pure value: it packs what comes next
// and moves by what was written.
//
// Invariant: i <= len(frames); off < len(frames[i].wire), or 0 at the end.
type cursor struct {
	frames []Frame
	most   int // that a frame costs
	i, off int
}

func (c *cursor) done() bool { return c.i == len(c.frames) }

// fill appends to buf, without growing it, as many of the next bytes as it has room for.
func (c *cursor) fill(buf []byte) []byte {
	off := c.off
	for i := c.i; i < len(c.frames); i++ {
		w := c.frames[i].wire[off:]
		room := cap(buf) - len(buf)
		if len(w) > room {
			return append(buf, w[:room]...)
		}
		buf = append(buf, w...)
		off = 0
	}
	return buf
}

// next gives the next bytes: of one frame alone as they are, which must not be changed, else packed into buf.
func (c *cursor) next(buf []byte) []byte {
	if c.i == len(c.frames)-1 {
		w := c.frames[c.i].wire[c.off:]
		return unsafe.Slice(unsafe.StringData(w), len(w))
	}
	return c.fill(buf)
}

// skip moves the cursor by n bytes that were written. It returns the number of frames this completed and their
// cost.
func (c *cursor) skip(n int) (frames, cost int) {
	for n > 0 {
		f := c.frames[c.i]
		left := len(f.wire) - c.off
		if n < left {
			c.off += n
			break
		}
		n -= left
		frames++
		cost += f.cost(c.most)
		c.i++
		c.off = 0
	}
	return frames, cost
}

// cut drops all frames but the one whose beginning has been written, if any. It returns the cost of the dropped.
func (c *cursor) cut() (cost int) {
	drop := c.untouched()
	for _, f := range drop {
		cost += f.cost(c.most)
	}
	c.frames = c.frames[:len(c.frames)-len(drop)]
	return cost
}

// untouched are the frames of which nothing has been written.
func (c *cursor) untouched() []Frame {
	if c.off > 0 {
		return c.frames[c.i+1:]
	}
	return c.frames[c.i:]
}

// unfinished are the frames that have not been written to their end.
func (c *cursor) unfinished() []Frame { return c.frames[c.i:] }
