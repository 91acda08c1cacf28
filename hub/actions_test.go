package hub

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/testkit"
)

func act(kind ActionKind, channel string) Action { return Action{Kind: kind, Channel: channel} }

func sayRoom(text string) Action {
	return Action{Kind: ActionBroadcastRoom, Value: Value{Text: text}}
}

// SPEC 1.2, broadcast_room: "to all in the channel joined in this same return, else in the most recently joined one,
// sender included; in no room: no effect"; SPEC 6: "after leaving the newest room falls back to the one joined before
// it; several joined in one return: the last counts".
func TestBroadcastRoom(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	ears := map[string]*client{}
	for _, room := range []string{"a", "b", "c"} {
		ears[room] = n.event("in " + room)
		ears[room].join(room)
	}
	c := n.event("c")
	for _, step := range []struct {
		name    string
		actions []Action
		heard   string // by those in which room
		fails   error
	}{
		{"in no room", []Action{sayRoom("x")}, "", ErrNoRoom},
		{"joined in this return", []Action{act(ActionJoin, "a"), sayRoom("x")}, "a", nil},
		{"the most recently joined", []Action{sayRoom("x")}, "a", nil},
		{"several joined: the last counts", []Action{act(ActionJoin, "b"), act(ActionJoin, "c"), sayRoom("x")}, "c", nil},
		{"joined again in this return", []Action{act(ActionJoin, "a"), sayRoom("x")}, "a", nil},
		{"but that did not make it the newest", []Action{sayRoom("x")}, "c", nil},
		{"after leaving the newest, the one before", []Action{act(ActionLeave, "c"), sayRoom("x")}, "b", nil},
		{"joined and left in one return", []Action{act(ActionJoin, "a"), act(ActionLeave, "a"), sayRoom("x")}, "b", nil},
		{"two joined, one of them left",
			[]Action{act(ActionJoin, "a"), act(ActionJoin, "c"), act(ActionLeave, "c"), sayRoom("x")}, "a", nil},
		{"left and joined again", []Action{act(ActionJoin, "c"), act(ActionLeave, "a"), act(ActionJoin, "a"),
			act(ActionLeave, "c"), sayRoom("x")}, "a", nil},
		{"the newest is left behind it", []Action{sayRoom("x"), act(ActionLeave, "a")}, "a", nil},
		{"other actions name channels",
			[]Action{act(ActionUntrack, "c"), act(ActionSendPresence, "b"), sayRoom("x"), act(ActionJoin, "a")}, "b", nil},
		{"with a channel", []Action{{Kind: ActionBroadcastRoom, Channel: "c", Value: Value{Text: "x"}}}, "c", nil},
		{"all left", []Action{act(ActionLeave, "a"), act(ActionLeave, "b"), sayRoom("x")}, "", ErrNoRoom},
	} {
		errs := c.Do(t.Context(), step.actions)
		if step.fails == nil && len(errs) != 0 || step.fails != nil && (len(errs) != 1 || !isOneOf(errs[0], step.fails)) {
			t.Errorf("%s: %v", step.name, errs)
		}
		for room, ear := range ears {
			ear.say(room, "mark")
			if room == step.heard {
				ear.want("x", "mark")
			} else {
				ear.want("mark")
			}
		}
		c.mu.Lock()
		c.lines = nil
		c.mu.Unlock()
	}
}

// Member.Permit is asked once about each action, and before any runs: the room of a broadcast_room without a channel is
// found then.
func TestPermit(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	c, inAllowed, inDenied := n.event("c"), n.event("in allowed"), n.event("in denied")
	inAllowed.join("allowed")
	inDenied.join("denied")
	denied := errors.New("denied")
	var asked []string
	c.permit = func(v auth.Verb, channel string) error {
		asked = append(asked, v.String()+" "+channel)
		if channel == "denied" {
			return denied
		}
		return nil
	}
	for _, tt := range []struct {
		actions []Action
		asked   string
		refused bool
		heard   []string // in the channel "allowed"
	}{
		{[]Action{sayRoom("in no room")}, "[]", false, nil},
		{[]Action{act(ActionJoin, "allowed"), sayRoom("1"), act(ActionLeave, "denied")},
			"[join allowed publish allowed]", false, []string{"1"}},
		{[]Action{{Kind: ActionBroadcast}}, "[publish ]", false, []string{""}},
		{[]Action{sayRoom("must not be sent"), act(ActionJoin, "denied")}, "[publish allowed join denied]", true, nil},
		{[]Action{{Kind: ActionTrack, Channel: "denied", UserID: "u"}}, "[track denied]", true, nil},
		{[]Action{{Kind: ActionBroadcastChannel, Channel: "denied", Trusted: true, Value: Value{Text: "trusted"}}},
			"[]", false, nil},
		{[]Action{{Kind: ActionJoin, Channel: "denied", Trusted: true}}, "[join denied]", true, nil},
		{[]Action{{Kind: ActionBroadcastRoom, Channel: "denied"}}, "[publish denied]", true, nil},
		{[]Action{sayRoom("2"), act(ActionLeave, "allowed"), sayRoom("nowhere")}, "[publish allowed]", false,
			[]string{"2"}},
	} {
		asked = nil
		errs := c.Do(t.Context(), tt.actions)
		if refused := len(errs) == 1 && errors.Is(errs[0].Err, denied); refused != tt.refused ||
			fmt.Sprint(asked) != tt.asked {
			t.Errorf("%v, asked %v; want %s, refused %v", errs, asked, tt.asked, tt.refused)
		}
		if tt.heard != nil { // different topics have no order
			inAllowed.want(tt.heard...)
			if tt.heard[0] == "" {
				inDenied.want("")
			}
		}
	}
	inDenied.want("trusted")
}

// An action is asked about unless it takes away, only reads, or is about this client alone. So one that is added is
// asked about.
func TestPermitIsAskedAboutAll(t *testing.T) {
	w := newWorld(t, worldConfig{})
	c := w.node("n1").event("c")
	c.permit = func(auth.Verb, string) error { return ErrGone }
	free := []ActionKind{ActionIdentify, ActionUnwatch,
		ActionLeave, ActionUntrack, ActionSetPresence, ActionSend, ActionSendPresence, ActionAfter,
		ActionClose}
	for i := range len(actionNames) + 1 { // and one that nobody knows
		kind := ActionKind(i + 1)
		errs := c.Do(t.Context(), []Action{{Kind: kind, Channel: "c", UserID: "u"}})
		refused := len(errs) == 1 && errors.Is(errs[0].Err, ErrGone)
		if want := !slices.Contains(free, kind); refused != want {
			t.Errorf("action %d is refused: %v, want %v", kind, refused, want)
		}
	}
}

// SPEC 11, jobs: "may return broadcast and broadcast_channel". They have no sender, and what fails keeps no other from
// running.
func TestActionsWithoutAConnection(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	c := n.event("c")
	c.join("room")
	errs := n.Do(t.Context(), []Action{
		{Kind: ActionSend, Value: Value{Text: "to nobody"}},
		{Kind: ActionBroadcastChannel, Channel: "room", Value: Value{Text: "to the room"}},
		{Kind: ActionBroadcastChannel, Channel: "", Value: Value{Text: "nowhere"}},
	})
	if len(errs) != 2 || !errors.Is(errs[0], ErrNoConnection) || !errors.Is(errs[1], ErrBadChannel) {
		t.Errorf("errors %v", errs)
	}
	c.want("to the room")
	errs = n.Do(t.Context(), []Action{{Kind: ActionBroadcast, Value: Value{Text: "to all"}}})
	if len(errs) != 0 {
		t.Errorf("errors %v", errs)
	}
	c.want("to all")
}

// The action after is carried out by who made the session; without that it fails.
func TestActionAfter(t *testing.T) {
	w := newWorld(t, worldConfig{})
	c := w.node("n1").event("c")
	after := []Action{{Kind: ActionAfter, Timer: &Timer{Name: "t", Wait: time.Second, Data: "1"}}}
	if errs := c.Do(t.Context(), after); len(errs) != 1 || !errors.Is(errs[0], ErrNoTimers) {
		t.Errorf("errors %v", errs)
	}
	var set []Timer
	c.setTimer = func(x Timer) error { set = append(set, x); return nil }
	if errs := c.Do(t.Context(), after); len(errs) != 0 || !slices.Equal(set, []Timer{{"t", time.Second, "1", false}}) {
		t.Errorf("errors %v, set %v", errs, set)
	}
}

// SPEC 1.2: "Actions of one return run one after another in the order of this table, each complete before the next"; an
// action that fails keeps no other from running.
func TestActionsInOrder(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	c, other := n.event("c"), n.event("other")
	other.join("room")
	errs := c.Do(t.Context(), []Action{
		act(ActionLeave, "nowhere"), act(ActionJoin, "room"), act(ActionUntrack, "nowhere"),
		{Kind: ActionTrack, Channel: "room", UserID: "ann"},
		{Kind: ActionTrack, Channel: "room", UserID: ""},
		{Kind: ActionSetPresence, Channel: "room", Fields: fieldsOf(t, `{"state":"busy"}`)},
		{Kind: ActionSetPresence, Channel: "nowhere"},
		{Kind: ActionSend, Value: Value{Text: "to you"}},
		act(ActionSendPresence, "room"),
		sayRoom("to all here"),
		{Kind: ActionBroadcastChannel, Channel: "room", Value: Value{Text: `{"n":1}`, JSON: true}},
		{Kind: ActionClose, Code: 4001, Reason: "done"},
	})
	if len(errs) != 2 || errs[0].Action.Kind != ActionTrack || errs[1].Action.Kind != ActionSetPresence {
		t.Errorf("errors %v", errs)
	}
	c.want("room: state ann[c]", "room: +ann[c{state=busy}]", "to you", "room: state ann[c{state=busy}]", "to all here",
		`{"n":1}`)
	other.want("room: +ann[c]", "room: +ann[c{state=busy}]", "to all here", `{"n":1}`)
	if c.closed != "4001 done" {
		t.Errorf("closed with %q", c.closed)
	}
	c.refuse = true
	if errs := c.Do(t.Context(), []Action{{Kind: ActionSend}, act(ActionJoin, "x")}); len(errs) != 1 ||
		!isOneOf(errs[0], outbox.ErrClosed) {
		t.Errorf("send to a closed socket: %v", errs)
	}
	c.Exit(Closed, presence.CauseClosed)
	if errs := c.Do(t.Context(), []Action{act(ActionJoin, "x")}); len(errs) != 1 || !isOneOf(errs[0], ErrGone) {
		t.Errorf("join after exit: %v", errs)
	}
	everyone := []Action{{Kind: ActionBroadcast, Value: Value{Text: "everyone"}}}
	testkit.Eventually(t, "a broadcast to everyone",
		func() bool { return len(other.Do(t.Context(), everyone)) == 0 && len(other.got()) > 0 })
}
