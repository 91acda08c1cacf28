package presence

import (
	"strings"
	"testing"
)

// board is a replica with a window over it.
type board struct {
	r *Replica
	w Window
}

func newBoard() *board { return &board{r: &Replica{}} }

func (b *board) apply(c *Change) {
	ts, ok := b.r.Apply(c)
	if !ok {
		panic("gap in a test")
	}
	b.w.Note(ts)
}

func (b *board) flush() *Diff { return b.w.Flush("C", b.r.User) }

// who shortens a presence_diff to "+a[c1] -b[c2]", by the connection ids in it; nothing is "".
func who(t *testing.T, frame []byte) string {
	t.Helper()
	if frame == nil {
		return ""
	}
	f := readFrame(t, frame)
	if f.Event != "presence_diff" || f.Channel != "C" {
		t.Errorf("frame %s", frame)
	}
	var out []string
	for _, id := range sorted(f.Payload.Joins) {
		out = append(out, "+"+id+"["+strings.Join(f.Payload.Joins[id].conns(), " ")+"]")
	}
	for _, id := range sorted(f.Payload.Leaves) {
		out = append(out, "-"+id+"["+strings.Join(f.Payload.Leaves[id].conns(), " ")+"]")
		if _, both := f.Payload.Joins[id]; both {
			t.Errorf("%s is in both halves: %s", id, frame)
		}
	}
	return strings.Join(out, " ")
}

// SPEC 1.2: "changes to a channel that come close together leave as one diff … A join and leave of the same user inside
// it cancel out; a leave and join become `joins` alone with the new metas."
func TestWindow(t *testing.T) {
	a1, a2, a3, b4 := device("c1"), device("c2"), device("c3"), device("c4")
	away := device("c1", `{"state":"away"}`)
	for _, c := range []struct {
		name           string
		before, during []*Change
		plain, devices string
	}{
		{"one join", nil, []*Change{change("e", 1, "", user("a", 0, a1))}, "+a[c1]", "+a[c1]"},
		{"a join and a leave of one user cancel out", nil,
			[]*Change{change("e", 1, "", user("a", 0, a1)), change("e", 2, "c1", user("a", 0))}, "", ""},
		{"a leave and a join are a join with the new metas", []*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "c1", user("a", 0)), change("e", 3, "", user("a", 0, a2))}, "+a[c2]", "+a[c2]"},
		{"a leave and a join and a leave are a leave, with the metas that were known",
			[]*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "c1", user("a", 0)), change("e", 3, "", user("a", 0, a2)),
				change("e", 4, "c2", user("a", 0))}, "-a[c1]", "-a[c1]"},
		{"two devices of a new user", nil,
			[]*Change{change("e", 1, "", user("a", 0, a1)), change("e", 2, "", user("a", 0, a1, a2))}, "+a[c1 c2]", "+a[c1 c2]"},
		{"a second device is for routes with devices", []*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "", user("a", 0, a1, a2))}, "", "+a[c1 c2]"},
		{"one of two devices goes", []*Change{change("e", 1, "", user("a", 0, a1, a2))},
			[]*Change{change("e", 2, "c1", user("a", 0, a2))}, "", "+a[c2]"},
		{"a device that comes and goes is nothing", []*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "", user("a", 0, a1, a2)), change("e", 3, "c2", user("a", 0, a1))}, "", ""},
		{"a device takes over from another: the user was here all the time", []*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "", user("a", 0, a1, a2)), change("e", 3, "c1", user("a", 0, a2))}, "", "+a[c2]"},
		{"two take over, one after the other", []*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "", user("a", 0, a1, a2)), change("e", 3, "c1", user("a", 0, a2)),
				change("e", 4, "", user("a", 0, a2, a3)), change("e", 5, "c2", user("a", 0, a3))}, "", "+a[c3]"},
		{"set_presence", []*Change{change("e", 1, "", user("a", 0, a1, a2))},
			[]*Change{change("e", 2, "", user("a", 0, away, a2))}, "+a[c1 c2]", "+a[c1 c2]"},
		{"set_presence there and back is nothing", []*Change{change("e", 1, "", user("a", 0, a1))},
			[]*Change{change("e", 2, "", user("a", 0, away)), change("e", 3, "", user("a", 0, a1))}, "", ""},
		{"a join and its set_presence", nil,
			[]*Change{change("e", 1, "", user("a", 0, a1)), change("e", 2, "", user("a", 0, away))}, "+a[c1]", "+a[c1]"},
		{"several users", []*Change{change("e", 1, "", user("a", 0, a1)), change("e", 2, "", user("b", 0, b4))},
			[]*Change{change("e", 3, "c1", user("a", 0)), change("e", 4, "", user("z", 0, a3)),
				change("e", 5, "", user("b", 0, a2, b4))}, "+z[c3] -a[c1]", "+b[c2 c4] +z[c3] -a[c1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBoard()
			for _, ch := range c.before {
				b.apply(ch)
			}
			b.flush()
			for _, ch := range c.during {
				b.apply(ch)
			}
			d := b.flush()
			if got := who(t, d.Plain); got != c.plain {
				t.Errorf("plain %q, want %q", got, c.plain)
			}
			if got := who(t, d.Devices); got != c.devices {
				t.Errorf("devices %q, want %q", got, c.devices)
			}
			if d.Fresh != nil {
				t.Error("someone is fresh")
			}
			if d := b.flush(); d.Plain != nil || d.Devices != nil {
				t.Error("told twice")
			}
		})
	}
}

// A reading that shows only other connections of a user than before: it may have been away, so its new metas are told.
func TestWindowAfterReading(t *testing.T) {
	b := newBoard()
	b.apply(change("e", 1, "", user("a", 0, device("c1"))))
	b.flush()
	b.w.Note(b.r.Reset(snapshot("e", 9, user("a", 9, device("c2"))), 0))
	if got := who(t, b.flush().Plain); got != "+a[c2]" {
		t.Errorf("got %q", got)
	}
}

// SPEC 1.2: "what a `presence_state` holds is never told again by a later diff, and no diff older than it comes after
// it".
func TestWindowFresh(t *testing.T) {
	a1, a2, b3 := device("c1"), device("c2"), device("c3")
	b := newBoard()
	b.w.Told("early") // nothing waits: needs no care
	b.apply(change("e", 1, "", user("a", 0, a1)))
	b.w.Told("x") // has a
	b.apply(change("e", 2, "", user("b", 0, b3)))
	b.apply(change("e", 3, "", user("a", 0, a1, a2)))
	b.w.Told("y") // has a with both devices, and b
	b.apply(change("e", 4, "c1", user("a", 0, a2)))
	b.apply(change("e", 5, "c2", user("a", 0)))
	b.w.Told("z") // has b
	d := b.flush()
	if got := who(t, d.Plain); got != "+b[c3]" {
		t.Errorf("others get %q", got)
	}
	for conn, want := range map[string]string{"x": "+b[c3] -a[c1]", "y": "-a[c1 c2]", "z": ""} {
		f := d.Fresh[conn]
		if f == nil {
			t.Errorf("%s gets what the others get", conn)
			continue
		}
		if got := who(t, f.Plain); got != want {
			t.Errorf("%s gets %q, want %q", conn, got, want)
		}
	}
	if len(d.Fresh) != 3 {
		t.Errorf("%d connections are fresh", len(d.Fresh))
	}
	b.apply(change("e", 6, "", user("c", 0, a1)))
	if d := b.flush(); d.Fresh != nil || who(t, d.Plain) != "+c[c1]" {
		t.Error("in the next window all get the same")
	}
}

// A state told twice in one window: only what came after the later one.
func TestWindowToldTwice(t *testing.T) {
	b := newBoard()
	b.apply(change("e", 1, "", user("a", 0, device("c1"))))
	b.w.Told("x")
	b.apply(change("e", 2, "", user("b", 0, device("c2"))))
	b.w.Told("x")
	b.apply(change("e", 3, "", user("d", 0, device("c3"))))
	if got := who(t, b.flush().Fresh["x"].Plain); got != "+d[c3]" {
		t.Errorf("got %q", got)
	}
}
