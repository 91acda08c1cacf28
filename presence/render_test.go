package presence

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// frame is a presence frame as a client reads it.
type frame struct {
	Event   string `json:"event"`
	Channel string `json:"channel"`
	Payload struct {
		Joins  map[string]metas `json:"joins"`
		Leaves map[string]metas `json:"leaves"`
	} `json:"payload"`
}

type metas struct {
	Metas []map[string]any `json:"metas"`
}

func (m metas) conns() []string {
	var out []string
	for _, meta := range m.Metas {
		out = append(out, meta["connection_id"].(string))
	}
	return out
}

func readFrame(t *testing.T, text []byte) (f frame) {
	t.Helper()
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var (
	phone = Meta{ConnID: "id-1", Inc: "n-1", Ref: "ref-1", JoinedAt: 1700000000999, Source: FromEvent, NoState: true,
		Info: `{"name":"A"}`}
	desk = Meta{ConnID: "id-2", Inc: "n-2", Ref: "ref-2", JoinedAt: 1700000001000, Source: FromEvent,
		Info: `{"state":"away"}`}
	bare = Meta{ConnID: "id-3", Inc: "n-2", Ref: "ref-3", JoinedAt: 0, Source: FromScript, NoState: true, Info: `{}`}
)

const (
	phoneText = `{"phx_ref":"ref-1","connection_id":"id-1","state":"online","online_at":1700000000,"name":"A"}`
	deskText  = `{"phx_ref":"ref-2","connection_id":"id-2","online_at":1700000001,"state":"away"}`
	bareText  = `{"phx_ref":"ref-3","connection_id":"id-3","state":"online","online_at":0}`
)

// SPEC: a meta is `phx_ref`, `connection_id`, `state` (default "online"), `online_at` (unix seconds), and the caller's
// own fields; SPEC 6: "users of scripts appear in metas with their fields at top level".
func TestMetaShape(t *testing.T) {
	for want, m := range map[string]Meta{phoneText: phone, deskText: desk, bareText: bare} {
		if got := string(m.AppendJSON(nil)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// SPEC 6: "Users tracked by event handlers appear to scripts with their own fields plus `state` and `user_id` as
// `user_info`"; a script's user_info is what it gave.
func TestUserInfo(t *testing.T) {
	script := Meta{Source: FromScript, NoState: true, Info: `{"id":7,"x":[]}`}
	for _, c := range []struct {
		meta Meta
		want string
	}{
		{phone, `{"user_id":"u\"1","state":"online","name":"A"}`},
		{desk, `{"user_id":"u\"1","state":"away"}`},
		{script, `{"id":7,"x":[]}`},
		{Meta{Source: FromEvent, NoState: true, Info: `{}`}, `{"user_id":"u\"1","state":"online"}`},
	} {
		if got := string(c.meta.UserInfo(`u"1`)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// SPEC 1.2: the frames, "exactly".
func TestRenderState(t *testing.T) {
	if got, want := string(renderState("room:1",
		&Replica{})), `{"event":"presence_state","channel":"room:1","payload":{}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var users Replica
	users.users.put(&User{ID: "a", Metas: []Meta{phone, desk}})
	want := `{"event":"presence_state","channel":"a\"b\\\u0001ü","payload":{"a":{"metas":[` + phoneText + `,` + deskText +
		`]}}}`
	if got := string(renderState("a\"b\\\x01ü", &users)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	users.users.put(&User{ID: "b", Metas: []Meta{bare}})
	var f struct {
		Payload map[string]metas `json:"payload"`
	}
	if err := json.Unmarshal(renderState("c", &users), &f); err != nil {
		t.Fatal(err)
	}
	if got := sorted(f.Payload); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("users %v", got)
	}
}

// SPEC 1.2: "`joins`, `leaves`, `payload` are objects also when empty".
func TestRenderDiff(t *testing.T) {
	one, both := &User{ID: "a", Metas: []Meta{phone}}, &User{ID: "a", Metas: []Meta{phone, desk}}
	other := &User{ID: "<b>", Metas: []Meta{bare}}
	const head = `{"event":"presence_diff","channel":"C","payload":{"joins":{`
	for _, c := range []struct {
		name           string
		told           []told
		plain, devices string
	}{
		{"nothing", nil, "", ""},
		{"a join", []told{{Transition: Transition{Before: nil, After: one}, cut: true}},
			head + `"a":{"metas":[` + phoneText + `]}},"leaves":{}}}`, "same"},
		{"a leave", []told{{Transition: Transition{Before: other, After: nil}, cut: true}},
			head + `},"leaves":{"<b>":{"metas":[` + bareText + `]}}}}`, "same"},
		{"a second device", []told{{Transition: Transition{Before: one, After: both}}}, "",
			head + `"a":{"metas":[` + phoneText + `,` + deskText + `]}},"leaves":{}}}`},
		{"a leave and a second device",
			[]told{{Transition: Transition{Before: one, After: both}},
				{Transition: Transition{Before: other, After: nil}, cut: true}},
			head + `},"leaves":{"<b>":{"metas":[` + bareText + `]}}}}`,
			head + `"a":{"metas":[` + phoneText + `,` + deskText + `]}},"leaves":{"<b>":{"metas":[` + bareText + `]}}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := renderDiff("C", c.told)
			if c.devices == "same" {
				c.devices = c.plain
			}
			if string(f.plain) != c.plain || (f.plain == nil) != (c.plain == "") {
				t.Errorf("plain\ngot  %s\nwant %s", f.plain, c.plain)
			}
			if string(f.devices) != c.devices || (f.devices == nil) != (c.devices == "") {
				t.Errorf("devices\ngot  %s\nwant %s", f.devices, c.devices)
			}
		})
	}
}

func TestEffectOf(t *testing.T) {
	m := func(conn, ref, info string) Meta { return Meta{ConnID: conn, Ref: ref, Info: info} }
	u := func(ms ...Meta) *User { return &User{ID: "u", Metas: ms} }
	for _, c := range []struct {
		name          string
		before, after *User
		cut           bool
		want          outcome
	}{
		{"never here", nil, nil, true, unseen},
		{"came", nil, u(m("1", "r", "{}")), true, joins},
		{"went", u(m("1", "r", "{}")), nil, true, leaves},
		{"unchanged", u(m("1", "r", "{}")), u(m("1", "r", "{}")), true, unseen},
		{"other metadata", u(m("1", "r", "{}")), u(m("1", "r", `{"a":1}`)), false, joins},
		{"second device", u(m("1", "r", "{}")), u(m("1", "r", "{}"), m("2", "s", "{}")), false, devices},
		{"second device and other metadata of the first", u(m("1", "r", "{}")), u(m("1", "r", `{"a":1}`), m("2", "s", "{}")),
			false, joins},
		{"another device after an absence", u(m("1", "r", "{}")), u(m("2", "s", "{}")), true, joins},
		{"another device without one", u(m("1", "r", "{}")), u(m("2", "s", "{}")), false, devices},
		{"the same connection tracked anew after an absence", u(m("1", "r", "{}")), u(m("1", "s", "{}")), true, joins},
		{"one of two tracked anew", u(m("1", "r", "{}"), m("2", "x", "{}")), u(m("1", "s", "{}"), m("2", "x", "{}")), false,
			devices},
	} {
		if got := outcomeOf(told{Transition{Before: c.before, After: c.after}, c.cut}); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// SPEC 1.1: "`join` is sent when a user's first connection enters, `leave` when the last one exits; `update` when
// metadata or state changes"; SPEC 6: "Scripts get no event for a second device."
func TestAppendEvents(t *testing.T) {
	c1, c2, away := device("c1"), device("c2"), device("c1", `{"state":"away"}`)
	u := func(ms ...Meta) *User { return &User{ID: "u", Metas: ms} }
	for _, c := range []struct {
		name          string
		before, after *User
		want          string
	}{
		{"nothing", nil, nil, ""},
		{"first connection", nil, u(c1), "join c1"},
		{"two at once, found by reading", nil, u(c1, c2), "join c1"},
		{"last connection", u(c1), nil, "leave c1"},
		{"two at once, with their node", u(c1, c2), nil, "leave c2"},
		{"second device", u(c1), u(c1, c2), ""},
		{"one of two goes", u(c1, c2), u(c2), ""},
		{"update", u(c1, c2), u(away, c2), "update c1"},
		{"update and a second device at once", u(c1), u(away, c2), "update c1"},
		{"another connection, found by reading", u(c1), u(c2), ""},
	} {
		var got []string
		for _, e := range appendEvents(nil, Transition{Before: c.before, After: c.after}) {
			if e.UserID != "u" {
				t.Errorf("%s: of user %s", c.name, e.UserID)
			}
			got = append(got, e.Type+" "+e.Meta.ConnID)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

// parseFrame and parseState read frames in property tests.
func parseFrame(t interface{ Fatalf(string, ...any) }, text []byte) (f frame) {
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func parseState(t interface{ Fatalf(string, ...any) }, text []byte) map[string]metas {
	var f struct {
		Payload map[string]metas `json:"payload"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f.Payload
}
