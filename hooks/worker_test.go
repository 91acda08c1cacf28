package hooks

import (
	"testing"
	"time"
)

// SPEC 10: "join and leave alternate strictly …; another device in or out, or new metadata, is an update; occupied
// before the first join, vacated after the last leave"; Promise 8: "within 1 s + settle when calm".
func TestTold(t *testing.T) {
	onStage(t, 2, Hook{}, func(_ *testing.T, s *stage) {
		s.after(time.Second, "reset")
		a, b := s.nodes[0], s.nodes[1]
		c1 := a.join("room", "ann", "")
		s.after(time.Second, "occupied room", "join room ann")
		c2 := b.join("room", "ann", "")
		s.after(time.Second, "update room ann")
		c3 := b.join("room", "bob", `{"n":1}`)
		s.after(time.Second, "join room bob")
		b.write("room", "bob", c3, `{"n":2}`)
		s.after(time.Second, "update room bob")
		a.leave("room", "ann", c1)
		s.after(time.Second, "update room ann")
		b.leave("room", "ann", c2)
		s.after(time.Second, "leave room ann")
		b.leave("room", "bob", c3)
		s.after(time.Second, "leave room bob", "vacated room")
		s.after(time.Minute)
	})
}

// "A request is kept before it is sent and repeated unchanged, with the same id and events, until its 2xx"; "retries
// with waits that grow to 3 s, one request at a time for a hook and node while it fails"; "a backlog is as long as the
// users that changed, not as their events".
func TestSinkIsAway(t *testing.T) {
	onStage(t, 2, Hook{}, func(t *testing.T, s *stage) {
		s.after(time.Second, "reset")
		a, b := s.nodes[0], s.nodes[1]
		stays := a.join("room", "ann", "")
		s.after(time.Second, "occupied room", "join room ann")
		s.sink.set(fails)
		a.leave("room", "ann", stays)
		time.Sleep(time.Second)
		first := s.sink.asks()[0]
		for range 50 {
			c := a.join("room", "ann", "")
			a.leave("room", "ann", c)
			b.leave("room", "bob", b.join("room", "bob", ""))
		}
		b.join("room", "bob", "")
		before := len(s.sink.asks())
		s.after(time.Minute)
		asked := s.sink.asks()
		if n := len(asked) - before; n < 15 || n > 30 {
			t.Errorf("asked %d times in a minute, want about every 3 s", n)
		}
		for _, id := range asked {
			if id != first {
				t.Errorf("request %s in place of %s", id, first)
			}
		}
		st, err := a.hooks.List(t.Context())
		if err != nil || st[0].State != Failing || st[0].Owed != 2 || st[0].OldestMS < 60_000 ||
			st[0].LastError != errSink.Error() {
			t.Errorf("status %+v, %v", st, err)
		}
		s.sink.set(works)
		s.after(5*time.Second, "leave room ann", "vacated room", "occupied room", "join room bob")
		if st, err := b.hooks.List(t.Context()); err != nil || st[0].State != OK || st[0].Owed != 0 || st[0].Delivered != 7 {
			t.Errorf("status %+v, %v", st, err)
		}
	})
}

// "it is repeated unchanged": by another node too, when the one that sent it dies; and what it has marked is not sent
// again.
func TestNodeDiesWhileItOwes(t *testing.T) {
	onStage(t, 3, Hook{}, func(t *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		s.sink.set(fails)
		c := s.nodes[2].join("room", "ann", "")
		time.Sleep(time.Second)
		first := s.sink.asks()[0]
		for _, m := range s.nodes[:2] { // the parts are on all of them: two of three die
			m.kill()
		}
		time.Sleep(10 * time.Second)
		s.nodes[2].leave("room", "ann", c)
		s.sink.set(works)
		s.after(5*time.Second, "occupied room", "join room ann", "leave room ann", "vacated room")
		if again := s.sink.asks()[0]; again != first {
			t.Errorf("request %s, want %s again", again, first)
		}
	})
}

// "marks it after the sink's 2xx": an answer that is lost makes it come again, and nothing else.
func TestAnswerIsLost(t *testing.T) {
	onStage(t, 1, Hook{}, func(t *testing.T, s *stage) {
		s.after(time.Second, "reset")
		s.sink.set(func(try int, r *request) error {
			if try == 1 {
				_ = s.sink.fold.Take(r.Body)
				return errSink
			}
			return nil
		})
		s.nodes[0].join("room", "ann", "")
		s.after(time.Second, "occupied room", "join room ann")
		if asked := s.sink.asks(); len(asked) != 2 || asked[0] != asked[1] {
			t.Errorf("asked %v", asked)
		}
	})
}

// "A change that is undone within settle ms is not told."
func TestSettle(t *testing.T) {
	onStage(t, 2, Hook{Settle: 3 * time.Second}, func(_ *testing.T, s *stage) {
		s.after(time.Second, "reset")
		a := s.nodes[0]
		c := a.join("room", "ann", "")
		s.after(2 * time.Second)
		a.leave("room", "ann", c)
		s.after(5 * time.Second)
		c = a.join("room", "ann", "")
		s.after(4*time.Second, "occupied room", "join room ann")
		a.leave("room", "ann", c)
		time.Sleep(2500 * time.Millisecond)
		c = a.join("room", "ann", "")
		s.after(4*time.Second, "update room ann") // it is another connection
		time.Sleep(time.Second)
		a.write("room", "ann", c, `{"n":1}`) // an update does not make the leave come sooner
		time.Sleep(2 * time.Second)
		a.leave("room", "ann", c)
		s.after(2500 * time.Millisecond)
		s.after(time.Second, "leave room ann", "vacated room")
		for range 10 { // changes of one who has come do not put the join off
			a.join("room", "bob", "")
			time.Sleep(500 * time.Millisecond)
			a.join("room", "bob", "")
		}
		s.after(0, "occupied room", "join room bob")
		s.after(5*time.Second, "update room bob")
	})
}

// "Without events: join and leave", and "one request at a time for a channel": what a hook does not ask for is not
// sent, and is noted all the same.
func TestEventsOfAHook(t *testing.T) {
	onStage(t, 1, Hook{Events: []Kind{Occupied, Vacated}}, func(t *testing.T, s *stage) {
		s.after(time.Second, "reset")
		a := s.nodes[0]
		ann := a.join("room", "ann", "")
		bob := a.join("room", "bob", "")
		a.leave("room", "ann", ann)
		s.after(time.Second, "occupied room")
		a.leave("room", "bob", bob)
		s.after(time.Second, "vacated room")
		if st, err := a.hooks.List(t.Context()); err != nil || st[0].Owed != 0 {
			t.Errorf("status %+v, %v", st, err)
		}
	})
}

// A waking that is lost costs at most one audit.
func TestWakingsAreLost(t *testing.T) {
	onStage(t, 2, Hook{}, func(_ *testing.T, s *stage) {
		s.after(time.Second, "reset")
		a := s.nodes[0]
		ann := a.join("room", "ann", "")
		s.after(time.Second, "occupied room", "join room ann")
		a.mu.Lock()
		a.deaf = true
		a.mu.Unlock()
		a.leave("room", "ann", ann)
		a.join("room", "bob", "")
		a.join("other", "cat", "")
		time.Sleep(31 * time.Second)
		s.equal(0)
	})
}

// "410 pauses the hook in the whole cluster, until sync is asked for or its definition changes."
func TestGone(t *testing.T) {
	onStage(t, 3, Hook{}, func(t *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		for _, room := range []string{"a", "b", "c", "d"} {
			s.nodes[0].join(room, "ann", "")
		}
		time.Sleep(time.Second)
		s.sink.fold.Log()
		s.sink.set(func(int, *request) error { return errGone })
		bob := s.nodes[1].join("a", "bob", "")
		time.Sleep(time.Second)
		s.sink.set(works)
		s.nodes[1].join("b", "bob", "")
		s.nodes[1].leave("a", "bob", bob)
		s.after(time.Minute)
		if asked := s.sink.asks(); len(asked) > 0 {
			t.Errorf("asked %d times while paused", len(asked))
		}
		for _, m := range s.nodes {
			if st, err := m.hooks.List(t.Context()); err != nil || st[0].State != Paused || st[0].Owed > 1 {
				t.Errorf("status %+v, %v", st, err)
			}
		}
		if err := s.nodes[2].hooks.Sync(t.Context(), "h"); err != nil {
			t.Fatal(err)
		}
		s.after(8*time.Second, "reset", "sync a ann", "sync b ann bob", "sync c ann", "sync d ann")
		s.nodes[0].join("a", "cat", "")
		s.after(time.Second, "join a cat")
		s.sink.set(func(int, *request) error { return errGone })
		s.nodes[0].join("a", "dan", "")
		time.Sleep(time.Second)
		s.sink.set(works)
		s.start(Hook{Channels: []string{"a", "b"}})
		s.after(8*time.Second, "reset", "sync a ann cat dan", "sync b ann bob")
		if err := s.nodes[0].hooks.Sync(t.Context(), "nobody"); err != ErrUnknown {
			t.Errorf("sync of a hook that is not there: %v", err)
		}
	})
}
