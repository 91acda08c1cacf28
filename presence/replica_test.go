package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// device is a meta for tests: its phx_ref and time follow from the connection id.
func device(conn string, info ...string) Meta {
	m := Meta{ConnID: conn, Inc: "n-1", Ref: "ref-" + conn, JoinedAt: int64(conn[len(conn)-1]) * 1000, Source: FromEvent,
		NoState: true, Info: "{}"}
	if len(info) > 0 {
		m.Info = info[0]
	}
	return m
}

func user(id string, seq int64, metas ...Meta) User { return User{ID: id, Seq: seq, Metas: metas} }

func change(epoch string, seq int64, gone string, users ...User) *Change {
	c := &Change{Epoch: epoch, Seq: seq, Op: OpJoin, Users: users}
	if gone != "" {
		c.Op = OpReap
		c.Gone = strings.Fields(gone)
	}
	for i := range c.Users {
		c.Users[i].Seq = seq
	}
	return c
}

func snapshot(epoch string, seq int64, users ...User) *Snapshot {
	s := &Snapshot{Epoch: epoch, Seq: seq, End: seq, Users: map[string]*User{}}
	for _, u := range users {
		s.Users[u.ID] = &u
	}
	return s
}

// show writes users as "a[c1 c2] b[c3]".
func show(us []*User) string {
	var out []string
	for _, u := range us {
		out = append(out, showUser(u))
	}
	return strings.Join(out, " ")
}

func showUser(u *User) string {
	if u == nil {
		return "-"
	}
	var conns []string
	for _, m := range u.Metas {
		text := m.ConnID
		if m.Info != "{}" {
			text += m.Info
		}
		conns = append(conns, text)
	}
	return u.ID + "[" + strings.Join(conns, " ") + "]"
}

// showTransitions writes "a: before > after", by user.
func showTransitions(ts []Transition) string {
	var out []string
	for _, t := range ts {
		out = append(out, t.ID()+": "+strings.TrimPrefix(showUser(t.Before), t.ID())+" > "+
			strings.TrimPrefix(showUser(t.After), t.ID()))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// step is one call on a replica, and what it must give.
type step struct {
	change *Change
	reset  *Snapshot
	hold   int64 // of reset
	expire int64
	gap    bool   // Apply must refuse
	told   string // transitions
	view   string // afterwards
}

// DESIGN 3: "The replica is a pure value … Apply(change) and Reset(snapshot) return the diff", "apply changes with
// seq = last + 1. Anything else is a gap", "users missing from the new snapshot are held back for one lease time".
func TestReplica(t *testing.T) {
	a1, a2, b3 := device("c1"), device("c2"), device("c3")
	away := device("c1", `{"state":"away"}`)
	moved := a1
	moved.Inc = "n-2"
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a history from its beginning", []step{
			{change: change("e", 1, "", user("a", 0, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: change("e", 2, "", user("a", 0, a1, a2)), told: "a: [c1] > [c1 c2]", view: "a[c1 c2]"},
			{change: change("e", 3, "", user("b", 0, b3)), told: "b: - > [c3]", view: "a[c1 c2] b[c3]"},
			{change: change("e", 4, "", user("a", 0, away, a2)), told: `a: [c1 c2] > [c1{"state":"away"} c2]`,
				view: `a[c1{"state":"away"} c2] b[c3]`},
			{change: change("e", 5, "c1", user("a", 0, a2)), told: `a: [c1{"state":"away"} c2] > [c2]`, view: "a[c2] b[c3]"},
			{change: change("e", 6, "c2 c3", user("a", 0), user("b", 0)), told: "a: [c2] > -; b: [c3] > -", view: ""},
		}},
		{"a change that shows what is known tells nothing", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: change("e", 5, "", user("a", 0, moved)), view: "a[c1]"},
		}},
		{"a missing change is a gap", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: change("e", 6, "c1", user("a", 0)), gap: true, view: "a[c1]"},
			{reset: snapshot("e", 6), told: "a: [c1] > -", view: ""},
		}},
		{"another epoch is a gap while someone is here", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: change("f", 1, "", user("b", 0, b3)), gap: true, view: "a[c1]"},
			{change: change("f", 5, "", user("b", 0, b3)), gap: true, view: "a[c1]"},
		}},
		{"a new history may begin in an empty channel", []step{
			{reset: snapshot("e", 9), view: ""},
			{change: change("f", 1, "", user("b", 0, b3)), told: "b: - > [c3]", view: "b[c3]"},
			{change: change("f", 2, "c3", user("b", 0)), told: "b: [c3] > -", view: ""},
			{change: change("g", 2, "", user("b", 0, b3)), gap: true, view: ""},
			{change: change("f", 1, "", user("b", 0, b3)), gap: true, view: ""},
		}},
		{"messages from before the snapshot do nothing", []step{
			{reset: snapshot("e", 4, user("a", 4, a1), user("b", 2, b3)), told: "a: - > [c1]; b: - > [c3]", view: "a[c1] b[c3]"},
			{change: change("e", 3, "", user("a", 0, a2)), view: "a[c1] b[c3]"},
			{change: change("e", 4, "", user("a", 0, a1)), view: "a[c1] b[c3]"},
			{change: change("e", 4, "c9", user("z", 0)), view: "a[c1] b[c3]"},
			{change: change("e", 5, "c3", user("b", 0)), told: "b: [c3] > -", view: "a[c1]"},
		}},
		{"a history that lost writes in a failover and went on is a gap", []step{
			{reset: snapshot("e", 4, user("a", 4, a1), user("b", 2, b3)), told: "a: - > [c1]; b: - > [c3]", view: "a[c1] b[c3]"},
			{change: change("e", 4, "", user("a", 0, a2)), gap: true, view: "a[c1] b[c3]"},
			{change: change("e", 3, "", user("b", 0, b3, a2)), gap: true, view: "a[c1] b[c3]"},
			{change: change("e", 4, "", user("z", 0, a2)), gap: true, view: "a[c1] b[c3]"},
		}},
		{"a message twice, after others have come, is a gap", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: change("e", 5, "", user("a", 0, a1, a2)), told: "a: [c1] > [c1 c2]", view: "a[c1 c2]"},
			{change: change("e", 5, "", user("a", 0, a1, a2)), gap: true, view: "a[c1 c2]"},
		}},
		{"a reset tells the difference only", []step{
			{reset: snapshot("e", 4, user("a", 4, a1), user("b", 3, b3)), told: "a: - > [c1]; b: - > [c3]", view: "a[c1] b[c3]"},
			{reset: snapshot("e", 9, user("a", 9, away), user("b", 3, b3)), told: `a: [c1] > [c1{"state":"away"}]`,
				view: `a[c1{"state":"away"}] b[c3]`},
			{reset: snapshot("e", 12, user("b", 3, b3)), told: `a: [c1{"state":"away"}] > -`, view: "b[c3]"},
		}},
		{"what is missing after a loss stays for a while", []step{
			{reset: snapshot("e", 4, user("a", 4, a1, a2), user("b", 3, b3)), told: "a: - > [c1 c2]; b: - > [c3]",
				view: "a[c1 c2] b[c3]"},
			{reset: snapshot("", 0), hold: 100, view: "a[c1 c2] b[c3]"},
			{change: change("f", 1, "", user("a", 0, a1)), view: "a[c1 c2] b[c3]"},
			{change: change("f", 2, "", user("a", 0, a1, a2)), view: "a[c1 c2] b[c3]"},
			{expire: 99, view: "a[c1 c2] b[c3]"},
			{expire: 100, told: "b: [c3] > -", view: "a[c1 c2]"},
			{expire: 1000, view: "a[c1 c2]"},
			{change: change("f", 3, "c1", user("a", 0, a2)), told: "a: [c1 c2] > [c2]", view: "a[c2]"},
		}},
		{"one of two devices is lost", []step{
			{reset: snapshot("e", 4, user("a", 4, a1, a2)), told: "a: - > [c1 c2]", view: "a[c1 c2]"},
			{reset: snapshot("f", 1, user("a", 1, a2)), hold: 100, view: "a[c1 c2]"},
			{expire: 100, told: "a: [c1 c2] > [c2]", view: "a[c2]"},
		}},
		{"who is said to leave while held leaves at once", []step{
			{reset: snapshot("e", 4, user("a", 4, a1, a2)), told: "a: - > [c1 c2]", view: "a[c1 c2]"},
			{reset: snapshot("f", 1, user("a", 1, a2)), hold: 100, view: "a[c1 c2]"},
			{change: change("f", 2, "c1", user("a", 0, a2)), told: "a: [c1 c2] > [c2]", view: "a[c2]"},
			{expire: 1000, view: "a[c2]"},
		}},
		{"a held connection said to leave as another user's goes when its time is checked", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: snapshot("f", 1, user("b", 1, b3)), hold: 100, told: "b: - > [c3]", view: "a[c1] b[c3]"},
			{change: change("f", 2, "c1", user("b", 0, b3)), view: "a[c1] b[c3]"},
			{expire: 50, told: "a: [c1] > -", view: "b[c3]"},
		}},
		{"a hold lasts through other readings", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: snapshot("f", 1), hold: 100, view: "a[c1]"},
			{reset: snapshot("f", 2, user("b", 2, b3)), told: "b: - > [c3]", view: "a[c1] b[c3]"},
			{reset: snapshot("f", 2, user("b", 2, b3)), hold: 500, view: "a[c1] b[c3]"},
			{expire: 100, told: "a: [c1] > -", view: "b[c3]"},
		}},
		{"written again with other metadata", []step{
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: snapshot("", 0), hold: 100, view: "a[c1]"},
			{change: change("f", 1, "", user("a", 0, away)), told: `a: [c1] > [c1{"state":"away"}]`,
				view: `a[c1{"state":"away"}]`},
			{expire: 100, view: `a[c1{"state":"away"}]`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) { walk(t, &Replica{}, c.steps) })
	}
}

// walk goes through steps, and checks what each tells and leaves.
func walk(t *testing.T, r *Replica, steps []step) {
	t.Helper()
	for i, s := range steps {
		var ts []Transition
		ok := true
		switch {
		case s.change != nil:
			ts, ok = r.Apply(s.change)
		case s.reset != nil:
			ts = r.Reset(s.reset, s.hold)
		default:
			ts = r.Expire(s.expire)
		}
		at := fmt.Sprintf("step %d", i+1)
		if ok == s.gap {
			t.Errorf("%s: gap %v, want %v", at, !ok, s.gap)
		}
		if got := showTransitions(ts); got != s.told {
			t.Errorf("%s tells %q, want %q", at, got, s.told)
		}
		if got := show(r.List()); got != s.view {
			t.Errorf("%s leaves %q, want %q", at, got, s.view)
		}
		if fault := r.Check(); fault != "" {
			t.Errorf("%s: %s", at, fault)
		}
	}
}

// The owner of an entry may change without anybody being told; the replica still knows it, for orphans.
func TestReplicaLearnsOwners(t *testing.T) {
	r := &Replica{}
	m := device("c1")
	r.Reset(snapshot("e", 1, user("a", 1, m)), 0)
	text := r.User("a").fragment()
	m.Inc = "n-2"
	if ts := r.Reset(snapshot("e", 1, user("a", 1, m)), 0); len(ts) != 0 {
		t.Errorf("told %v", showTransitions(ts))
	}
	if got := r.User("a").Metas[0].Inc; got != "n-2" {
		t.Errorf("owner is %s", got)
	}
	if got := r.User("a").frag; got != text {
		t.Error("the text of an unchanged user was made again")
	}
}

func TestReplicaHolding(t *testing.T) {
	r := &Replica{}
	if _, any := r.Holding(); any {
		t.Error("an empty replica holds")
	}
	r.Reset(snapshot("e", 2, user("a", 1, device("c1")), user("b", 2, device("c2"))), 0)
	r.Reset(snapshot("f", 1, user("a", 1, device("c1"))), 70)
	r.Reset(snapshot("f", 1), 90)
	if until, any := r.Holding(); !any || until != 70 {
		t.Errorf("holding until %d, %v; want 70", until, any)
	}
	r.Expire(70)
	if until, any := r.Holding(); !any || until != 90 {
		t.Errorf("holding until %d, %v; want 90", until, any)
	}
}

// SPEC 1.3: "oldest user first".
func TestReplicaListOrder(t *testing.T) {
	r := &Replica{}
	r.Reset(snapshot("e", 9, user("z", 1, device("c1")), user("b", 2, device("c3")), user("a", 3, device("d3")),
		user("y", 4, device("c2"), device("c9"))), 0)
	if got, want := show(r.List()), "z[c1] y[c2 c9] a[d3] b[c3]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// SPEC 5.1: changes are told "in one order that is the same for all of that channel", also when they are found by
// reading.
func TestReplicaResetOrder(t *testing.T) {
	for range 20 {
		r := &Replica{}
		r.Reset(snapshot("e", 4, user("y", 1, device("c1")), user("x", 2, device("c2")), user("w", 3, device("c3")),
			user("v", 4, device("c4"))), 0)
		ts := r.Reset(snapshot("e", 9, user("b", 5, device("c5")), user("a", 6, device("c6")),
			user("x", 9, device("c2"), device("c9")), user("c", 8, device("c8"))), 0)
		got := ""
		for _, t := range ts {
			got += t.ID()
		}
		if got != "vwybacx" {
			t.Fatalf("told in the order %s", got)
		}
	}
}
