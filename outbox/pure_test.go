package outbox

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCutReason(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"short":     {"bye", "bye"},
		"longest":   {strings.Repeat("x", 123), strings.Repeat("x", 123)},
		"too long":  {strings.Repeat("x", 124), strings.Repeat("x", 123)},
		"in a rune": {strings.Repeat("x", 122) + "é", strings.Repeat("x", 122)},
		"not UTF-8": {"a\xffb", "a\uFFFDb"},
	}
	for name, tt := range tests {
		if got := CutReason(tt.in); got != tt.want || !utf8.ValidString(got) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestCursor: whatever the buffer and however the writes are cut, the bytes come once and in order, and the
// costs add up.
func TestCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var frames []piece
		var want strings.Builder
		wantCost := 0
		most := rapid.IntRange(1, 400).Draw(t, "most")
		for range rapid.IntRange(0, 20).Draw(t, "frames") {
			f := piece(rapid.StringN(1, 40, 300).Draw(t, "payload"))
			frames = append(frames, f)
			want.WriteString(string(f))
			wantCost += f.cost(most)
		}
		c := cursor{pieces: frames, most: most}
		buf := make([]byte, 0, rapid.IntRange(1, 200).Draw(t, "buffer"))
		var got strings.Builder
		cost, count := 0, 0
		for !c.done() {
			p := c.next(buf)
			n := rapid.IntRange(0, len(p)).Draw(t, "written")
			got.Write(p[:n])
			k, took := c.skip(n)
			count, cost = count+k, cost+took
			if c.i < len(frames) && c.off >= len(frames[c.i]) {
				t.Fatalf("offset %d in frame %d", c.off, c.i)
			}
		}
		if got.String() != want.String() || cost != wantCost || count != len(frames) {
			t.Fatalf("%d bytes, cost %d, want %d, %d", got.Len(), cost, want.Len(), wantCost)
		}
	})
}

func TestCursorCut(t *testing.T) {
	const most = 1000
	a, b := piece("a"), piece("bb")
	for off, want := range []int{0, 1} {
		c := cursor{pieces: []piece{a, b}, most: most, off: off}
		if cost := c.cut(); len(c.pieces) != want || cost != a.cost(most)*(1-off)+b.cost(most) {
			t.Errorf("at %d: %d frames left, cost %d", off, len(c.pieces), cost)
		}
	}
}

// TestFrozen: SPEC 3, "Time in which the node did not run does not count".
func TestFrozen(t *testing.T) {
	s := &Sockets{tick: time.Second, start: time.Now().Add(-time.Hour)}
	s.beat.Store(int64(s.Now()))
	if s.Asleep(s.Now()) || s.Frozen() != 0 {
		t.Error("it runs, and counts as frozen")
	}
	s.beat.Store(int64(s.Now() - 10*time.Second))
	if !s.Asleep(s.Now()) {
		t.Error("it has just awoken, and that is not seen")
	}
	s.noteFreeze()
	if s.Asleep(s.Now()) || s.Frozen() < 8*time.Second || s.Frozen() > 10*time.Second {
		t.Errorf("frozen for %v of ten seconds", s.Frozen())
	}
}

func TestAnswered(t *testing.T) {
	tests := map[string]struct {
		before      int
		heard, busy bool
		left        int
		dead        bool
	}{
		"heard":                {2, true, false, 0, false},
		"at work":              {2, false, true, 0, false},
		"one unanswered":       {1, false, false, 1, false},
		"two unanswered":       {2, false, false, 2, true},
		"not yet pinged":       {0, false, false, 0, false},
		"heard and then quiet": {0, true, false, 0, false},
	}
	for name, tt := range tests {
		if left, dead := answered(tt.before, tt.heard, tt.busy); left != tt.left || dead != tt.dead {
			t.Errorf("%s: %d %v", name, left, dead)
		}
	}
}

func TestVerdict(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		e       ending
		at      time.Duration // of the last progress
		now     time.Duration
		hurried bool
		want    verdict
	}{
		"fresh":                          {ending{}, 0, 100 * ms, false, keepWatching},
		"finished":                       {ending{finished: true}, 0, 100 * ms, false, letGo},
		"nothing written for a second":   {ending{}, 0, 900 * ms, false, resetSocket},
		"written slowly":                 {ending{}, 2000 * ms, 2500 * ms, false, keepWatching},
		"written slowly for too long":    {ending{}, 5000 * ms, 5100 * ms, false, resetSocket},
		"written slowly while we hurry":  {ending{}, 800 * ms, 1000 * ms, true, resetSocket},
		"too slow, still taking":         {ending{slow: true}, 800 * ms, 900 * ms, false, resetSocket},
		"close frame just sent":          {ending{sent: true, sentAt: 800 * ms}, 0, 1600 * ms, false, keepWatching},
		"close frame not answered":       {ending{sent: true, sentAt: 800 * ms}, 0, 1700 * ms, false, closeSocket},
		"1013 not answered":              {ending{sent: true, sentAt: 800 * ms, slow: true}, 0, 900 * ms, false, resetSocket},
		"gone, Handler at work":          {ending{gone: true, busy: true}, 0, time.Hour, false, keepWatching},
		"gone, Handler at work, hurried": {ending{gone: true, busy: true}, 0, 900 * ms, true, resetSocket},
		"gone, to be read to the end":    {ending{gone: true}, time.Hour, time.Hour + 100*ms, false, keepWatching},
		"gone, not read to the end":      {ending{gone: true}, time.Hour, time.Hour + 900*ms, false, resetSocket},
	}
	for name, tt := range tests {
		w := watched{seen: true, at: tt.at}
		if got := w.verdict(tt.e, tt.now, tt.hurried); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	w := watched{seen: true}
	e := ending{gone: true, busy: true}
	w.verdict(e, time.Hour, false)
	e.busy = false
	if got := w.verdict(e, time.Hour+100*ms, false); got != keepWatching {
		t.Errorf("a Handler that has just returned gets no time: %d", got)
	}
}

// TestCloseCodes: SPEC 4, "Close codes the server uses".
func TestCloseCodes(t *testing.T) {
	var got []int
	for _, c := range CloseCodes() {
		got = append(got, c.Code)
		if !ValidCode(c.Code) || c.Name == "" || c.Meaning == "" || c.Client == "" {
			t.Errorf("row %+v", c)
		}
	}
	want := []int{1000, 1001, 1002, 1007, 1008, 1009, 1011, 1012, 1013, 4401, 4403}
	if len(got) != len(want) {
		t.Fatalf("codes %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("codes %v, want %v", got, want)
		}
	}
	for code, ok := range map[int]bool{999: false, 1000: true, 1004: false, 1005: false, 1006: false, 1014: true,
		1015: false, 2999: false, 3000: true, 4999: true, 5000: false} {
		if ValidCode(code) != ok {
			t.Errorf("ValidCode(%d)", code)
		}
	}
}

// TestPacing: writing takes what it needs up to a quarter of the time; beyond, there are rests three times as long as
// what was written.
func TestPacing(t *testing.T) {
	const ms = time.Millisecond
	type stretch struct{ pause, took time.Duration }
	for name, tt := range map[string]struct {
		stretches []stretch
		after     time.Duration // a pause
		longest   time.Duration
		want      time.Duration
	}{
		"at first":                     {longest: 32 * ms},
		"a short round":                {[]stretch{{0, 3 * ms}}, 0, 32 * ms, 0},
		"short rounds with pauses":     {slices.Repeat([]stretch{{9 * ms, 3 * ms}}, 99), 0, 32 * ms, 0},
		"short rounds without":         {slices.Repeat([]stretch{{0, ms}}, 5), 0, 32 * ms, 6 * ms},
		"three times the round":        {[]stretch{{0, 5 * ms}}, 0, 32 * ms, 6 * ms},
		"and again after the rest":     {[]stretch{{0, 5 * ms}, {6 * ms, 5 * ms}}, 0, 32 * ms, 15 * ms},
		"at most":                      {slices.Repeat([]stretch{{0, 50 * ms}}, 9), 0, 32 * ms, 32 * ms},
		"part of it":                   {[]stretch{{0, 50 * ms}}, 12 * ms, 32 * ms, 20 * ms},
		"all of it":                    {[]stretch{{0, 50 * ms}}, 32 * ms, 32 * ms, 0},
		"a pause earns no more":        {[]stretch{{0, ms}, {time.Hour, 5 * ms}}, 0, 32 * ms, 6 * ms},
		"a short round while it rests": {[]stretch{{0, 5 * ms}, {0, ms / 2}}, 0, 32 * ms, 15 * ms / 2},
		"flushers never rest":          {slices.Repeat([]stretch{{0, 50 * ms}}, 9), 0, 0, 0},
	} {
		var p pacing
		now := time.Hour
		for _, s := range tt.stretches {
			now += s.pause
			p = p.wrote(now, now+s.took, tt.longest)
			now += s.took
		}
		if got := p.rest(now + tt.after); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestPacingShare: who rests as long as the pacing says writes for a quarter of the time, and what a pause gives.
func TestPacingShare(t *testing.T) {
	const us = time.Microsecond
	rapid.Check(t, func(t *rapid.T) {
		var p pacing
		var now, used, last time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "writes") {
			now += time.Duration(rapid.IntRange(0, 5000).Draw(t, "pause")) * us
			if p.rest(now) > 0 {
				continue
			}
			last = time.Duration(rapid.IntRange(1, 3000).Draw(t, "took")) * us
			p = p.wrote(now, now+last, time.Hour)
			now += last
			used += last
			if most := now/writeShare + freeWriting + last; used > most {
				t.Fatalf("%v used in %v", used, now)
			}
		}
	})
}

// TestLend: a sender writes by itself only while no flusher has anything to do and nobody has to rest, or when its
// frames are waited for.
func TestLend(t *testing.T) {
	busy := pacing{}.wrote(time.Hour-2*freeWriting, time.Hour, time.Hour)
	for name, tt := range map[string]struct {
		list   *readyList
		prompt bool
		want   time.Duration
	}{
		"quiet":                 {&readyList{}, false, freeWriting},
		"others wait":           {&readyList{next: []*Conn{{}}}, false, 0},
		"a round is worked off": {&readyList{round: make([]*Conn, 2), at: 1}, false, 0},
		"its last are written":  {&readyList{round: make([]*Conn, 2), at: 2}, false, 0},
		"it is time to rest":    {&readyList{pacing: busy}, false, 0},
		"somebody waits":        {&readyList{next: []*Conn{{}}, round: make([]*Conn, 2), at: 1}, true, freeWriting},
		"waits, despite a rest": {&readyList{pacing: busy}, true, freeWriting},
	} {
		if got := tt.list.lend(time.Hour, tt.prompt); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestFlushersRest: a round begins when the pacing lets it, and none rests that need not.
func TestFlushersRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := readyList{now: func() time.Duration { return time.Since(start) }, longest: 32 * time.Millisecond}
		r.wake.L = &r.mu
		for _, want := range []time.Duration{0, 6 * time.Millisecond} { // the second after a round of 5 ms
			began := time.Now()
			r.add(&Conn{})
			if cs, ok := r.take(nil); !ok || len(cs) != 1 || time.Since(began) != want {
				t.Errorf("%d connections after %s, want one after %s", len(cs), time.Since(began), want)
			}
			time.Sleep(5 * time.Millisecond) // it is written
		}
	})
}
