package wsconn

import "encoding/binary"

// framing follows the frames that come off a socket up to the first close frame, and keeps what that one carries: gorilla
// takes a body of one byte for none, and does not know code 1014. Malformed frames are gorilla's to find; what comes
// after one is never asked for.
//
// Invariant: have < len(head), and have == 0 while left > 0.
type framing struct {
	head  [14]byte
	have  uint8
	left  uint64 // of the payload
	mask  [4]byte
	close []byte // what the close frame carries, as far as it came; nil: none began
}

// feed takes the next bytes.
func (f *framing) feed(p []byte) {
	for len(p) > 0 {
		switch {
		case f.close != nil:
			f.takeClose(p)
			return
		case f.left >= uint64(len(p)):
			f.left -= uint64(len(p))
			return
		case f.left > 0:
			p = p[f.left:]
			f.left = 0
		}
		f.head[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have >= 2 && int(f.have) == maskedHeaderLen(f.head[1]) {
			f.begin()
		}
	}
}

// begin notes a frame whose header is whole.
func (f *framing) begin() {
	end := f.have
	f.have = 0
	switch n := f.head[1] &^ masked; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(n)
	}
	if f.head[0]&0xf == opClose && f.left <= maxControl {
		f.close = make([]byte, 0, f.left)
		if f.head[1]&masked != 0 {
			copy(f.mask[:], f.head[end-4:end])
		}
	}
}

func (f *framing) takeClose(p []byte) {
	for _, b := range p[:min(f.left, uint64(len(p)))] {
		f.close = append(f.close, b^f.mask[len(f.close)%4])
		f.left--
	}
}

// closed gives what a whole close frame carries.
func (f *framing) closed() (body []byte, whole bool) { return f.close, f.close != nil && f.left == 0 }

// maskedHeaderLen returns the length of a frame's header from its second byte.
func maskedHeaderLen(b byte) int {
	n := headerLen(b &^ masked)
	if b&masked != 0 {
		n += 4
	}
	return n
}
