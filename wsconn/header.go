package wsconn

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"rollcall/outbox"
)

// header is the header of a client's frame (RFC 6455, 5.2).
type header struct {
	op     byte
	final  bool
	length int    // its own, in bytes
	size   uint64 // of the payload
	mask   [4]byte
}

// endOfInput ends the reading of a connection: the peer's close frame, or what was wrong with its input.
type endOfInput outbox.CloseInfo

func (e endOfInput) Error() string { return e.Reason }

func malformed(format string, args ...any) error {
	return endOfInput{Code: outbox.CodeProtocol, Reason: fmt.Sprintf(format, args...), Why: outbox.WhyProtocol}
}

// readHeader reads the next frame's header. inside tells that a message has begun, whose frames have to go on.
func readHeader(r *bufio.Reader, inside bool) (header, error) {
	b, err := r.Peek(2)
	if err != nil {
		return header{}, err
	}
	size := b[1] &^ masked
	h := header{op: b[0] & 0xf, final: b[0]&final != 0, length: headerLen(size) + 4, size: uint64(size)}
	if wrong := h.faults(b[0], b[1], inside); wrong != nil {
		return header{}, malformed("%s", strings.Join(wrong, ", "))
	}
	if b, err = r.Peek(h.length); err != nil {
		return header{}, err
	}
	switch h.size {
	case 126:
		h.size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.size = binary.BigEndian.Uint64(b[2:])
	}
	copy(h.mask[:], b[h.length-4:])
	_, err = r.Discard(h.length)
	return h, err
}

// faults tells what is wrong with a header that begins with b0 and b1: no extension is ever negotiated, and clients
// mask.
func (h *header) faults(b0, b1 byte, inside bool) (wrong []string) {
	control := h.op == opClose || h.op == opPing || h.op == opPong
	data := h.op == opText || h.op == opBinary
	fault := func(broken bool, text string) {
		if broken {
			wrong = append(wrong, text)
		}
	}
	fault(b0&0x40 != 0, "RSV1 set")
	fault(b0&0x20 != 0, "RSV2 set")
	fault(b0&0x10 != 0, "RSV3 set")
	fault(control && h.size > maxControl, "len > 125 for control")
	fault(control && !h.final, "FIN not set on control")
	fault(data && inside, "data before FIN")
	fault(h.op == opContinuation && !inside, "continuation after FIN")
	if !control && !data && h.op != opContinuation {
		fault(true, fmt.Sprint("bad opcode ", h.op))
	}
	fault(b1&masked == 0, "bad MASK")
	return wrong
}

// unmask takes the mask off a payload (RFC 6455, 5.3).
func (h *header) unmask(b []byte) {
	word := uint64(binary.LittleEndian.Uint32(h.mask[:]))
	word |= word << 32
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
	}
	for i := range b {
		b[i] ^= h.mask[i%4]
	}
}

// peerClose is the end that a peer's close frame with this body makes (RFC 6455, 5.5.1 and 7.4).
func peerClose(body []byte) error {
	end := endOfInput{Code: outbox.CodeNoStatus, ByPeer: true, Why: outbox.WhyPeer}
	switch len(body) {
	case 0:
		return end
	case 1:
		return malformed("close frame of one byte")
	}
	end.Code, end.Reason = int(binary.BigEndian.Uint16(body)), string(body[2:])
	switch {
	case !outbox.ValidCode(end.Code):
		return malformed("bad close code %d", end.Code)
	case !utf8.ValidString(end.Reason):
		return malformed("invalid utf8 payload in close frame")
	}
	return end
}
