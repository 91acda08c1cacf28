package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func text(s timers) string {
	var all []string
	for _, t := range s.list {
		all = append(all, fmt.Sprintf("%s@%d", t.name, t.at))
	}
	return strings.Join(all, " ")
}

// SPEC 11: "the same name replaces; 16 a connection".
func TestTimersLimits(t *testing.T) {
	var s timers
	for i := range maxTimers {
		check(t, s.set(timer{name: fmt.Sprint("t", i), at: time.Duration(i)}))
	}
	before := text(s)
	if err := s.set(timer{name: "one more"}); !errors.Is(err, errTooManyTimers) || text(s) != before {
		t.Errorf("a 17th: %v, %s", err, text(s))
	}
	check(t, s.set(timer{name: "t3", at: 1, data: "1"}))
	if got := text(s); !strings.HasPrefix(got, "t0@0 t1@1 t3@1 t2@2 t4@4 ") || len(s.list) != maxTimers {
		t.Errorf("after t3 was set again: %s", got)
	}
	s = timers{}
	half := strings.Repeat("x", maxTimerBytes/2-1)
	check(t, s.set(timer{name: "a", data: half}))
	check(t, s.set(timer{name: "b", data: half}))
	if err := s.set(timer{name: "c"}); !errors.Is(err, errTimersTooLong) {
		t.Errorf("a byte too many: %v", err)
	}
	if err := s.set(timer{name: "a", data: half + "x"}); !errors.Is(err, errTimersTooLong) || s.list[0].data != half {
		t.Errorf("another byte too many: %v", err)
	}
	s.cancel(timer{name: "b"})
	check(t, s.set(timer{name: "c"}))
}

// Whatever is set and taken back, what is taken is what a plain list gives: the nearest, then the one set first.
func TestTimersAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var s timers
		var model []timer // in the order in which they were set
		now := time.Duration(0)
		for range 100 {
			name := string(rune('a' + r.IntN(20)))
			without := slices.DeleteFunc(slices.Clone(model), func(o timer) bool { return o.name == name })
			switch r.IntN(4) {
			case 0:
				s.cancel(timer{name: name})
				model = without
			case 1:
				now += time.Duration(r.IntN(5))
				var want timer
				at := -1
				for i, o := range model {
					if o.at <= now && (at < 0 || o.at < want.at) {
						want, at = o, i
					}
				}
				got, ok := s.take(now)
				if got != want || ok != (at >= 0) {
					t.Fatalf("took %v, want %v of %v", got, want, model)
				}
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			default:
				x := timer{name: name, at: now + time.Duration(r.IntN(10))}
				err := s.set(x)
				if (err != nil) != (len(without) == maxTimers) {
					t.Fatalf("set gives %v with %d others", err, len(without))
				}
				if err == nil {
					model = append(without, x)
				}
			}
			at, ok := s.next()
			for _, o := range model {
				if !ok || o.at < at {
					t.Fatalf("next is %v, %v: %v", at, ok, model)
				}
			}
			if len(s.list) != len(model) || ok != (len(model) > 0) {
				t.Fatalf("%s, want %v", text(s), model)
			}
		}
	}
}

// SPEC 11: "{name, ms, data}; {name, cancel = true}; or an array of such"; "100 ms to 24 h".
func TestReadTimers(t *testing.T) {
	tests := []struct{ source, want string }{
		{`{after = {name = "t", ms = 100}}`, "t 100ms"},
		{`{after = {name = "t", ms = 86400000, data = {a = {1, 2}}}}`, `t 24h0m0s {"a":[1,2]}`},
		{`{after = {name = "t", ms = 500, data = "x"}}`, `t 500ms "x"`},
		{`{after = {name = "t", ms = 500, data = json.null}}`, `t 500ms null`},
		{`{after = {name = "t", ms = 500, data = false}}`, `t 500ms false`},
		{`{after = {name = "t", cancel = true}}`, "t cancel"},
		{`{after = {{name = "a", ms = 100}, {name = "b", cancel = true}}}`, "a 100ms|b cancel"},
		{`{after = {}}`, ""},
		{`{after = {name = "` + strings.Repeat("n", 255) + `", ms = 100}}`, strings.Repeat("n", 255) + " 100ms"},
	}
	for _, tt := range tests {
		_, v := eval(t, tt.source)
		r := actionReader{limit: 1 << 20}
		if err := r.read(v); err != nil {
			t.Errorf("%s: %v", tt.source, err)
			continue
		}
		var got []string
		for _, a := range r.actions {
			s := fmt.Sprint(a.Timer.Name, " ", a.Timer.Wait)
			if a.Timer.Cancel {
				s = a.Timer.Name + " cancel"
			}
			got = append(got, strings.TrimSpace(s+" "+a.Timer.Data))
		}
		if strings.Join(got, "|") != tt.want {
			t.Errorf("%s gives %q", tt.source, got)
		}
	}
}

// SPEC 6: "A return is validated whole before anything runs."
func TestBadTimers(t *testing.T) {
	const wrongMS = "ms must be a whole number from 100 to 86400000 (24 h), not "
	tests := []struct{ source, want string }{
		{`"t"`, `after: must be a table with a name, or an array of such, not the string "t"`},
		{`true`, `after: must be a table with a name, or an array of such, not true`},
		{`{ms = 100}`, "after: name is missing"},
		{`{name = "", ms = 100}`, "after: name must be 1 to 255 bytes of UTF-8 without control characters"},
		{`{name = ("n"):rep(256), ms = 100}`, "after: name must be 1 to 255 bytes"},
		{`{name = "a\0", ms = 100}`, "after: name must be 1 to 255 bytes"},
		{`{name = 7, ms = 100}`, "not the number 7"},
		{`{name = "t"}`, "after: ms is missing"},
		{`{name = "t", data = 1}`, "after: ms is missing"},
		{`{name = "t", ms = 99}`, wrongMS + "the number 99"},
		{`{name = "t", ms = 86400001}`, wrongMS + "the number 86400001"},
		{`{name = "t", ms = -100}`, wrongMS},
		{`{name = "t", ms = 0/0}`, wrongMS},
		{`{name = "t", ms = math.huge}`, wrongMS},
		{`{name = "t", ms = 100.5}`, wrongMS},
		{`{name = "t", ms = "100"}`, wrongMS + `the string "100"`},
		{`{name = "t", ms = 100, data = print}`, "after: data: "},
		{`{name = "t", ms = 100, data = "\255"}`, "after: data: a string in it is not UTF-8"},
		{`{name = "t", ms = 100, data = ("x"):rep(65536)}`, "after: data has 65538 bytes as JSON; 65536 are the most"},
		{`{name = "t", cancel = false}`, "after: cancel must be true, not false"},
		{`{name = "t", cancel = true, ms = 100}`, "after: cancel takes a name, and no ms or data"},
		{`{name = "t", cancel = true, data = 1}`, "after: cancel takes a name, and no ms or data"},
		{`{name = "t", ms = 100, delay = 1}`, `after: unknown field "delay" (known: name, ms, data, cancel)`},
		{`{{name = "a", ms = 100}, {name = "b"}}`, "after: element 2: ms is missing"},
		{`{{name = "a", ms = 100}, "b"}`, `after: element 2 must be a table with a name, not the string "b"`},
		{`{{name = "a", ms = 100}, name = "b"}`, `after: must be an array, but it has the key "name"`},
	}
	for _, tt := range tests {
		_, v := eval(t, "{after = "+tt.source+"}")
		r := actionReader{limit: 1 << 20}
		if err := r.read(v); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.source, err, tt.want)
		}
	}
}
