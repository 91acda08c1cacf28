package presence

import (
	"strconv"
	"time"

	"rollcall/naming"
)

// SPEC 9: last_seen is written by the scripts that tell the last leave: "after a node's death" it is "the time of its
// last heartbeat at the earliest, its lease's end at the latest"; "kept 30 days, --last-seen".
func testLastSeen(b *bench) {
	b.s.KeepLastSeen(100 * time.Hour)
	var seq int
	enter := func(user string, conns ...string) (channel string) {
		channel, err := naming.UserChannel(user)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, conn := range conns {
			seq++
			m := device(conn)
			epoch := "e" + strconv.Itoa(seq)
			if _, err := b.s.Join(b.t.Context(), b.lease("n-1"), channel, user, &m, true, "", epoch); err != nil {
				b.t.Fatal(err)
			}
		}
		return channel
	}
	leave := func(user, conn string) {
		channel, _ := naming.UserChannel(user)
		if _, err := b.s.Leave(b.t.Context(), b.lease("n-1"), channel, user, conn, "e", CauseClosed); err != nil {
			b.t.Fatal(err)
		}
	}
	status := func(user string) Status {
		us, err := b.s.Statuses(b.t.Context(), []string{"nobody", user})
		if err != nil || len(us) != 2 || us[0].User != nil || us[0].LastSeen != 0 || us[1].ID != user {
			b.t.Fatalf("statuses %+v, %v", us, err)
		}
		return us[1]
	}
	want := func(what, user string, least, most int64) {
		b.t.Helper()
		if s := status(user); s.User != nil || s.LastSeen < least || s.LastSeen > most {
			b.t.Errorf("%s: online %v, last seen at %d, want %d to %d", what, s.User, s.LastSeen, least, most)
		}
	}
	channel := enter("ann", "c1", "c2")
	leave("ann", "c1")
	if s := status("ann"); s.User == nil || len(s.User.Metas) != 1 || s.LastSeen != 0 {
		b.t.Errorf("with one connection: %+v", s)
	}
	before := b.now()
	leave("ann", "c2")
	want("the last leaves", "ann", before, b.now())
	if ttl, err := strconv.Atoi(b.do("pttl", b.s.keys.Head(channel))); err != nil || ttl < 99*3600*1000 ||
		ttl > 100*3600*1000 {
		b.t.Errorf("it is kept for %d ms, %v", ttl, err)
	}
	enter("ann", "c3")
	if s := status("ann"); s.User == nil || s.LastSeen != 0 {
		b.t.Errorf("back: %+v", s)
	}
	dead := b.now() - 5000
	if _, err := b.s.RemoveIncarnation(b.t.Context(), channel, "n-1", dead); err != nil {
		b.t.Fatal(err)
	}
	want("their node died", "ann", dead, dead)

	enter("ann", "c4")
	before = b.now()
	if _, err := b.s.RemoveIncarnation(b.t.Context(), channel, "n-1", before+3600_000); err != nil {
		b.t.Fatal(err)
	}
	want("a node that stopped before its lease was over", "ann", before, b.now())

	enter("bob", "c5")
	m := device("c5")
	bobs, _ := naming.UserChannel("bob")
	before = b.now()
	if _, err := b.s.Linger(b.t.Context(), b.lease("n-1"), bobs, "bob", &m, "", "", 0, "", CauseLost); err != nil {
		b.t.Fatal(err)
	}
	refs := []entryRef{{"c5", "bob"}}
	if _, _, err := b.s.remove(b.t.Context(), bobs, "n-1", removeAll, before-5000, refs); err != nil {
		b.t.Fatal(err)
	}
	want("lingered until then", "bob", before, b.now())

	enter("eve", "c6")
	b.s.KeepLastSeen(0)
	leave("eve", "c6")
	want("nothing is kept", "eve", 0, 0)
	if ann, err := b.s.Statuses(b.t.Context(), []string{"ann", ""}); err == nil {
		b.t.Errorf("an id that is none: %v", ann)
	}
}
