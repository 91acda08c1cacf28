package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// Conformance of the scripts, on every kind of Redis.
func TestStore(t *testing.T) {
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		for name, test := range map[string]func(*bench){"positions": testPositions, "pages": testPages, "bytes": testBytes,
			"ttl": testTTL, "once": testOnce, "wipe": testWipe, "clock": testClock, "empty": testEmpty,
			"many": testMany, "limits": testLimits} {
			t.Run(name, func(t *testing.T) { test(newBench(t, r, name)) })
		}
	})
}

// SPEC 7: a position is "given by Redis to each message of such a channel, rising by one in seq"; "a channel without
// messages is at `<ms>-0`, where ms is when its counting began".
func testPositions(b *bench) {
	began := b.at(minute)
	if began.Seq != 0 || b.at(minute) != began {
		b.Fatalf("a new channel is at %v, then at %v", began, b.at(minute))
	}
	before := began
	for i := range 12 {
		at, err := b.store.Publish(b.Context(), room, minute, Broadcast{Text: `{"x":1}`, JSON: true})
		if err != nil {
			b.Fatal(err)
		}
		got := b.next()
		if at.Seq != int64(i+1) || at.MS < before.MS || got.Prev != before.MS || got.At != at || !got.JSON ||
			got.Sender != "" {
			b.Fatalf("%v came as %+v after %v", at, got, before)
		}
		before = at
	}
	if at := b.at(minute); at != before {
		b.Errorf("the channel is at %v, want %v", at, before)
	}
	h, err := b.store.Read(b.Context(), room, minute, ReadAll)
	r := h.ring(minute)
	if err != nil || len(h.Messages) != 5 || h.At != before || r.Check() != nil || r.Len() != 5 {
		b.Errorf("held is %v, %v", h, err)
	}
	if ttl, _ := b.do("pttl", b.client.Keys().HistoryHead(room)).(int64); ttl < 24*time.Hour.Milliseconds() {
		b.Errorf("where it stands is kept for %d ms", ttl)
	}
	if ttl, _ := b.do("pttl", b.client.Keys().History(room)).(int64); ttl < 0 || ttl > 62000 {
		b.Errorf("the messages are kept for %d ms", ttl)
	}
}

// SPEC 7: "after since the oldest, else the newest, in the channel's order unless reverse"; "both ends exclusive".
func testPages(b *bench) {
	var at []Position
	for i := range 8 {
		at = append(at, b.publish(minute, fmt.Sprint(i)))
	}
	forged := Position{at[5].MS + 1, at[5].Seq}
	future := Position{at[7].MS, at[7].Seq + 1}
	for _, tt := range []struct {
		q    Query
		want string
	}{
		{Query{}, "3 4 5 6 7"},
		{Query{Limit: 2}, "6 7"},
		{Query{Limit: 2, Reverse: true}, "7 6"},
		{Query{Before: &at[5]}, "3 4"},
		{Query{Before: &at[5], Limit: 1}, "4"},
		{Query{Before: &at[3]}, ""},
		{Query{Before: &Position{}}, ""},
		{Query{Since: &at[5]}, "6 7"},
		{Query{Since: &at[5], Limit: 1}, "6"},
		{Query{Since: &at[4], Before: &at[7], Reverse: true}, "6 5"},
		{Query{Since: &at[4], Before: &at[5]}, ""},
		{Query{Since: &at[2]}, "3 4 5 6 7"},
		{Query{Since: &at[2], Limit: 2}, "3 4"},
		{Query{Since: &at[7]}, ""},
		{Query{Since: &at[1]}, "too_many"},
		{Query{Since: &Position{}}, "too_many"},
		{Query{Since: &forged}, "fork"},
		{Query{Since: &future}, "unknown"},
	} {
		if got := b.page(minute, tt.q); got != tt.want {
			b.Errorf("%+v gives %q, want %q", tt.q, got, tt.want)
		}
	}
}

// SPEC 7: "1 MiB a channel (the oldest go first)".
func testBytes(b *bench) {
	large := strings.Repeat("x", 300<<10)
	at := []Position{b.publish(minute, "a"), b.publish(minute, "b")}
	for range 3 {
		at = append(at, b.publish(minute, large))
	}
	held := func() (n, bytes int) {
		h, err := b.store.Read(b.Context(), room, minute, ReadAll)
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range h.Messages {
			bytes += m.Size
		}
		return len(h.Messages), bytes
	}
	if n, _ := held(); n != 5 {
		b.Errorf("%d of 5 are held", n)
	}
	at = append(at, b.publish(minute, large))
	if n, bytes := held(); n != 3 || bytes > MaxBytes {
		b.Errorf("%d messages of %d bytes are held", n, bytes)
	}
	if got := b.page(minute, Query{Since: &at[1]}); got != string(TooMany) {
		b.Errorf("after what had too many bytes came %.20q", got)
	}
	b.publish(minute, "small")
	if n, _ := held(); n != 4 {
		b.Errorf("%d of 4 are held with a small one", n)
	}
	b.publish(minute, strings.Repeat("y", MaxBytes+1))
	if n, _ := held(); n != 1 {
		b.Errorf("%d are held with one that is too large alone", n)
	}
	for i := range 7 {
		b.publish(minute, fmt.Sprint(i))
	}
	if got := b.page(minute, Query{}); got != "2 3 4 5 6" {
		b.Errorf("then %q are held", got)
	}
}

// SPEC 7: "each for 300 s"; what is missing then is `expired`.
func testTTL(b *bench) {
	began := b.at(second)
	first := b.publish(second, "a")
	if mini := b.redis.Mini(); mini != nil {
		mini.SetTime(time.UnixMilli(first.MS).Add(999 * time.Millisecond))
		if got := b.page(second, Query{}); got != "a" {
			b.Errorf("after 999 ms %q is held", got)
		}
		mini.SetTime(time.UnixMilli(first.MS).Add(time.Second))
		if got := b.page(second, Query{}); got != "" {
			b.Errorf("after its time %q is held", got)
		}
	}
	testkit.Eventually(b.T, "the message's time is over",
		func() bool { return b.page(second, Query{}) == "" })
	if got := b.page(second, Query{Since: &began}); got != string(Expired) {
		b.Errorf("after what is over comes %q", got)
	}
	if got := b.page(second, Query{Since: &first}); got != "" {
		b.Errorf("after the last comes %q", got)
	}
	if at := b.at(second); at != first {
		b.Errorf("the channel stands at %v, want %v", at, first)
	}
	if next := b.publish(second, "b"); next.Seq != 2 {
		b.Errorf("the next is %v", next)
	}
}

// An idempotent call is kept and published once; its repetition tells where the channel stood.
func testOnce(b *bench) {
	once := &Once{Mark: b.client.Keys().OnceMark(b.client.Keys().Topic(room), "id"), Keep: time.Hour}
	ms := []Outgoing{{Broadcast: Broadcast{Text: "a"}}, {Broadcast: Broadcast{Text: "typing"}, Transient: true},
		{Broadcast: Broadcast{Text: "b"}}}
	var first Position
	for i := range 3 {
		answer, err := b.client.Process(b.Context(), b.store.PublishCommand(b.Context(), room, minute, once, ms...))
		if err != nil {
			b.Fatal(err)
		}
		at, fresh, err := Published(answer)
		if i == 0 {
			first = at
		}
		if err != nil || fresh != (i == 0) || at != first || at.Seq != 2 {
			b.Errorf("call %d: %v, fresh %v, %v", i, at, fresh, err)
		}
		if i == 0 { // what was published
			b.next()
			b.next()
			b.next()
		}
		b.publish(minute, fmt.Sprint("mark", i))
	}
	if got := b.page(minute, Query{}); got != "a b mark0 mark1 mark2" {
		b.Errorf("held is %q", got)
	}
	if ttl, _ := b.do("pttl", once.Mark).(int64); ttl <= 0 || ttl > time.Hour.Milliseconds() {
		b.Errorf("the mark stays for %d ms", ttl)
	}
}

// SPEC 7: "after a wipe or a failover that lost messages the entry of a seq has another ms, or is not there, so a false
// position is always found".
func testWipe(b *bench) {
	old := []Position{b.at(minute)}
	for range 3 {
		old = append(old, b.publish(minute, "old"))
	}
	b.do("del", b.client.Keys().History(room))
	b.do("del", b.client.Keys().HistoryHead(room))
	b.later()
	for _, p := range old {
		if got := b.page(minute, Query{Since: &p}); got != string(Unknown) && (p.Seq != 0 || got != string(Fork)) {
			b.Errorf("after %v comes %q", p, got)
		}
	}
	b.later()
	for range 3 {
		b.publish(minute, "new")
		for _, p := range old {
			if got := b.page(minute, Query{Since: &p}); got != string(Unknown) && got != string(Fork) {
				b.Errorf("after %v comes %q", p, got)
			}
		}
	}
	// Only the stream, or only where it stands, is lost.
	at := b.at(minute)
	b.do("del", b.client.Keys().History(room))
	if got := b.page(minute, Query{Since: &at}) + b.page(minute, Query{}); got != "" {
		b.Errorf("without messages %q is held", got)
	}
	if next := b.publish(minute, "next"); next.Seq != at.Seq+1 || b.page(minute, Query{Since: &at}) != "next" {
		b.Errorf("the next of %v is %v", at, next)
	}
	b.do("del", b.client.Keys().HistoryHead(room))
	b.later()
	b.publish(minute, "anew")
}

// Positions rise when the clock of Redis goes back.
func testClock(b *bench) {
	ahead := b.clock() + 3600000
	b.do("set", b.client.Keys().HistoryHead(room), fmt.Sprintf("%d-7", ahead), "px", 100000)
	for i, want := range []Position{{ahead, 8}, {ahead, 9}} {
		if at := b.publish(minute, fmt.Sprint(i)); at != want {
			b.Errorf("with the clock an hour back the position is %v, want %v", at, want)
		}
	}
	if got := b.page(minute, Query{Since: &Position{ahead, 7}}); got != "0 1" {
		b.Errorf("since comes %q", got)
	}
	if ttl, _ := b.do("pttl", b.client.Keys().History(room)).(int64); ttl < 0 {
		b.Error("the messages are kept for ever")
	}
}

// SPEC 7: "`DELETE` empties it (positions go on)".
func testEmpty(b *bench) {
	if err := b.store.Empty(b.Context(), room); err != nil {
		b.Fatal(err)
	}
	b.publish(minute, strings.Repeat("x", 300<<10))
	at := b.publish(minute, "a")
	if err := b.store.Empty(b.Context(), room); err != nil {
		b.Fatal(err)
	}
	if got := b.page(minute, Query{}); got != "" {
		b.Errorf("%.20q is held", got)
	}
	if now := b.at(minute); now != at {
		b.Errorf("the channel stands at %v, want %v", now, at)
	}
	if next := b.publish(minute, "b"); next.Seq != at.Seq+1 || b.page(minute, Query{Since: &at}) != "b" {
		b.Errorf("the next is %v, held %q", next, b.page(minute, Query{}))
	}
	if ttl, _ := b.do("pttl", b.client.Keys().History(room)).(int64); ttl <= 0 {
		b.Errorf("the messages are kept for %d ms", ttl)
	}
}

// More messages than Redis keeps in one node of a stream, whose surplus a reader never sees.
func testMany(b *bench) {
	var ms []Outgoing
	for i := range 250 {
		ms = append(ms, Outgoing{Broadcast: Broadcast{Text: fmt.Sprint(i)}})
	}
	if _, err := b.client.Process(b.Context(), b.store.PublishCommand(b.Context(), room, minute, nil, ms...)); err != nil {
		b.Fatal(err)
	}
	for i := range ms {
		if got := b.next(); got.Text != fmt.Sprint(i) || got.At.Seq != int64(i+1) {
			b.Fatalf("message %d came as %+v", i, got)
		}
	}
	if got := b.page(minute, Query{}); got != "245 246 247 248 249" {
		b.Errorf("held is %q", got)
	}
	h, err := b.store.Read(b.Context(), room, minute, ReadAll)
	if err != nil || !slices.IsSortedFunc(h.Messages,
		func(x, y Message[Broadcast]) int { return int(x.At.Seq - y.At.Seq) }) || len(h.Messages) != 5 {
		b.Errorf("%d are held, %v", len(h.Messages), err)
	}
}

// SPEC 7: "size 1 to 1,000"; "too_many (more than size came since)".
func testLimits(b *bench) {
	most, least := Policy{MaxSize, time.Minute}, Policy{1, time.Minute}
	began := b.at(most)
	ms := make([]Outgoing, MaxSize)
	for i := range ms {
		ms[i].Text = fmt.Sprint(i)
	}
	if _, err := b.client.Process(b.Context(), b.store.PublishCommand(b.Context(), room, most, nil, ms...)); err != nil {
		b.Fatal(err)
	}
	for range ms {
		b.next()
	}
	if got := b.page(most, Query{Since: &began, Limit: MaxSize}); strings.Count(got, " ") != MaxSize-1 {
		b.Errorf("since the beginning came %.40q", got)
	}
	last := b.publish(most, "one more")
	if got := b.page(most, Query{Since: &began, Limit: MaxSize}); got != string(TooMany) {
		b.Errorf("after one more than is kept came %.40q", got)
	}
	if got := b.page(least, Query{Since: &Position{last.MS, last.Seq}}); got != "" {
		b.Errorf("after the last came %q", got)
	}
	next := b.publish(least, "a")
	if got := b.page(least, Query{Since: &last}); got != "a" {
		b.Errorf("of one that is kept came %q", got)
	}
	b.publish(least, "b")
	if got := b.page(least, Query{Since: &last}) + " " + b.page(least, Query{Since: &next}); got != "too_many b" {
		b.Errorf("of one that is kept came %q", got)
	}
}
