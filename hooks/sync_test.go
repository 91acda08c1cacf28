package hooks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// "The first request of a new hook …: an event reset, then for each channel with somebody in it sync …, in parts when
// it is large …. Until the last sync is acknowledged no other event of that hook is sent."
func TestSync(t *testing.T) {
	onStage(t, 3, Hook{Channels: []string{"room*"}}, func(t *testing.T, s *stage) {
		s.sink.set(fails)
		a := s.nodes[0]
		for i := range 300 {
			a.join("room1", fmt.Sprint("user", i), fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", 1000)))
		}
		a.join("room2", "ann", "")
		a.join("lobby", "ann", "")
		time.Sleep(20 * time.Second)
		s.sink.fold.Log()
		s.sink.set(func(try int, _ *request) error {
			if try%2 == 1 {
				return errSink
			}
			return nil
		})
		if err := a.hooks.Sync(t.Context(), "h"); err != nil {
			t.Fatal(err)
		}
		bob := a.join("room3", "bob", "")
		time.Sleep(40 * time.Second)
		a.leave("room3", "bob", bob)
		s.equalIn(2*lastWait, "room1", "room2", "room3") // the node that tells it may have seen the sink fail before
		log := s.sink.fold.Log()
		parts := 0
		for i, line := range log {
			switch {
			case strings.HasPrefix(line, "sync room1"):
				parts++
			case strings.HasPrefix(line, "join"), strings.HasPrefix(line, "leave"):
				if slices.ContainsFunc(log[i:], func(l string) bool { return strings.HasPrefix(l, "sync") }) {
					t.Errorf("%s before the last sync", line)
				}
			}
		}
		if len(log) == 0 || log[0] != "reset" || parts < 5 {
			t.Errorf("%d parts of room1, of %d events", parts, len(log))
		}
	})
}

// "after a wipe of Redis": those who stayed, and are written again by their nodes, are not told as gone.
func TestWipe(t *testing.T) {
	onStage(t, 3, Hook{}, func(_ *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		a, b := s.nodes[0], s.nodes[1]
		ann, bob := a.join("room", "ann", ""), b.join("room", "bob", "")
		cat := b.join("other", "cat", "")
		time.Sleep(time.Second)
		s.sink.fold.Log()
		s.redis.FlushAll()
		time.Sleep(2 * time.Second)
		a.write("room", "ann", ann, "")
		time.Sleep(2 * time.Second)
		b.write("room", "bob", bob, "")
		delete(b.conns, "other\n"+cat) // has gone meanwhile
		s.after(10*time.Second, "reset", "sync room ann bob")
		s.equal(time.Minute)
	})
}

// A failover may lose what was marked: then nobody knows what the sink was told, and it is told anew.
func TestMarksAreLost(t *testing.T) {
	onStage(t, 2, Hook{}, func(_ *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		a := s.nodes[0]
		ann := a.join("room", "ann", "")
		s.after(time.Second, "occupied room", "join room ann")
		base := a.client.Keys().Hook("h")
		s.redis.Del(base + ":t:room")
		for _, m := range s.nodes {
			s.redis.HSet(base+":marks", m.hooks.cfg.Process, "0")
		}
		a.leave("room", "ann", ann)
		a.join("room", "bob", "")
		time.Sleep(10 * time.Second)
		s.equal(0)
	})
}

// With the marks a failover may lose the claims too. Another node that has them then waits until the one that had told
// says so.
func TestMarksAndClaimsAreLost(t *testing.T) {
	onStage(t, 2, Hook{}, func(_ *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		room := "room"
		for partOf(room) > 0 { // which whoever claims first has
			room += "x"
		}
		before := s.marks()
		s.nodes[0].join(room, "ann", "")
		s.after(time.Second, "occupied "+room, "join "+room+" ann")
		teller, other := s.nodes[0], s.nodes[1]
		if s.marks()[1] > before[1] {
			teller, other = other, teller
		}
		teller.cutOff()
		s.forget(room, before)
		other.hooks.Suspect()
		synctest.Wait()
		other.hooks.Changed(Change{Channel: room, User: "ann"})
		time.Sleep(time.Second)
		teller.comeBack()
		s.after(2*hold, "reset", "sync "+room+" ann")
	})
}

// A failover may lose a request that was kept, before its acknowledgement was noted. Then too nobody knows what the
// sink was told.
func TestKeptRequestIsLost(t *testing.T) {
	onStage(t, 2, Hook{}, func(_ *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		before := s.marks()
		taken := make(chan *member, 1)
		s.sink.set(func(int, *request) error {
			for _, m := range s.nodes { // while the sink is asked
				if len(m.hooks.runners[0].busy()) > 0 {
					m.cutOff()
					s.forget("room", before)
					taken <- m
				}
			}
			return nil
		})
		s.nodes[0].join("room", "ann", "")
		teller := <-taken
		s.sink.set(works)
		for _, m := range s.nodes {
			m.hooks.Suspect()
			m.hooks.Changed(Change{Channel: "room", User: "ann"})
		}
		time.Sleep(time.Second)
		teller.comeBack()
		s.after(2*hold, "occupied room", "join room ann", "reset", "sync room ann")
	})
}

// marks are those that each node has made.
func (s *stage) marks() (all []int64) {
	for _, m := range s.nodes {
		all = append(all, m.hooks.runners[0].marks.Load())
	}
	return all
}

// forget lets Redis lose what was told of a channel, all claims, and the marks but for so many of each node.
func (s *stage) forget(channel string, marks []int64) {
	base := s.nodes[0].client.Keys().Hook("h")
	s.redis.Del(base + ":t:" + channel)
	s.redis.Del(base + ":claims")
	s.redis.Del(base + ":request:" + strconv.Itoa(partOf(channel)))
	for i, m := range s.nodes {
		s.redis.HSet(base+":marks", m.hooks.cfg.Process, fmt.Sprint(marks[i]))
	}
}

// cutOff parts a node from Redis, until comeBack.
func (m *member) cutOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, c := range m.cut {
		_ = c.Close()
	}
	m.cut = nil
}

func (m *member) comeBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = false
	m.hooks.Suspect()
}

// Redis may have lost who is present, and their nodes write it again soon: nobody leaves for that.
func TestPresenceIsLost(t *testing.T) {
	onStage(t, 2, Hook{}, func(_ *testing.T, s *stage) {
		s.after(5*time.Second, "reset")
		a := s.nodes[0]
		ann, bob := a.join("room", "ann", ""), a.join("room", "bob", "")
		time.Sleep(time.Second)
		s.sink.fold.Log()
		keys := a.client.Keys()
		for _, key := range []string{keys.Head("room"), keys.Users("room"), keys.User("room", "ann"),
			keys.User("room", "bob"), keys.Entries("room", "p1-1")} {
			s.redis.Del(key)
		}
		a.hooks.Changed(Change{Channel: "room", User: "ann"})
		a.hooks.Changed(Change{Channel: "room", User: "bob"})
		time.Sleep(3 * time.Second)
		a.write("room", "ann", ann, "")
		delete(a.conns, "room\n"+bob)
		s.after(time.Second, "update room ann") // written by the test at another time
		s.after(hold, "leave room bob")
	})
}

// A hook that no node has any more is forgotten.
func TestRemovedHook(t *testing.T) {
	onStage(t, 1, Hook{}, func(t *testing.T, s *stage) {
		s.after(time.Second, "reset")
		for i := range 500 {
			s.nodes[0].join(fmt.Sprint("room", i), "ann", "")
		}
		time.Sleep(10 * time.Second)
		s.sink.fold.Log()
		s.nodes[0].kill()
		s.start(Hook{Name: "next"})
		time.Sleep(forgetAfter + 2*presentEvery)
		for _, key := range s.redis.Keys() {
			if strings.Contains(key, "{w:h}") {
				t.Errorf("%s is left", key)
			}
		}
		s.sink.fold.Log()
	})
}

// equalIn is equal for some channels.
func (s *stage) equalIn(d time.Duration, channels ...string) {
	s.t.Helper()
	s.channels = map[string]bool{}
	for _, c := range channels {
		s.channels[c] = true
	}
	s.equal(d)
}
