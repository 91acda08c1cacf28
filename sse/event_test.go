package sse

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/outbox"
)

func TestEvent(t *testing.T) {
	tests := map[string]struct{ text, id, want string }{
		"a line":         {"hello", "", "data: hello\n\n"},
		"with an id":     {"hello", "e30", "data: hello\nid: e30\n\n"},
		"nothing":        {"", "", "data: \n\n"},
		"two lines":      {"a\nb", "1", "data: a\ndata: b\nid: 1\n\n"},
		"a line end":     {"\n", "", "data: \ndata: \n\n"},
		"all line ends":  {"a\r\nb\rc\nd", "", "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		"CR, CR, LF":     {"a\r\r\nb", "", "data: a\ndata: \ndata: b\n\n"},
		"fields in data": {"id: 7\nevent: e\n\nretry: 1", "", "data: id: 7\ndata: event: e\ndata: \ndata: retry: 1\n\n"},
		"a space leads":  {" x", "", "data:  x\n\n"},
	}
	for name, tt := range tests {
		if got := event(tt.text, tt.id); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// dataOf reads one event as WHATWG HTML, 9.2.6, says.
func dataOf(wire string) (data, id string, err error) {
	body, ok := strings.CutSuffix(wire, "\n\n")
	if !ok || strings.Contains(body, "\n\n") || strings.Contains(body, "\r") {
		return "", "", fmt.Errorf("%q is not one event", wire)
	}
	var lines []string
	for line := range strings.SplitSeq(body, "\n") {
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "data":
			lines = append(lines, value)
		case "id":
			id = value
		default:
			return "", "", fmt.Errorf("a line %q", line)
		}
	}
	return strings.Join(lines, "\n"), id, nil
}

// A client makes of an event the text that was sent, with line ends of one kind, and never another event or field. The
// event is no longer than it was reckoned: else it could overrun the outbox.
func TestEventIsReadAsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := []string{"\n", "\r", "\r\n", "data", ": ", "id: 1", "", " ", "ü", `{"a":1}`}
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom(parts)).Draw(t, "text"), "")
		place := &outbox.ResumePoint{Channel: rapid.StringN(1, 20, 80).Draw(t, "channel"), Position: "1700000000000-17"}
		s := &stream{heard: func(p *outbox.ResumePoint) string { return strings.Repeat("i", len(p.Channel)+len(p.Position)) }}
		f := outbox.NewFrame(text, 0)
		placed := rapid.Bool().Draw(t, "placed")
		if placed {
			f = f.At(place)
		}
		size, wire := s.Size(f), s.Encode(f)
		data, id, err := dataOf(wire)
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
		if err != nil || data != want || (id != "") != placed {
			t.Fatalf("%q of %q: %q, id %q, %v", wire, text, data, id, err)
		}
		if len(wire) > size {
			t.Fatalf("%q has %d bytes, %d were reckoned", wire, len(wire), size)
		}
	})
}

// What is dropped counts when it would have carried something.
func TestEventsAreData(t *testing.T) {
	s := &stream{header: "HTTP/1.1 200 OK\r\n\r\n", refuse: func(int, string) string { return "HTTP/1.1 503 …\r\n\r\n" }}
	for _, text := range []string{"x", "", "\n", ":"} {
		if wire := s.Encode(outbox.NewFrame(text, 0)); !s.IsData(wire) {
			t.Errorf("%q is no data", wire)
		}
	}
	refused := s.Farewell(outbox.CloseInfo{Status: 503})
	early := s.Farewell(outbox.CloseInfo{Code: 1013, Reason: "data: "})
	s.begun = true
	for _, wire := range []string{s.header, s.Ping(), refused, early, s.Farewell(outbox.CloseInfo{Code: 1013})} {
		if s.IsData(wire) {
			t.Errorf("%q is data", wire)
		}
	}
}

// Streams whose clients stand at one place share the event; where they stand at others, each gets its own id. A frame
// without a place has no id, and on a route without resume none has.
func TestIDs(t *testing.T) {
	at := &outbox.ResumePoint{Channel: "room:1", Position: "1-1"}
	placed, plain := outbox.NewFrame("x", 0).At(at), outbox.NewFrame("x", 0)
	calls := 0
	with := func(id string) *stream {
		return &stream{heard: func(p *outbox.ResumePoint) string {
			if calls++; p != at {
				t.Errorf("heard %+v", p)
			}
			return id
		}}
	}
	for _, tt := range []struct {
		s     *stream
		f     outbox.Frame
		want  string
		calls int
	}{
		{with("a"), placed, "data: x\nid: a\n\n", 1},
		{with("a"), placed, "data: x\nid: a\n\n", 2},
		{with("b"), placed, "data: x\nid: b\n\n", 3},
		{with("a"), plain, "data: x\n\n", 3},
		{&stream{}, placed, "data: x\n\n", 3},
	} {
		if got := tt.s.Encode(tt.f); got != tt.want || calls != tt.calls {
			t.Errorf("%q after %d calls, want %q after %d", got, calls, tt.want, tt.calls)
		}
	}
	shared := outbox.NewFrame("x", 0).At(at)
	with("a").Encode(shared)
	if made := shared.Once("a", func() string { return "made again" }); made != "data: x\nid: a\n\n" {
		t.Errorf("streams at one place do not share the event: %q", made)
	}
}

func TestFarewell(t *testing.T) {
	refuse := func(status int, reason string) string { return fmt.Sprint(status, " ", reason) }
	for _, tt := range []struct {
		begun bool
		info  outbox.CloseInfo
		want  string
	}{
		{true, outbox.CloseInfo{Code: 1012, Reason: "come again"}, ": 1012 come again\n\n"},
		{true, outbox.CloseInfo{Code: 1001}, ": 1001\n\n"},
		{true, outbox.CloseInfo{Code: 1000, Reason: "a\r\ndata: b\n\n"}, ": 1000 a  data: b\n\n"},
		{true, outbox.CloseInfo{Code: 1011, Reason: "failed"}, ": 1011 failed\n\n"},
		{false, outbox.CloseInfo{Code: 4403, Reason: "no", Status: 403}, "403 no"},
		{false, outbox.CloseInfo{Code: 1011, Reason: "raised"}, "500 raised"},
		{false, outbox.CloseInfo{Code: 1001, Reason: "bye"}, "HEAD: 1001 bye\n\n"},
	} {
		s := &stream{header: "HEAD", refuse: refuse, begun: tt.begun}
		if got := s.Farewell(tt.info); got != tt.want {
			t.Errorf("%+v, begun %v: %q, want %q", tt.info, tt.begun, got, tt.want)
		}
	}
}
