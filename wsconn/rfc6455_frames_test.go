package wsconn

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wireOf is a socket from which a client's bytes come in pieces; then it is at its end.
type wireOf struct {
	net.Conn
	pieces [][]byte

	mu    sync.Mutex
	wrote []byte
}

func (w *wireOf) Read(p []byte) (n int, err error) {
	if len(w.pieces) == 0 {
		return 0, io.EOF
	}
	n = copy(p, w.pieces[0])
	if w.pieces[0] = w.pieces[0][n:]; len(w.pieces[0]) == 0 {
		w.pieces = w.pieces[1:]
	}
	return n, nil
}

func (w *wireOf) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrote = append(w.wrote, p...)
	return len(p), nil
}

func (w *wireOf) Close() error                    { return nil }
func (w *wireOf) SetReadDeadline(time.Time) error { return nil }

// replies are the frames that were written: opcodes and payloads.
func (w *wireOf) replies(t testing.TB) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := client{t: t, Conn: w, r: bufio.NewReader(bytes.NewReader(w.wrote))}
	for {
		op, payload, err := c.next()
		switch {
		case err != nil:
			return all
		case op == opPong:
			all = append(all, "pong "+payload)
		case op == opClose && len(payload) >= 2:
			all = append(all, fmt.Sprintf("close %d %s", binary.BigEndian.Uint16([]byte(payload)), payload[2:]))
		default:
			all = append(all, fmt.Sprint(op, " ", payload))
		}
	}
}

// serve has the connection of a socket read to its end, and gives the messages and the end.
func (w *wireOf) serve(s *Server) (messages []string, end CloseInfo) {
	p := &probe{opened: make(chan struct{}), messages: make(chan string, 20), closed: make(chan CloseInfo, 1)}
	c := &Conn{s: s, nc: w, limit: s.cfg.MaxMessage, h: p, slot: -1}
	c.serve()
	close(p.messages)
	for m := range p.messages {
		messages = append(messages, m)
	}
	s.slow.Wait()
	return messages, <-p.closed
}

// TestRFC6455Frames is RFC 6455, section 5, frame by frame: what a client sends, and what comes of it. Each case goes on with "after", whole,
// and a close frame of 1000.
func TestRFC6455Frames(t *testing.T) {
	cat := func(fs ...[]byte) []byte { return slices.Concat(fs...) }
	head := func(b ...byte) []byte { return b }
	x := strings.Repeat("x", 70000)
	at1, at0 := "close 1002 ", "close 1000 "
	after := "text:after"
	for _, tt := range []struct {
		section, name string
		send          []byte
		messages      []string
		replies       []string
	}{
		{"5.2", "length 0", frame(0x81, ""), []string{"text:", after}, []string{at0}},
		{"5.2", "length 125", frame(0x81, x[:125]), []string{"text:" + x[:125], after}, []string{at0}},
		{"5.2", "length 126, in 16 bits", frame(0x81, x[:126]), []string{"text:" + x[:126], after}, []string{at0}},
		{"5.2", "length 65535", frame(0x82, x[:65535]), []string{"binary:" + x[:65535], after}, []string{at0}},
		{"5.2", "length 65536, in 64 bits", frame(0x82, x[:65536]), []string{"binary:" + x[:65536], after}, []string{at0}},
		{"5.2", "longer length than needed", head(0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'a'), []string{"text:a", after}, []string{at0}},
		{"5.2", "longest length than needed", head(0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'a'), []string{"text:a", after}, []string{at0}},
		{"5.2", "highest bit of the length", head(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0), nil, []string{"close 1009 message too big"}},
		{"5.2", "RSV1", frame(0xc1, "a"), nil, []string{at1 + "RSV1 set"}},
		{"5.2", "RSV2", frame(0xa1, "a"), nil, []string{at1 + "RSV2 set"}},
		{"5.2", "RSV3", frame(0x91, "a"), nil, []string{at1 + "RSV3 set"}},
		{"5.2", "all at once", head(0x73, 1), nil, []string{at1 + "RSV1 set, RSV2 set, RSV3 set, bad opcode 3, bad MASK"}},
		{"5.2", "opcode 3", frame(0x83, ""), nil, []string{at1 + "bad opcode 3"}},
		{"5.2", "opcode 7", frame(0x87, ""), nil, []string{at1 + "bad opcode 7"}},
		{"5.2", "opcode 11", frame(0x8b, ""), nil, []string{at1 + "bad opcode 11"}},
		{"5.2", "opcode 15", frame(0x8f, ""), nil, []string{at1 + "bad opcode 15"}},
		{"5.3", "no mask", head(0x81, 1, 'a'), nil, []string{at1 + "bad MASK"}},
		{"5.3", "no mask on a ping", head(0x89, 0), nil, []string{at1 + "bad MASK"}},
		{"5.3", "mask of zeros", head(0x81, 0x83, 0, 0, 0, 0, 'a', 'b', 'c'), []string{"text:abc", after}, []string{at0}},
		{"5.3", "the RFC's own (5.7)", head(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58), []string{"text:Hello", after}, []string{at0}},
		{"5.4", "two fragments", cat(frame(0x01, "Hel"), frame(0x80, "lo")), []string{"text:Hello", after}, []string{at0}},
		{"5.4", "binary in fragments", cat(frame(0x02, "a"), frame(0x00, "b"), frame(0x80, "c")), []string{"binary:abc", after}, []string{at0}},
		{"5.4", "empty fragments", cat(frame(0x01, ""), frame(0x00, ""), frame(0x80, "")), []string{"text:", after}, []string{at0}},
		{"5.4", "a message inside another", cat(frame(0x01, "a"), frame(0x81, "b")), nil, []string{at1 + "data before FIN"}},
		{"5.4", "continuation of nothing", frame(0x80, "a"), nil, []string{at1 + "continuation after FIN"}},
		{"5.4", "continuation behind a message", cat(frame(0x81, "a"), frame(0x00, "b")), []string{"text:a"}, []string{at1 + "continuation after FIN"}},
		{"5.4", "ping between fragments", cat(frame(0x01, "a"), frame(0x89, "p"), frame(0x80, "b")), []string{"text:ab", after}, []string{"pong p", at0}},
		{"5.4", "pong between fragments", cat(frame(0x01, "a"), frame(0x8a, "p"), frame(0x80, "b")), []string{"text:ab", after}, []string{at0}},
		{"5.4", "close between fragments", cat(frame(0x01, "a"), frame(0x88, closeBody(1000, ""))), nil, []string{at0}},
		{"5.5", "fragmented ping", frame(0x09, "a"), nil, []string{at1 + "FIN not set on control"}},
		{"5.5", "fragmented close", frame(0x08, ""), nil, []string{at1 + "FIN not set on control"}},
		{"5.5", "ping of 126", frame(0x89, x[:126]), nil, []string{at1 + "len > 125 for control"}},
		{"5.5", "close of 126", frame(0x88, closeBody(1000, x[:124])), nil, []string{at1 + "len > 125 for control"}},
		{"5.5.1", "close without a body", frame(0x88, ""), nil, []string{"8 "}},
		{"5.5.1", "close of one byte", frame(0x88, "\x03"), nil, []string{at1 + "close frame of one byte"}},
		{"5.5.1", "close with the longest reason", frame(0x88, closeBody(1000, x[:123])), nil, []string{at0 + x[:123]}},
		{"5.5.1", "reason not UTF-8", frame(0x88, closeBody(1000, "\xff")), nil, []string{at1 + "invalid utf8 payload in close frame"}},
		{"5.5.1", "nothing counts behind a close", cat(frame(0x88, closeBody(1001, "bye")), frame(0x89, "p")), nil, []string{"close 1001 bye"}},
		{"5.5.2", "pings are answered in order", cat(frame(0x89, ""), frame(0x89, x[:125])), []string{after}, []string{"pong ", "pong " + x[:125], at0}},
		{"5.5.3", "pong that nobody asked for", frame(0x8a, "p"), []string{after}, []string{at0}},
		{"5.6", "text not UTF-8", frame(0x81, "\xff"), nil, []string{"close 1007 text is not UTF-8"}},
		{"5.6", "binary not UTF-8", frame(0x82, "\xff"), []string{"binary:\xff", after}, []string{at0}},
		{"5.6", "rune over two fragments", cat(frame(0x01, "\xc3"), frame(0x80, "\xa9")), []string{"text:é", after}, []string{at0}},
		{"7.4", "code 999", frame(0x88, closeBody(999, "")), nil, []string{at1 + "bad close code 999"}},
		{"7.4", "code 1003", frame(0x88, closeBody(1003, "")), nil, []string{"close 1003 "}},
		{"7.4", "code 1004", frame(0x88, closeBody(1004, "")), nil, []string{at1 + "bad close code 1004"}},
		{"7.4", "code 1005", frame(0x88, closeBody(1005, "")), nil, []string{at1 + "bad close code 1005"}},
		{"7.4", "code 1006", frame(0x88, closeBody(1006, "")), nil, []string{at1 + "bad close code 1006"}},
		{"7.4", "code 1014", frame(0x88, closeBody(1014, "")), nil, []string{"close 1014 "}},
		{"7.4", "code 1015", frame(0x88, closeBody(1015, "")), nil, []string{at1 + "bad close code 1015"}},
		{"7.4", "code 2999", frame(0x88, closeBody(2999, "")), nil, []string{at1 + "bad close code 2999"}},
		{"7.4", "code 3000", frame(0x88, closeBody(3000, "")), nil, []string{"close 3000 "}},
		{"7.4", "code 4999", frame(0x88, closeBody(4999, "")), nil, []string{"close 4999 "}},
		{"7.4", "code 5000", frame(0x88, closeBody(5000, "")), nil, []string{at1 + "bad close code 5000"}},
		{"10.4", "a message over the limit", frame(0x82, strings.Repeat("x", 80001)), nil, []string{"close 1009 message too big"}},
		{"10.4", "fragments over the limit", cat(frame(0x02, x), frame(0x80, x)), nil, []string{"close 1009 message too big"}},
	} {
		t.Run(tt.section+" "+tt.name, func(t *testing.T) {
			s := NewServer(Config{Ping: -1, MaxMessage: 80000}, nil)
			defer s.Close()
			w := &wireOf{pieces: [][]byte{cat(tt.send, frame(0x81, "after"), frame(0x88, closeBody(1000, "")))}}
			if messages, _ := w.serve(s); !slices.Equal(messages, tt.messages) {
				t.Errorf("messages %.200q", messages)
			}
			if got := w.replies(t); !slices.Equal(got, tt.replies) {
				t.Errorf("replies %.200q, want %.200q", got, tt.replies)
			}
		})
	}
}

// TestFramesInPieces: messages, pongs and the end are the same however a client's bytes are cut into frames and reads.
func TestFramesInPieces(t *testing.T) {
	s := NewServer(Config{Ping: -1, MaxMessage: 1 << 20}, nil)
	defer s.Close()
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		var want, replies []string
		ping := func() {
			p := rapid.StringN(0, 20, maxControl).Draw(t, "ping")
			wire = append(wire, frame(final|opPing, p)...)
			replies = append(replies, "pong "+p)
		}
		for range rapid.IntRange(0, 4).Draw(t, "messages") {
			text := strings.Repeat("é", rapid.SampledFrom([]int{0, 1, 62, 63, 2100, 40000}).Draw(t, "size"))
			want = append(want, "text:"+text)
			op := byte(opText)
			for range rapid.IntRange(0, 3).Draw(t, "fragments") {
				n := rapid.IntRange(0, len(text)).Draw(t, "fragment")
				wire = append(wire, frame(op, text[:n])...)
				text, op = text[n:], opContinuation
				if rapid.Bool().Draw(t, "ping between") {
					ping()
				}
			}
			wire = append(wire, frame(final|op, text)...)
		}
		ping()
		wire = append(append(wire, frame(final|opClose, closeBody(1000, "bye"))...), frame(final|opText, "after it")...)
		replies = append(replies, "close 1000 bye")
		w := &wireOf{}
		for most := rapid.SampledFrom([]int{1, 7, 200, 1 << 17}).Draw(t, "most"); len(wire) > 0; {
			n := min(len(wire), rapid.IntRange(1, most).Draw(t, "read"))
			w.pieces, wire = append(w.pieces, wire[:n]), wire[n:]
		}
		got, end := w.serve(s)
		if !slices.Equal(got, want) {
			t.Fatalf("%d messages %.100q, want %d", len(got), got, len(want))
		}
		if want := (CloseInfo{Code: 1000, Reason: "bye", Clean: true, ByPeer: true, Why: WhyPeer}); end != want {
			t.Fatalf("%+v, want %+v", end, want)
		}
		if got := w.replies(nil); !slices.Equal(got, replies) {
			t.Fatalf("replies %q, want %q", got, replies)
		}
	})
}
