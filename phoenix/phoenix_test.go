package phoenix

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVersionOf(t *testing.T) {
	for vsn, want := range map[string]Version{"": V1, "1.0.0": V1, "2.0.0": V2, "2.0.1": V2, "2": 0, "2.1.0": 0,
		"3.0.0": 0, "x": 0} {
		if v, ok := VersionOf(vsn); v != want || ok != (want != 0) {
			t.Errorf("%q: %v, %v", vsn, v, ok)
		}
	}
}

func TestDecodeText(t *testing.T) {
	for _, c := range []struct {
		v     Version
		frame string
		want  Message
	}{
		{V2, `["1","2","t","e",{"a":1}]`, Message{JoinRef: `"1"`, Ref: `"2"`, Topic: "t", Event: "e", Payload: `{"a":1}`}},
		{V2, ` [ null , 2.50, "t\u00e9", "e", null, "more", {} ] `,
			Message{JoinRef: None, Ref: "2.50", Topic: "té", Event: "e", Payload: "null"}},
		{V2, `[1,null,"","",[]]`, Message{JoinRef: "1", Ref: None, Payload: "[]"}},
		{V2, `["1","2","t","e",{"a":1,"a":2}]`,
			Message{JoinRef: `"1"`, Ref: `"2"`, Topic: "t", Event: "e", Payload: `{"a":1,"a":2}`}},
		{V1, `{"ref":1,"payload":{},"event":"e","topic":"t"}`,
			Message{JoinRef: None, Ref: "1", Topic: "t", Event: "e", Payload: "{}"}},
		{V1, `{"topic":"t","event":"e","payload":"p","ref":null,"join_ref":"7","more":[{}]}`,
			Message{JoinRef: `"7"`, Ref: None, Topic: "t", Event: "e", Payload: `"p"`}},
	} {
		m, err := c.v.DecodeText([]byte(c.frame))
		if err != nil || m.JoinRef != c.want.JoinRef || m.Ref != c.want.Ref || m.Topic != c.want.Topic ||
			m.Event != c.want.Event || m.Payload != c.want.Payload {
			t.Errorf("%s: %+v, %v", c.frame, m, err)
		}
	}
	for _, c := range []struct {
		v      Version
		frames []string
	}{
		{V2, []string{``, `null`, `{}`, `[]`, `["1","2","t","e"]`, `["1","2","t","e",{}`, `["1","2","t","e",{}] 1`,
			`[[],"2","t","e",{}]`, `["1",false,"t","e",{}]`, `["1","2",null,"e",{}]`, `["1","2","t",1,{}]`,
			`["1","2","t","e",{},]`, `["1","2","t","e",x]`, `["1","` + strings.Repeat("r", 254) + `","t","e",{}]`,
			"[\"1\",\"2\",\"\xff\",\"e\",{}]"}},
		{V1, []string{``, `[]`, `{"topic":"t","event":"e","payload":{}}`, `{"topic":"t","event":"e","ref":1}`,
			`{"topic":"t","payload":{},"ref":1}`, `{"event":"e","payload":{},"ref":1}`,
			`{"topic":1,"event":"e","payload":{},"ref":1}`, `{"topic":"t","event":"e","payload":{},"ref":[]}`,
			`{"topic":"t","event":"e","payload":{},"ref":1,"join_ref":{}}`, `{"topic":"t","event":"e","payload":{},"ref":1`}},
	} {
		for _, frame := range c.frames {
			if m, err := c.v.DecodeText([]byte(frame)); !errors.Is(err, ErrFrame) {
				t.Errorf("%d %s passes as %+v, %v", c.v, frame, m, err)
			}
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	m, err := V2.DecodeBinary([]byte("\x00\x01\x01\x01\x0212tev\xff\x00"))
	if err != nil || m.JoinRef != `"1"` || m.Ref != `"2"` || m.Topic != "t" || m.Event != "ev" || !m.Binary ||
		string(m.Data) != "\xff\x00" {
		t.Errorf("push: %+v, %v", m, err)
	}
	if m, err = V2.DecodeBinary([]byte("\x00\x00\x00\x01\x01te")); err != nil || m.JoinRef != None || m.Ref != None {
		t.Errorf("without refs: %+v, %v", m, err)
	}
	m, err = V2.DecodeBinary([]byte("\x03\x01\x01\x01\x03\x02\x01" + `12tear{}` + `{"a":[1]}`))
	if want := `{"type":"broadcast","event":"ear","payload":{"a":[1]}}`; err != nil || m.Payload != want ||
		m.Event != "broadcast" || m.Binary || m.Data != nil {
		t.Errorf("broadcast: %+v, %v", m, err)
	}
	m, err = V2.DecodeBinary([]byte("\x03\x01\x01\x01\x03\x00\x00" + `12tear` + "\xff"))
	if want := `{"type":"broadcast","event":"ear"}`; err != nil || m.Payload != want || string(m.Data) != "\xff" {
		t.Errorf("broadcast of bytes: %+v, %v", m, err)
	}
	for frame, want := range map[string]error{"": ErrFrame, "\x01": ErrFrame, "\x02\x01\x01te": ErrFrame, "\x00": ErrFrame,
		"\x00\x01\x01\x01\x0512te": ErrFrame, "\x00\x00\x00\x01\x01\xffe": ErrUTF8, "\x03\x00\x00\x01\x01\x00": ErrFrame,
		"\x03\x00\x00\x01\x01\x00\x01te{": ErrFrame, "\x03\x00\x00\x01\x01\x00\x01te\"\xff\"": ErrUTF8} {
		if m, err := V2.DecodeBinary([]byte(frame)); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", frame, m, err)
		}
	}
	if _, err := V1.DecodeBinary([]byte("\x00\x01\x01\x01\x0212tev")); !errors.Is(err, ErrFrame) {
		t.Errorf("object frames have no binary: %v", err)
	}
}

// What a message means, row by row of docs/phoenix.md.
func TestMeaning(t *testing.T) {
	for _, c := range []struct {
		m      Message
		joined bool
		joins  int
		want   Meaning
	}{
		{Message{Topic: "phoenix", Event: "heartbeat", JoinRef: None}, false, 0, Heartbeat},
		{Message{Topic: "phoenix", Event: "other"}, false, 0, Unmatched},
		{Message{Topic: "t", Event: "heartbeat", JoinRef: `"1"`}, true, 1, Event},
		{Message{Topic: "t", Event: "phx_join", JoinRef: `"1"`}, false, 127, Join},
		{Message{Topic: "t", Event: "phx_join", JoinRef: `"1"`}, false, 128, TooMany},
		{Message{Topic: "t", Event: "phx_join", JoinRef: `"2"`}, true, 128, Join},
		{Message{Topic: "t", Event: "phx_leave", JoinRef: `"1"`}, true, 1, Leave},
		{Message{Topic: "t", Event: "phx_leave", JoinRef: None}, true, 1, Leave},
		{Message{Topic: "t", Event: "phx_leave", JoinRef: `"2"`}, true, 1, Nothing},
		{Message{Topic: "t", Event: "phx_leave", JoinRef: `"2"`}, false, 1, LeaveNone},
		{Message{Topic: "t", Event: "e", JoinRef: `"2"`}, true, 1, Nothing},
		{Message{Topic: "t", Event: "e", JoinRef: `1`}, true, 1, Nothing},
		{Message{Topic: "t", Event: "e", JoinRef: None}, true, 1, Event},
		{Message{Topic: "t", Event: "e", JoinRef: `"1"`}, false, 1, Unmatched},
		{Message{Topic: "t", Event: "phx_reply", JoinRef: `"1"`}, true, 1, Nothing},
		{Message{Topic: "t", Event: "presence_diff", JoinRef: `"1"`}, true, 1, Nothing},
		{Message{Topic: "t", Event: "", JoinRef: `"1"`}, true, 1, BadEvent},
		{Message{Topic: "t", Event: strings.Repeat("e", 256), JoinRef: `"1"`}, true, 1, BadEvent},
		{Message{Topic: "t", Event: strings.Repeat("e", 255), JoinRef: `"1"`}, true, 1, Event},
	} {
		if got := c.m.Meaning(c.joined, `"1"`, c.joins); got != c.want {
			t.Errorf("%+v, joined %v, of %d: %d, want %d", c.m, c.joined, c.joins, got, c.want)
		}
	}
}

func TestFrames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(V2.Reply(`"1"`, "2", `t"`, OK, "[]")), `["1",2,"t\"","phx_reply",{"status":"ok","response":[]}]`},
		{string(V1.Reply(`"1"`, "2", "t", Error, `{}`)),
			`{"topic":"t","event":"phx_reply","payload":{"status":"error","response":{}},"ref":2}`},
		{string(V2.Push("1", "t", `"e"`, `{}`)), `[1,null,"t","e",{}]`},
		{string(V1.Push("1", "t", `"e"`, `{}`)), `{"topic":"t","event":"e","payload":{},"ref":null}`},
		{string(V2.Close(`"1"`, "t")), `["1","1","t","phx_close",{}]`},
		{string(V1.Close(None, "t")), `{"topic":"t","event":"phx_close","payload":{},"ref":null}`},
		{string(V2.Crash("1", "t")), `[1,1,"t","phx_error",{"reason":"channel_crash"}]`},
		{string(V2.Broadcast("t", Value{Text: "5", JSON: true})), `[null,null,"t","message",{"data":5}]`},
		{string(V1.Broadcast("t", Named(`"e"`, `{}`))), `{"topic":"t","event":"e","payload":{},"ref":null}`},
	} {
		if c.got != c.want {
			t.Errorf("got %s\nwant %s", c.got, c.want)
		}
	}
	frame, ok := BinaryReply(`"1"`, "22", "t", OK, []byte("\xff"))
	if want := "\x01\x01\x02\x01\x02122tok\xff"; !ok || string(frame) != want {
		t.Errorf("%q, %v", frame, ok)
	}
	if _, ok := BinaryReply(None, None, strings.Repeat("t", 256), OK, nil); ok {
		t.Error("a topic of 256 bytes fits")
	}
}

// The rule by which one room serves all kinds of client.
func TestEventOf(t *testing.T) {
	for _, c := range []struct {
		value          Value
		event, payload string
	}{
		{Value{Text: `{"event":"e","payload":{"a":1}}`, JSON: true}, `"e"`, `{"a":1}`},
		{Value{Text: `{"payload":{},"event":"e"}`, JSON: true}, `"e"`, `{}`},
		{Value{Text: " { \"event\" : \"e\\u0041\" ,\n\"payload\":{ \"a\" : [ 1 ] } } "}, `"e\u0041"`, `{"a":[1]}`},
		{Named(`"a\"b"`, `{"x":"}"}`), `"a\"b"`, `{"x":"}"}`},
		{Value{Text: `{"event":"e","payload":{},"more":1}`, JSON: true}, `"message"`,
			`{"event":"e","payload":{},"more":1}`},
		{Value{Text: `{"event":"e","event":"f","payload":{}}`, JSON: true}, `"message"`,
			`{"event":"e","event":"f","payload":{}}`},
		{Value{Text: `{"event":"e"}`, JSON: true}, `"message"`, `{"event":"e"}`},
		{Value{Text: `{"event":1,"payload":{}}`, JSON: true}, `"message"`, `{"event":1,"payload":{}}`},
		{Value{Text: `{"event":"","payload":{}}`, JSON: true}, `"message"`, `{"event":"","payload":{}}`},
		{Value{Text: `{"event":"phx_close","payload":{}}`}, `"message"`, `{"event":"phx_close","payload":{}}`},
		{Value{Text: `{"event":"\u0070hx_close","payload":{}}`}, `"message"`, `{"event":"\u0070hx_close","payload":{}}`},
		{Value{Text: `{"event":"presence_state","payload":{}}`}, `"message"`, `{"event":"presence_state","payload":{}}`},
		{Value{Text: `{"event":"e","payload":{}} x`}, `"message"`, `{"data":"{\"event\":\"e\",\"payload\":{}} x"}`},
		{Value{Text: "{ \"a\": 1 }"}, `"message"`, `{"a":1}`},
		{Value{Text: `[1]`, JSON: true}, `"message"`, `{"data":[1]}`},
		{Value{Text: `[1]`}, `"message"`, `{"data":"[1]"}`},
		{Value{Text: "text"}, `"message"`, `{"data":"text"}`},
		{Value{Text: "null", JSON: true}, `"message"`, `{"data":null}`},
	} {
		if event, payload := c.value.EventOf(); event != c.event || payload != c.payload {
			t.Errorf("%+v: %s %s, want %s %s", c.value, event, payload, c.event, c.payload)
		}
	}
}

func TestCompare(t *testing.T) {
	a1, a2, b := MetaOf("a", `"s":1}`), MetaOf("a", `"s":2}`), MetaOf("b", `"s":1}`)
	if a1.Ref == a2.Ref || a1 != MetaOf("a", `"s":1}`) || !strings.HasPrefix(a1.Ref, "a.") {
		t.Fatalf("refs %q %q", a1.Ref, a2.Ref)
	}
	text := func(m Meta, prev string) string { return string(m.append(nil, prev)) }
	user := func(metas ...string) string { return `"u":{"metas":[` + strings.Join(metas, ",") + `]}` }
	for _, c := range []struct {
		told, now     []Meta
		joins, leaves string
	}{
		{nil, []Meta{a1}, user(text(a1, "")), ""},
		{[]Meta{a1}, nil, "", user(text(a1, ""))},
		{[]Meta{a1}, []Meta{a1, b}, user(text(b, "")), ""},
		{[]Meta{a1, b}, []Meta{b}, "", user(text(a1, ""))},
		{[]Meta{a1, b}, []Meta{a2, b}, user(text(a2, a1.Ref)), user(text(a1, ""))},
		{[]Meta{a1}, []Meta{b}, user(text(b, "")), user(text(a1, ""))},
		{[]Meta{a1, b}, []Meta{b, a1}, "", ""},
		{nil, nil, "", ""},
	} {
		got, changed := Compare("u", c.told, c.now)
		if got != (Change{c.joins, c.leaves}) || changed != (c.joins+c.leaves != "") {
			t.Errorf("%v to %v: %+v, %v", c.told, c.now, got, changed)
		}
	}
	if got := DiffPayload([]Change{{Joins: `"a":1`}, {Leaves: `"b":2`}, {Joins: `"c":3`}}); got !=
		`{"joins":{"a":1,"c":3},"leaves":{"b":2}}` {
		t.Error(got)
	}
	if got := DiffPayload(nil); got != `{"joins":{},"leaves":{}}` {
		t.Error(got)
	}
}

// Whatever comes: no panic, and what passes as a message can be answered with frames that are JSON.
func FuzzDecode(f *testing.F) {
	for _, frame := range []string{`["1","2","t","e",{"a":1}]`, `[null,1,"t","e",null,{}]`,
		`{"topic":"t","event":"e","payload":{},"ref":1}`, "\x00\x01\x01\x01\x0112te\xff",
		"\x03\x01\x01\x01\x01\x00\x0112te{}", `{"event":"e","payload":{"a":[]}}`, "\x03\x00\x00\x01\x01\x00\x00te"} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, v := range []Version{V1, V2} {
			for _, decode := range []func([]byte) (Message, error){v.DecodeText, v.DecodeBinary} {
				m, err := decode(frame)
				if err != nil {
					if !errors.Is(err, ErrFrame) && !errors.Is(err, ErrUTF8) {
						t.Fatal(err)
					}
					continue
				}
				m.Meaning(true, m.JoinRef, 1)
				wantJSON(t, v.Reply(m.JoinRef, m.Ref, m.Topic, OK, "{}"))
				wantJSON(t, v.Close(m.JoinRef, m.Topic))
				if !m.Binary {
					wantJSON(t, []byte(m.Payload))
				}
				if _, ok := BinaryReply(m.JoinRef, m.Ref, m.Topic, OK, m.Data); !ok && m.Binary {
					t.Fatalf("no reply in kind to %+v", m)
				}
			}
		}
		if !utf8.Valid(frame) {
			return
		}
		value := Value{Text: string(frame), JSON: json.Valid(frame)}
		wantJSON(t, V2.Broadcast("t", value))
		if event, payload, ok := value.Split(); ok {
			if e, p := Named(event, payload).EventOf(); e != event || p != payload {
				t.Fatalf("%s %s reads as %s %s", event, payload, e, p)
			}
		}
	})
}

func wantJSON(t *testing.T, frame []byte) {
	t.Helper()
	if !json.Valid(frame) || !utf8.Valid(frame) {
		t.Fatalf("no JSON: %q", frame)
	}
}
