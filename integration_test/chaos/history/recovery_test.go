package history

import (
	"strings"
	"testing"
	"time"
)

// steps reads "a got 10-1 m1", "a begins 10-0", "a on 10-1", "a begun", of follower a; each is a second after the one
// before.
func steps(t *testing.T, r *Record, story string) {
	t.Helper()
	at := time.Duration(0)
	for line := range strings.Lines(story) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		at += time.Second
		var f *Follower
		for _, o := range r.Followers {
			if o.Name == words[0] {
				f = o
			}
		}
		if f == nil {
			f = &Follower{Name: words[0]}
			r.Followers = append(r.Followers, f)
		}
		s := Step{At: at, Channel: "log"}
		s.Move = map[string]Move{"got": Got, "begins": Begins, "on": GoesOn, "begun": Begun}[words[1]]
		if len(words) > 2 {
			s.Position = position(t, words[2])
		}
		if len(words) > 3 {
			s.Text = words[3]
		}
		f.Steps = append(f.Steps, s)
	}
}

func position(t *testing.T, text string) (p Position) {
	t.Helper()
	ms, seq, ok := strings.Cut(text, "-")
	if !ok {
		t.Fatalf("%q is no position", text)
	}
	for _, part := range []struct {
		text string
		into *int64
	}{{ms, &p.MS}, {seq, &p.Seq}} {
		for _, c := range part.text {
			*part.into = 10**part.into + int64(c-'0')
		}
	}
	return p
}

// Promise 7: "between two positions that a client was given without lost or recovered:false in between, it got every
// message of the channel … once, in order".
func TestRecovery(t *testing.T) {
	wipe := []Fault{{Name: "redis-flush", Began: 20 * time.Second, Ended: 20 * time.Second}}
	failover := []Fault{{Name: "redis-failover-lossy", Began: 20 * time.Second, Ended: 21 * time.Second}}
	for name, tt := range map[string]struct {
		story  string
		faults []Fault
		said   []*Saying
		want   string // a part of the one violation; "": none
	}{
		"all of it": {story: `a begins 1000-0
			a got 2000-1 m1
			a got 3000-2 m2
			a on 3000-2
			a got 4000-3 m3`},
		"one is missing": {story: `a begins 1000-0
			a got 2000-1 m1
			a got 4000-3 m3`, want: "gets 4000-3 after 2000-1"},
		"one is missing, and it is told": {story: `a got 2000-1 m1
			a begins 3000-2
			a got 4000-3 m3`},
		"one is missing, and nobody says where it goes on": {story: `a got 2000-1 m1
			a begun
			a got 4000-3 m3`},
		"one comes twice": {story: `a got 2000-1 m1
			a got 2000-1 m1`, want: "gets 2000-1 after 2000-1"},
		"out of order": {story: `a got 3000-2 m2
			a got 2000-1 m1`, want: "gets 2000-1 after 3000-2"},
		"it goes on elsewhere": {story: `a got 3000-2 m2
			a on 2000-1`, want: "goes on from 2000-1, and was at 3000-2"},
		"a position has two texts": {story: `a got 2000-1 m1
			b got 2000-1 m2`, want: "where others got m1"},
		"a text has two positions": {story: `a got 2000-1 m1
			a got 3000-2 m1`, want: "gets m1 at each of"},
		"a message has two before it": {faults: failover, story: `a got 19000-7 lost
			a got 22000-8 m8
			b got 21000-7 m7
			b got 22000-8 m8`, want: "it should have been told"},
		"a wipe": {faults: wipe, story: `a got 19000-7 m7
			a got 21000-1 m8`},
		"no wipe": {story: `a got 19000-7 m7
			a got 21000-1 m8`, want: "gets 21000-1 after 19000-7"},
		"a wipe after one that others got": {faults: wipe, story: `a got 19000-7 m7
			b got 19500-8 m8
			a got 21000-1 m9`, want: "but not 19500-8"},
		"a failover loses one that others got": {faults: failover, story: `b got 19000-7 m7
			b got 20500-8 lost
			b begins 21000-7
			a got 19000-7 m7
			a got 22000-8 m8`},
		"one that others got is replaced without a failover": {story: `b got 19000-7 m7
			b got 20500-8 lost
			a got 19000-7 m7
			a got 22000-8 m8`, want: "but not 20500-8"},
		"acknowledged, and nobody gets it": {story: `a got 2000-1 m1
			a got 5000-2 m2`, said: []*Saying{{"log", "m", 3 * time.Second, 3500 * time.Millisecond}},
			want: "acknowledged between"},
		"not acknowledged": {story: `a got 2000-1 m1
			a got 5000-2 m2`, said: []*Saying{{"log", "m", 3 * time.Second, 0}}},
		"acknowledged, and a failover loses it": {faults: failover, story: `a got 19000-1 m1
			a got 23000-2 m2`, said: []*Saying{{"log", "m", 20 * time.Second, 20500 * time.Millisecond}}},
		"acknowledged before it came": {story: `a got 4000-1 m1
			a got 5000-2 m2`, said: []*Saying{{"log", "m", 3 * time.Second, 3500 * time.Millisecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Record{Began: time.UnixMilli(0), Faults: tt.faults, Sayings: tt.said}
			steps(t, r, tt.story)
			v := Check(r)
			switch {
			case tt.want == "" && len(v.Violations) > 0:
				t.Errorf("%v", v.Violations)
			case tt.want != "" && (len(v.Violations) != 1 || !strings.Contains(v.Violations[0].Text, tt.want) ||
				v.Violations[0].Rule != Recovery):
				t.Errorf("%v, want %q", v.Violations, tt.want)
			}
		})
	}
}
