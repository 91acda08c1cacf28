package wsconn

import (
	"encoding/binary"
	"strings"

	"rollcall/outbox"
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

// Text returns the text frame of payload, which must be UTF-8. The payload is copied.
func Text(payload []byte) outbox.Frame { return dataFrame(opText, payload) }

// TextString returns the text frame of s, which must be UTF-8.
func TextString(s string) outbox.Frame { return dataFrame(opText, s) }

// Binary returns the binary frame of payload. The payload is copied.
func Binary(payload []byte) outbox.Frame { return dataFrame(opBinary, payload) }

// closeFrame returns the close frame of a code and reason; outbox.CodeNoStatus gives one without a body. The reason is
// made valid UTF-8 and cut to fit.
func closeFrame(code int, reason string) string {
	if code == outbox.CodeNoStatus {
		return encode(opClose, "")
	}
	body := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code))
	return encode(opClose, append(body, outbox.CutReason(reason)...))
}

func dataFrame[T string | []byte](op byte, payload T) outbox.Frame {
	wire := encode(op, payload)
	return outbox.NewFrame(wire, headerLen(wire[1]))
}

func encode[T string | []byte](op byte, payload T) string {
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
	return b.String()
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
