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

	"rollcall/outbox"
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

// replies are the frames that were written: what pongs and the close frame carry.
func (w *wireOf) replies(t testing.TB) (pongs []string, closes string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := client{t: t, Conn: w, r: bufio.NewReader(bytes.NewReader(w.wrote))}
	for {
		op, payload, err := c.next()
		switch {
		case err != nil:
			return pongs, closes
		case closes != "":
			t.Fatalf("frame %d behind the close frame", op)
		case op == opPong:
			pongs = append(pongs, payload)
		case op == opClose && payload == "":
			closes = fmt.Sprint(outbox.CodeNoStatus)
		case op == opClose:
			closes = fmt.Sprint(binary.BigEndian.Uint16([]byte(payload)), " ", payload[2:])
		default:
			t.Fatalf("frame %d %.200q", op, payload)
		}
	}
}

// serve has the connection of a socket read to its end, and gives the messages and the end.
func (w *wireOf) serve(t testing.TB, limit int64) (messages []string, end outbox.CloseInfo) {
	p := &probe{opened: make(chan struct{}), messages: make(chan string, 20), closed: make(chan outbox.CloseInfo, 1)}
	sockets := outbox.New(outbox.Config{Ping: -1}, nil)
	defer sockets.Close()
	c := &Conn{s: NewServer(Config{}, sockets), limit: limit, h: p}
	if err := sockets.Add(&c.Conn, w, outbox.Options{Kind: kind{}, Answers: true}); err != nil {
		t.Error(err)
	}
	c.serve()
	sockets.Close() // nobody writes any more
	close(p.messages)
	for m := range p.messages {
		messages = append(messages, m)
	}
	return messages, <-p.closed
}

// TestRFC6455 is RFC 6455, section 5 and what belongs to it: a client's frames, and what comes of them. Each case
// has one more message and a close frame behind its own.
func TestRFC6455(t *testing.T) {
	cat := func(fs ...[]byte) []byte { return slices.Concat(fs...) }
	head := func(b ...byte) []byte { return b }
	x := strings.Repeat("x", 70000)
	for _, tt := range []struct {
		name     string
		send     []byte
		messages string
		pongs    string
		closes   string // instead of going on
	}{
		{"5.2 length 0", frame(0x81, ""), "text:", "", ""},
		{"5.2 length 125", frame(0x81, x[:125]), "text:" + x[:125], "", ""},
		{"5.2 length 126, in 16 bits", frame(0x81, x[:126]), "text:" + x[:126], "", ""},
		{"5.2 length 65535", frame(0x82, x[:65535]), "binary:" + x[:65535], "", ""},
		{"5.2 length 65536, in 64 bits", frame(0x82, x[:65536]), "binary:" + x[:65536], "", ""},
		{"5.2 longer length than needed", head(0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'a'), "text:a", "", ""},
		{"5.2 longest length than needed", head(0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'a'), "text:a", "", ""},
		{"5.2 highest bit of the length", head(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
			"", "", "1009 message too big"},
		{"5.2 RSV1", frame(0xc1, "a"), "", "", "1002 RSV1 set"},
		{"5.2 RSV2", frame(0xa1, "a"), "", "", "1002 RSV2 set"},
		{"5.2 RSV3", frame(0x91, "a"), "", "", "1002 RSV3 set"},
		{"5.2 all at once", head(0x73, 1), "", "", "1002 RSV1 set, RSV2 set, RSV3 set, bad opcode 3, bad MASK"},
		{"5.2 opcode 3", frame(0x83, ""), "", "", "1002 bad opcode 3"},
		{"5.2 opcode 7", frame(0x87, ""), "", "", "1002 bad opcode 7"},
		{"5.2 opcode 11", frame(0x8b, ""), "", "", "1002 bad opcode 11"},
		{"5.2 opcode 15", frame(0x8f, ""), "", "", "1002 bad opcode 15"},
		{"5.3 no mask", head(0x81, 1, 'a'), "", "", "1002 bad MASK"},
		{"5.3 no mask on a ping", head(0x89, 0), "", "", "1002 bad MASK"},
		{"5.3 mask of zeros", head(0x81, 0x83, 0, 0, 0, 0, 'a', 'b', 'c'), "text:abc", "", ""},
		{"5.3 the RFC's own (5.7)", head(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
			"text:Hello", "", ""},
		{"5.4 two fragments", cat(frame(0x01, "Hel"), frame(0x80, "lo")), "text:Hello", "", ""},
		{"5.4 binary in fragments", cat(frame(0x02, "a"), frame(0x00, "b"), frame(0x80, "c")), "binary:abc", "", ""},
		{"5.4 empty fragments", cat(frame(0x01, ""), frame(0x00, ""), frame(0x80, "")), "text:", "", ""},
		{"5.4 a message inside another", cat(frame(0x01, "a"), frame(0x81, "b")), "", "", "1002 data before FIN"},
		{"5.4 continuation of nothing", frame(0x80, "a"), "", "", "1002 continuation after FIN"},
		{"5.4 continuation behind a message", cat(frame(0x81, "a"), frame(0x00, "b")),
			"text:a", "", "1002 continuation after FIN"},
		{"5.4 ping between fragments", cat(frame(0x01, "a"), frame(0x89, "p"), frame(0x80, "b")), "text:ab", "p", ""},
		{"5.4 pong between fragments", cat(frame(0x01, "a"), frame(0x8a, "p"), frame(0x80, "b")), "text:ab", "", ""},
		{"5.4 close between fragments", cat(frame(0x01, "a"), frame(0x88, closeBody(1000, ""))), "", "", "1000 "},
		{"5.5 fragmented ping", frame(0x09, "a"), "", "", "1002 FIN not set on control"},
		{"5.5 fragmented close", frame(0x08, ""), "", "", "1002 FIN not set on control"},
		{"5.5 ping of 126", frame(0x89, x[:126]), "", "", "1002 len > 125 for control"},
		{"5.5 close of 126", frame(0x88, closeBody(1000, x[:124])), "", "", "1002 len > 125 for control"},
		{"5.5.1 close without a body", frame(0x88, ""), "", "", "1005"},
		{"5.5.1 close of one byte", frame(0x88, "\x03"), "", "", "1002 close frame of one byte"},
		{"5.5.1 close with the longest reason", frame(0x88, closeBody(1000, x[:123])), "", "", "1000 " + x[:123]},
		{"5.5.1 reason not UTF-8", frame(0x88, closeBody(1000, "\xff")),
			"", "", "1002 invalid utf8 payload in close frame"},
		{"5.5.1 one byte in a message", cat(frame(0x01, "half"), frame(0x88, "\x03")),
			"", "", "1002 close frame of one byte"},
		{"5.5.1 one byte behind a long message", cat(frame(0x82, x), frame(0x88, "\x03")),
			"binary:" + x, "", "1002 close frame of one byte"},
		{"5.5.1 one byte behind a ping", cat(frame(0x89, "p"), frame(0x88, "\x03")),
			"", "p", "1002 close frame of one byte"},
		{"5.5.1 one byte without a mask", head(0x88, 1, 3), "", "", "1002 bad MASK"},
		{"5.5.1 nothing counts behind a close", cat(frame(0x88, closeBody(1001, "bye")), frame(0x89, "p")),
			"", "", "1001 bye"},
		{"5.5.2 pings are answered in order", cat(frame(0x89, ""), frame(0x89, x[:125])), "", "," + x[:125], ""},
		{"5.5.3 pong that nobody asked for", frame(0x8a, "p"), "", "", ""},
		{"5.6 text not UTF-8", frame(0x81, "\xff"), "", "", "1007 text is not UTF-8"},
		{"5.6 binary not UTF-8", frame(0x82, "\xff"), "binary:\xff", "", ""},
		{"5.6 rune over two fragments", cat(frame(0x01, "\xc3"), frame(0x80, "\xa9")), "text:é", "", ""},
		{"7.4 code 999", frame(0x88, closeBody(999, "")), "", "", "1002 bad close code 999"},
		{"7.4 code 1003", frame(0x88, closeBody(1003, "")), "", "", "1003 "},
		{"7.4 code 1004", frame(0x88, closeBody(1004, "")), "", "", "1002 bad close code 1004"},
		{"7.4 code 1005", frame(0x88, closeBody(1005, "")), "", "", "1002 bad close code 1005"},
		{"7.4 code 1006", frame(0x88, closeBody(1006, "")), "", "", "1002 bad close code 1006"},
		{"7.4 code 1014", frame(0x88, closeBody(1014, "")), "", "", "1014 "},
		{"7.4 code 1014 with a reason", frame(0x88, closeBody(1014, "bad gateway")), "", "", "1014 bad gateway"},
		{"7.4 code 1014 with the longest", frame(0x88, closeBody(1014, x[:123])), "", "", "1014 " + x[:123]},
		{"7.4 code 1014 in a message", cat(frame(0x01, "half"), frame(0x88, closeBody(1014, "x"))), "", "", "1014 x"},
		{"7.4 code 1014 behind a message", cat(frame(0x82, x[:300]), frame(0x88, closeBody(1014, ""))),
			"binary:" + x[:300], "", "1014 "},
		{"7.4 code 1014 behind a bad frame", cat(frame(0x83, "bad"), frame(0x88, closeBody(1014, "x"))),
			"", "", "1002 bad opcode 3"},
		{"7.4 code 1014, reason not UTF-8", frame(0x88, closeBody(1014, "\xff")),
			"", "", "1002 invalid utf8 payload in close frame"},
		{"7.4 code 1015", frame(0x88, closeBody(1015, "")), "", "", "1002 bad close code 1015"},
		{"7.4 code 2000", frame(0x88, closeBody(2000, "")), "", "", "1002 bad close code 2000"},
		{"7.4 code 2999", frame(0x88, closeBody(2999, "")), "", "", "1002 bad close code 2999"},
		{"7.4 code 3000", frame(0x88, closeBody(3000, "")), "", "", "3000 "},
		{"7.4 code 4999", frame(0x88, closeBody(4999, "")), "", "", "4999 "},
		{"7.4 code 5000", frame(0x88, closeBody(5000, "")), "", "", "1002 bad close code 5000"},
		{"10.4 a message over the limit", frame(0x82, strings.Repeat("x", 80001)), "", "", "1009 message too big"},
		{"10.4 fragments over the limit", cat(frame(0x02, x), frame(0x80, x)), "", "", "1009 message too big"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &wireOf{pieces: [][]byte{cat(tt.send, frame(0x81, "after"), frame(0x88, closeBody(1000, "done")))}}
			messages, end := w.serve(t, 80000)
			if tt.closes == "" { // it goes on
				tt.messages, tt.closes = strings.TrimPrefix(tt.messages+",text:after", ","), "1000 done"
			}
			if got := strings.Join(messages, ","); got != tt.messages {
				t.Errorf("messages %.200q, want %.200q", got, tt.messages)
			}
			why := map[string]outbox.Why{"1002": outbox.WhyProtocol, "1007": outbox.WhyBadText,
				"1009": outbox.WhyTooBig}[tt.closes[:4]]
			if got := strings.TrimSpace(fmt.Sprint(end.Code, " ", end.Reason)); got != strings.TrimSpace(tt.closes) ||
				end.ByPeer != (why == "") || why != "" && end.Why != why {
				t.Errorf("%+v, want %s", end, tt.closes)
			}
			pongs, closes := w.replies(t)
			if got := strings.Join(pongs, ","); got != tt.pongs || closes != tt.closes {
				t.Errorf("pongs %.200q, closes with %.200q; want %.200q, %.200q", got, closes, tt.pongs, tt.closes)
			}
		})
	}
}

// TestFramesInPieces: messages, pongs and the end are the same however a client's bytes are cut into frames and reads.
func TestFramesInPieces(tb *testing.T) {
	rapid.Check(tb, func(t *rapid.T) {
		var wire []byte
		var want, pings []string
		ping := func() {
			p := rapid.StringN(0, 20, maxControl).Draw(t, "ping")
			wire = append(wire, frame(final|opPing, p)...)
			pings = append(pings, p)
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
		wire = slices.Concat(wire, frame(final|opClose, closeBody(1000, "bye")), frame(final|opText, "after it"))
		w := &wireOf{}
		for most := rapid.SampledFrom([]int{1, 7, 200, 1 << 17}).Draw(t, "most"); len(wire) > 0; {
			n := min(len(wire), rapid.IntRange(1, most).Draw(t, "read"))
			w.pieces, wire = append(w.pieces, wire[:n]), wire[n:]
		}
		got, end := w.serve(tb, 1<<20)
		if !slices.Equal(got, want) {
			t.Fatalf("%d messages %.100q, want %d", len(got), got, len(want))
		}
		if want := (outbox.CloseInfo{Code: 1000, Reason: "bye", Clean: true, ByPeer: true,
			Why: outbox.WhyPeer}); end != want {
			t.Fatalf("%+v, want %+v", end, want)
		}
		if pongs, closes := w.replies(tb); !slices.Equal(pongs, pings) || closes != "1000 bye" {
			t.Fatalf("pongs %q, want %q; closes with %s", pongs, pings, closes)
		}
	})
}
