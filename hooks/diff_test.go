package hooks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/testkit/backend"
)

// world is what is true, and what a sink was told by a differ, as Redis would keep it.
type world struct {
	is, told map[pair]string
	wakes    map[pair]int64 // ms: when a user is to be looked at
	came     map[pair]int64
	fold     backend.Fold
	differ   differ
	now      int64
	doubt    bool
}

func (w *world) users(channel string) (n int) {
	for p := range w.told {
		if p.channel == channel {
			n++
		}
	}
	return n
}

// look lets the differ look at all who are due; the sink acknowledges, or does not.
func (w *world) look(t *rapid.T, acknowledges bool) (events int) {
	var looks []look
	for p, at := range w.wakes {
		if at <= w.now {
			looks = append(looks, look{channel: p.channel, user: p.user, told: w.told[p], is: w.is[p], since: w.came[p],
				at: w.now, wakes: "w", users: w.users(p.channel), doubt: w.doubt})
		}
	}
	slices.SortFunc(looks, func(a, b look) int { return strings.Compare(a.channel+a.user, b.channel+b.user) })
	b := w.differ.make(looks, w.now)
	w.mark(b.now)
	if len(b.events) == 0 {
		return 0
	}
	q := newRequest(b.events, b.acked)
	if len(q.Body) > MaxRequest || len(b.events) > MaxEvents {
		t.Fatalf("a request of %d events and %d bytes", len(b.events), len(q.Body))
	}
	again, err := requestFrom(q.text())
	if err != nil || string(again.Body) != string(q.Body) || !slices.Equal(again.Acked, q.Acked) {
		t.Fatalf("a request that was kept is another: %v", err)
	}
	for range 2 {
		if err := w.fold.Take(again.Body); err != nil {
			t.Fatal(err)
		}
		if acknowledges {
			break
		}
	}
	w.mark(again.Acked)
	return len(b.events)
}

func (w *world) mark(ops []op) {
	for _, o := range ops {
		p := pair{o.Channel, o.User}
		switch o.Do {
		case "set":
			w.told[p] = o.Value
		case "del":
			delete(w.told, p)
		case "done":
			delete(w.wakes, p)
		case "later":
			ms, _, _ := strings.Cut(o.Value, " ")
			after, _ := strconv.ParseInt(ms, 10, 64)
			w.wakes[p] = w.now + after
		}
	}
}

// SPEC 10: joins and leaves alternate for each user, a channel is occupied before the first and vacated after the last
// (backend.Fold says so otherwise), a change that is undone within settle is not told, and at rest the sink knows who
// is present.
func TestDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		settle := rapid.SampledFrom([]int64{0, 0, 1000}).Draw(t, "settle")
		w := &world{is: map[pair]string{}, told: map[pair]string{}, wakes: map[pair]int64{}, came: map[pair]int64{},
			differ: differ{wants: func(Kind) bool { return true }, settle: settle, hold: 6000,
				unsettled: map[pair]settling{}}}
		if err := w.fold.Take(newRequest([]Event{{Type: reset}}, nil).Body); err != nil {
			t.Fatal(err)
		}
		metas := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1: // somebody changes
				p := pair{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "channel"),
					fmt.Sprint("u", rapid.IntRange(0, 3).Draw(t, "user"))}
				if rapid.Bool().Draw(t, "there") {
					metas++
					if w.is[p] == "" {
						w.came[p] = w.now
					}
					w.is[p] = fmt.Sprintf(`[{"n":%d,"text":%q}]`, metas,
						strings.Repeat("<", rapid.SampledFrom([]int{0, 0, 60_000}).Draw(t, "size")))
				} else {
					delete(w.is, p)
				}
				w.wakes[p] = w.now
			case 2:
				w.now += rapid.SampledFrom([]int64{1, 400, 1000, 7000}).Draw(t, "ms")
			case 3:
				w.doubt = rapid.Bool().Draw(t, "doubt")
			default:
				w.look(t, rapid.Bool().Draw(t, "acknowledged"))
			}
		}
		w.doubt = false
		w.now += 7000
		for n := 0; len(w.wakes) > 0; n++ {
			if n > 100 {
				t.Fatalf("it does not come to rest: %v", w.wakes)
			}
			w.look(t, true)
			w.now += settle
		}
		for _, channel := range []string{"a", "b"} {
			for i := range 4 {
				p := pair{channel, fmt.Sprint("u", i)}
				if got := w.fold.Metas(p.channel, p.user); got != compact(w.is[p]) {
					t.Errorf("the sink knows %q of %v, true is %q", got, p, w.is[p])
				}
			}
		}
		for _, fault := range w.fold.Faults() {
			t.Error(fault)
		}
	})
}

// compact is JSON as encoders write it.
func compact(text string) string {
	if text == "" {
		return ""
	}
	return string(encode(json.RawMessage(text)))
}

// "A change that is undone within settle ms is not told", and one that lasts is told after it.
func TestDifferSettles(t *testing.T) {
	d := differ{wants: func(Kind) bool { return true }, settle: 1000, hold: 6000, unsettled: map[pair]settling{}}
	here := look{channel: "c", user: "u", is: `[1]`, wakes: "1 0 "}
	told := look{channel: "c", user: "u", told: `[1]`, users: 1, wakes: "1 0 "}
	both := look{channel: "c", user: "u", told: `[1]`, is: `[1]`, users: 1, wakes: "1 0 "}
	doubt := told
	doubt.doubt = true
	for i, step := range []struct {
		look look
		now  int64
		want string // events, or what is noted at once
	}{
		{here, 0, "later 1000 1 0 "}, {here, 999, "later 1 1 0 "}, {here, 1000, "occupied join"},
		{told, 2000, "later 1000 1 0 "}, {both, 2900, "done 1 0 "}, {told, 3100, "later 1000 1 0 "},
		{told, 4100, "leave vacated"}, {doubt, 5000, "later 6000 1 0 "}, {doubt, 10_999, "later 1 1 0 "},
		{doubt, 11_000, "leave vacated"},
	} {
		b := d.make([]look{step.look}, step.now)
		var got []string
		for _, e := range b.events {
			got = append(got, string(e.Type))
		}
		for _, o := range b.now {
			got = append(got, o.Do+" "+o.Value)
		}
		if g := strings.Join(got, " "); g != step.want {
			t.Errorf("step %d: %s, want %s", i, g, step.want)
		}
	}
}
