package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/presence"
	"rollcall/testkit"
)

// quick is a world without a window: every change is a frame at once, so that the order of frames is certain.
func quick(t *testing.T) (w *world, n1, n2 *node) {
	w = newWorld(t, worldConfig{})
	return w, w.node("n1"), w.node("n2")
}

// SPEC 1.2: "after `track`, to the tracking connection: presence_state … complete, with itself in it; to the others in
// the channel (joined or tracked there): presence_diff".
func TestTrack(t *testing.T) {
	w, n1, n2 := quick(t)
	joined, tracked, script, nowhere := n1.event("joined"), n2.event("tracked"), n2.script("script"), n1.event("nowhere")
	joined.join("room")
	script.join("room")
	tracked.track("room", "t", "")
	tracked.want("room: state t[tracked]")
	joined.want("room: +t[tracked]")
	script.want(`room: join t[tracked] {"user_id":"t","state":"online"}`)
	a := n1.event("a")
	a.track("room", "ann", `{"name":"Ann","state":"away"}`)
	a.want("room: state ann[a{name=Ann state=away}] t[tracked]")
	for _, c := range []*client{joined, tracked} {
		c.want("room: +ann[a{name=Ann state=away}]")
	}
	script.want(`room: join ann[a] {"user_id":"ann","name":"Ann","state":"away"}`)
	nowhere.want()
	w.wantViews("room", "ann[a] t[tracked]")
	must(t, a.Untrack(t.Context(), "room"))
	must(t, a.Untrack(t.Context(), "room"))
	for _, c := range []*client{joined, tracked} {
		c.want("room: -ann[a{name=Ann state=away}]")
	}
	a.want()
	script.want(`room: leave ann[a] {"user_id":"ann","name":"Ann","state":"away"}`)
	w.wantViews("room", "t[tracked]")
}

// SPEC 1.2: the frames, "exactly", down to the bytes.
func TestExactFrames(t *testing.T) {
	_, n1, _ := quick(t)
	c := n1.event("c")
	raw := &rawConn{}
	s := n1.Enter(Member{ID: n1.NewID(), Conn: raw, Route: "/x"})
	must(t, s.Join(t.Context(), `a "room"`))
	c.track(`a "room"`, "u<1>", `{"x":[1,{}]}`)
	testkit.Eventually(t, "the frame came", func() bool { return raw.len() == 1 })
	us, err := n1.Presence(t.Context(), `a "room"`, "")
	must(t, err)
	meta := us[0].Metas[0]
	want := fmt.Sprintf(`{"event":"presence_diff","channel":"a \"room\"","payload":{"joins":{"u<1>":{"metas":[{"phx_ref":"%s","connection_id":"%s","state":"online","online_at":%d,"x":[1,{}]}]}},"leaves":{}}}`,
		meta.Ref, c.id, meta.JoinedAt/1000)
	if got := raw.texts[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if at := time.UnixMilli(meta.JoinedAt); time.Since(at) > time.Minute || time.Since(at) < 0 {
		t.Errorf("online since %v", at)
	}
	must(t, s.SendPresence(t.Context(), "empty"))
	if got, want := raw.texts[1], `{"event":"presence_state","channel":"empty","payload":{}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Exit(Closed, presence.CauseClosed)
}

// SPEC 1.2: "Second device in, or one of several out: no frame"; "a route with presence = "devices" also gets a `joins`
// with the full metas when a second device comes or one of several goes"; SPEC 6: "Scripts get no event for a second
// device."
func TestSecondDevice(t *testing.T) {
	w, n1, n2 := quick(t)
	plain, devices, script := n1.event("plain"), n2.event("devices", true), n1.script("script")
	for _, c := range []*client{plain, devices, script} {
		c.join("room")
	}
	phone, desk := n1.event("phone"), n2.event("desk")
	phone.track("room", "ann", "")
	desk.track("room", "ann", `{"big":true}`)
	desk.want("room: state ann[desk{big=true} phone]")
	phone.want("room: state ann[phone]")
	devices.want("room: +ann[phone]", "room: +ann[desk{big=true} phone]")
	must(t, phone.Untrack(t.Context(), "room"))
	devices.want("room: +ann[desk{big=true}]")
	w.wantViews("room", "ann[desk]")
	phone.track("room", "ann", "")
	phone.want("room: state ann[desk{big=true} phone]")
	devices.want("room: +ann[desk{big=true} phone]")
	desk.Exit(Closed, presence.CauseClosed)
	devices.want("room: +ann[phone]")
	phone.Exit(Closed, presence.CauseClosed)
	devices.want("room: -ann[phone]")
	plain.want("room: +ann[phone]", "room: -ann[phone]")
	script.want(`room: join ann[phone] {"user_id":"ann","state":"online"}`,
		`room: leave ann[phone] {"user_id":"ann","state":"online"}`)
}

// SPEC 1.2: "`set_presence`: `joins` alone with the user's **full** metas and unchanged `phx_ref`s, to all of them, the
// sender included"; "merges state and any other given metadata (json.null deletes a field)"; "without tracking: no
// effect".
func TestSetPresence(t *testing.T) {
	w, n1, n2 := quick(t)
	joined, script, desk, phone := n1.event("joined"), n1.script("script"), n1.event("desk"), n2.event("phone")
	joined.join("room")
	script.join("room")
	desk.track("room", "ann", `{"a":1,"b":2}`)
	phone.track("room", "ann", "")
	desk.want("room: state ann[desk{a=1 b=2}]")
	phone.want("room: state ann[desk{a=1 b=2} phone]")
	refs := func() string {
		us, err := n1.Presence(t.Context(), "room", "")
		must(t, err)
		return us[0].Metas[0].Ref + us[0].Metas[1].Ref
	}
	w.wantViews("room", "ann[desk phone]")
	before := refs()
	desk.set("room", `{"state":"away","a":null,"c":3}`)
	for _, c := range []*client{desk, phone} {
		c.want("room: +ann[desk{b=2 c=3 state=away} phone]")
	}
	joined.want("room: +ann[desk{a=1 b=2}]", "room: +ann[desk{b=2 c=3 state=away} phone]")
	script.want(`room: join ann[desk] {"user_id":"ann","state":"online","a":1,"b":2}`,
		`room: update ann[desk] {"user_id":"ann","b":2,"c":3,"state":"away"}`)
	if after := refs(); after != before {
		t.Error("phx_refs changed")
	}
	desk.set("room", `{"c":3}`) // nothing changes
	desk.track("room", "ann", `{"d":4}`)
	desk.want("room: +ann[desk{d=4} phone]") // no second presence_state
	if after := refs(); after != before {
		t.Error("tracking again changed phx_refs")
	}
	for _, channel := range []string{"room", "elsewhere"} {
		if err := joined.SetPresence(t.Context(), channel, nil); !errors.Is(err, presence.ErrNotTracked) {
			t.Errorf("set_presence without tracking in %s: %v", channel, err)
		}
	}
	if err := desk.SetPresence(t.Context(), "room",
		presence.Fields{"x": json.RawMessage(`"` + strings.Repeat("x", presence.MaxMeta) + `"`)}); !errors.Is(
		err, presence.ErrMetaTooBig) {
		t.Errorf("too much metadata: %v", err)
	}
	phone.want("room: +ann[desk{d=4} phone]")
}

// SPEC 1.2, track: "with another `user_id`: leave, then join".
func TestTrackAsAnother(t *testing.T) {
	w, n1, n2 := quick(t)
	joined, script, c := n2.event("joined"), n2.script("script"), n1.event("c")
	joined.join("room")
	script.join("room")
	c.track("room", "ann", "")
	c.want("room: state ann[c]")
	c.track("room", "bob", "")
	c.want("room: state bob[c]")
	joined.want("room: +ann[c]", "room: -ann[c]", "room: +bob[c]")
	script.want(`room: join ann[c] {"user_id":"ann","state":"online"}`,
		`room: leave ann[c] {"user_id":"ann","state":"online"}`, `room: join bob[c] {"user_id":"bob","state":"online"}`)
	w.wantViews("room", "bob[c]")
	// what cannot be tracked does not cost the present tracking
	if err := c.Track(t.Context(), "room", "cat",
		fieldsOf(t, `{"x":"`+strings.Repeat("x", presence.MaxMeta)+`"}`)); !errors.Is(err, presence.ErrMetaTooBig) {
		t.Errorf("too much metadata: %v", err)
	}
	w.wantViews("room", "bob[c]")
	joined.want()
	c.want()
}

// SPEC 1.2, send_presence: "sends this client a `presence_state` of that channel, tracked or not".
func TestSendPresence(t *testing.T) {
	_, n1, n2 := quick(t)
	a, joined, out := n1.event("a"), n2.event("joined"), n2.event("out")
	a.track("room", "ann", "")
	a.want("room: state ann[a]")
	joined.join("room")
	must(t, joined.SendPresence(t.Context(), "room"))
	must(t, out.SendPresence(t.Context(), "room"))
	must(t, a.SendPresence(t.Context(), "room"))
	for _, c := range []*client{a, joined, out} {
		c.want("room: state ann[a]")
	}
	must(t, a.Untrack(t.Context(), "room"))
	joined.want("room: -ann[a]")
	out.want()
}

// SPEC 1.1: presence.join "does not subscribe. Joining again replaces `user_info` (an update, not a second join)";
// events go to all "subscribed to the channel or … joined its presence, except the connection that caused them".
func TestPresenceJoin(t *testing.T) {
	w, n1, n2 := quick(t)
	a, b, sub, ev := n1.script("a"), n2.script("b"), n1.script("sub"), n2.event("ev")
	sub.join("room")
	ev.join("room")
	join := func(c *client, user, info string) {
		t.Helper()
		must(t, c.PresenceJoin(t.Context(), "room", user, json.RawMessage(info)))
	}
	join(a, "ann", `{"user_id":"ann","n":1}`)
	w.wantViews("room", "ann[a]")
	join(b, "bob", `{"id":"bob"}`)
	a.want(`room: join bob[b] {"id":"bob"}`)
	sub.want(`room: join ann[a] {"n":1,"user_id":"ann"}`, `room: join bob[b] {"id":"bob"}`)
	ev.want("room: +ann[a{n=1 user_id=ann}]", "room: +bob[b{id=bob}]")
	join(a, "ann", `{"user_id":"ann","n":2}`)
	b.want(`room: update ann[a] {"n":2,"user_id":"ann"}`)
	sub.want(`room: update ann[a] {"n":2,"user_id":"ann"}`)
	ev.want("room: +ann[a{n=2 user_id=ann}]")
	a.want() // not told of itself, and sent no presence_state
	a.say("room", "x")
	sub.want("room: x from a")
	ev.want("x")
	a.want()
	must(t, a.Untrack(t.Context(), "room"))
	b.want(`room: leave ann[a] {"n":2,"user_id":"ann"}`)
	sub.want(`room: leave ann[a] {"n":2,"user_id":"ann"}`)
	w.wantViews("room", "bob[b]")
	join(b, "bob", `{"id":"bob","n":3}`)
	sub.want(`room: update bob[b] {"id":"bob","n":3}`)
	a.want()                  // neither joined any more nor subscribed
	late := n1.script("late") // of the same node, and told after them
	late.join("room")
	sub.Leave("room")
	join(b, "bob", `{"id":"bob","n":4}`)
	late.want(`room: update bob[b] {"id":"bob","n":4}`)
	sub.want()
	a.want()
	if err := a.PresenceJoin(t.Context(), "room", "ann", json.RawMessage(`[1]`)); err == nil {
		t.Error("user_info that is no object passes")
	}
	if n := b.frames + a.frames + sub.frames; n != 0 {
		t.Errorf("scripts were sent %d frames", n)
	}
}

// SPEC 6: "Joining again keeps `joined_at`"; SPEC 1.1, list: "oldest first … reads your own writes".
func TestListReadsOwnWrites(t *testing.T) {
	_, n1, n2 := quick(t)
	old := n2.script("old")
	must(t, old.PresenceJoin(t.Context(), "room", "old", json.RawMessage(`{}`)))
	for joined := time.Now().UnixMilli(); time.Now().UnixMilli() == joined; {
		time.Sleep(100 * time.Microsecond) // who joins in the same millisecond is no older
	}
	c := n1.script("c")
	for i := range 50 {
		must(t, c.PresenceJoin(t.Context(), "room", "me", json.RawMessage(fmt.Sprintf(`{"i":%d}`, i))))
		us, err := n1.Presence(t.Context(), "room", "")
		must(t, err)
		if len(us) != 2 || us[0].ID != "old" || us[1].Metas[0].Info != fmt.Sprintf(`{"i":%d}`, i) {
			t.Fatalf("after write %d the list is %+v", i, us)
		}
		if i%10 == 9 {
			must(t, c.Untrack(t.Context(), "room"))
			if got := n1.view("room"); got != "old[old]" {
				t.Fatalf("after leaving the list is %s", got)
			}
		}
	}
	if us, err := n1.Presence(t.Context(), "nobody", ""); err != nil || len(us) != 0 {
		t.Errorf("an empty channel: %v, %v", us, err)
	}
}

// SPEC 1.2: changes close together leave as one diff; join and leave cancel out; "a leave and join become `joins`
// alone".
func TestWindow(t *testing.T) {
	w := newWorld(t, worldConfig{window: time.Second})
	n1, n2 := w.node("n1"), w.node("n2")
	seen, script := n2.event("seen"), n2.script("script")
	seen.join("room")
	script.join("room")
	a, b, brief, mark := n1.event("a"), n1.event("b"), n1.event("brief"), n1.event("mark")
	a.track("room", "ann", "")
	seen.want("room: +ann[a]")
	must(t, a.Untrack(t.Context(), "room"))
	a.track("room", "ann", `{"new":true}`)
	brief.track("room", "brief", "")
	must(t, brief.Untrack(t.Context(), "room"))
	b.track("room", "bob", "")
	b.set("room", `{"x":1}`)
	mark.track("room", "mark", "")
	seen.want("room: +ann[a{new=true}] +bob[b{x=1}] +mark[mark]")
	var events []string
	for _, line := range script.got() {
		kind, _, _ := strings.Cut(strings.TrimPrefix(line, "room: "), "[")
		events = append(events, kind)
	}
	if got, want := strings.Join(events,
		", "), "join ann, leave ann, join ann, join brief, leave brief, join bob, update bob, join mark"; got != want {
		t.Errorf("the script heard %s\nwant %s", got, want)
	}
}

// SPEC 1.2: "what a `presence_state` holds is never told again by a later diff, and no diff older than it comes after
// it".
func TestStateIsNeverRetold(t *testing.T) {
	w := newWorld(t, worldConfig{window: 150 * time.Millisecond})
	n1 := w.node("n1")
	a, b, c, seen := n1.event("a"), n1.event("b"), n1.event("c"), n1.event("seen")
	seen.join("room")
	a.track("room", "ann", "") // all within one window
	b.track("room", "bob", "")
	c.track("room", "cat", "")
	must(t, a.Untrack(t.Context(), "room"))
	seen.want("room: +bob[b] +cat[c]")
	a.want("room: state ann[a]")
	b.want("room: state ann[a] bob[b]", "room: +cat[c] -ann[a]")
	c.want("room: state ann[a] bob[b] cat[c]", "room: -ann[a]")
}

// SPEC 1.2: the client "is always right": many clients of both route kinds on two nodes, random calls, and in the end
// each client's picture is the list.
func TestClientsAreAlwaysRight(t *testing.T) {
	w := newWorld(t, worldConfig{window: 5 * time.Millisecond})
	nodes := []*node{w.node("n1"), w.node("n2")}
	var watchers []*reducer
	for i := range 4 {
		r := &reducer{t: t, devices: i%2 == 1}
		s := nodes[i/2].Enter(Member{ID: nodes[i/2].NewID(), Conn: r, Devices: r.devices})
		must(t, s.Join(t.Context(), "room"))
		must(t, s.SendPresence(t.Context(), "room"))
		watchers = append(watchers, r)
	}
	var wg sync.WaitGroup
	for i := range 12 {
		r := &reducer{t: t, devices: i%3 == 0}
		n := nodes[i%2]
		s := n.Enter(Member{ID: n.NewID(), Conn: r, Devices: r.devices})
		user := fmt.Sprint("user", i%5)
		wg.Go(func() {
			for j := range 25 {
				must(t, s.Track(t.Context(), "room", user, fieldsOf(t, fmt.Sprintf(`{"j":%d}`, j))))
				if j%3 == 1 {
					must(t, s.SetPresence(t.Context(), "room", fieldsOf(t, fmt.Sprintf(`{"set":%d}`, j))))
				}
				if j%4 == 2 || i < 3 && j == 24 {
					must(t, s.Untrack(t.Context(), "room"))
				}
			}
			if i%4 == 3 {
				s.Exit(Closed, presence.CauseClosed)
			}
		})
		if i >= 3 && i%4 != 3 {
			watchers = append(watchers, r)
		}
	}
	wg.Wait()
	for i, r := range watchers {
		testkit.Eventually(t, fmt.Sprintf("client %d is right", i), func() bool {
			final, err := nodes[i%2].Presence(t.Context(), "room", "")
			return err == nil && r.matches(final)
		})
	}
	testkit.Eventually(t, "both nodes agree", func() bool { return nodes[0].view("room") == nodes[1].view("room") })
}

// A presence_state that presence gives again is not made anew, until a change.
func TestStateFrame(t *testing.T) {
	r := &room{h: &Hub{}}
	text := []byte(`{"event":"presence_state"}`)
	first := r.state.of(text)
	if n := testing.AllocsPerRun(10, func() { r.state.of(text) }); n > 0 {
		t.Errorf("%v allocations for the same text", n)
	}
	if again := r.state.of(bytes.Clone(text)); !bytes.Equal(again.Payload(), first.Payload()) {
		t.Errorf("%s and %s", first.Payload(), again.Payload())
	}
	text2 := []byte(`{"event":"presence_state","more":1}`)
	if next := r.state.of(text2); bytes.Equal(next.Payload(), first.Payload()) {
		t.Error("the old frame for another text")
	}
	r.PresenceDiff(&presence.Diff{})
	if r.state.text != nil {
		t.Error("it is kept after a change")
	}
}
