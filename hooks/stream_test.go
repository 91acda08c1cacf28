package hooks

import (
	"errors"
	"testing"
	"time"

	"rollcall/testkit/backend"
)

// "A node's claim ends …, and another goes on": what a node has said last may arrive when another has appended it, and
// more. It is not appended again.
func TestLateAppend(t *testing.T) {
	onStage(t, 1, Hook{Stream: "events"}, func(t *testing.T, s *stage) {
		sink := s.nodes[0].hooks.runners[0].sink
		first := newRequest([]Event{{Type: Leave, Channel: "room", UserID: "ann"}}, nil)
		next := newRequest([]Event{{Type: Join, Channel: "room", UserID: "ann"}}, nil)
		time.Sleep(time.Second)
		base := s.nodes[0].client.Keys().Stream("events")
		entries, err := s.redis.Stream(base)
		if err != nil {
			t.Fatal(err)
		}
		before := len(entries) // the reset
		late := claim{part: "1", ends: time.Now().Add(time.Second).UnixMilli()}
		for _, try := range []struct {
			claim   claim
			request *request
			want    error
			more    int
		}{
			{late, first, nil, 1},
			{late, first, nil, 1}, // the answer was lost
			{claim{part: "1", ends: late.ends + 10_000}, next, nil, 2},
			{late, first, errLost, 2},
		} {
			time.Sleep(400 * time.Millisecond)
			if err := sink.deliver(t.Context(), try.claim, try.request); !errors.Is(err, try.want) {
				t.Errorf("deliver: %v, want %v", err, try.want)
			}
			if entries, _ := s.redis.Stream(base); len(entries)-before != try.more {
				t.Errorf("%d entries, want %d", len(entries)-before, try.more)
			}
		}
	})
}

// On a Redis Cluster a stream may lie on another master than its hook. Its failover may lose entries that the hook has
// noted as acknowledged. It sees that, and begins anew.
func TestStreamLosesEntries(t *testing.T) {
	for name, tt := range map[string]struct {
		lost  func(t *testing.T, s *stage, ann string) // writes what is lost
		after func(s *stage)
	}{
		"its last entry": {
			lost: func(_ *testing.T, s *stage, ann string) { s.nodes[0].leave("room", "ann", ann) },
		},
		"an entry before a change": {
			lost:  func(_ *testing.T, s *stage, ann string) { s.nodes[0].leave("room", "ann", ann) },
			after: func(s *stage) { s.nodes[0].join("room", "bob", "") },
		},
		"a synchronisation": {
			lost: func(t *testing.T, s *stage, _ string) {
				s.nodes[0].join("room2", "cat", "")
				if err := s.nodes[0].hooks.Sync(t.Context(), "h"); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, 2, Hook{Stream: "events"}, func(t *testing.T, s *stage) {
				time.Sleep(5 * time.Second)
				ann := s.nodes[0].join("room", "ann", "")
				time.Sleep(5 * time.Second)
				lose := s.streamNow(t)
				tt.lost(t, s, ann)
				time.Sleep(5 * time.Second)
				if !lose() {
					t.Fatal("nothing was appended that can be lost")
				}
				if tt.after != nil {
					tt.after(s)
				}
				time.Sleep(100 * time.Second) // some audits
				fold := s.streamFold(t)
				s.compare(fold)
				if fold.Resets() != 2 {
					t.Errorf("%d resets, want the first one and another", fold.Resets())
				}
				for _, fault := range fold.Faults() {
					t.Error(fault)
				}
			})
		})
	}
}

// Nothing is appended behind a gap, whichever request it is of which the stream does not know.
func TestAppendBehindAGap(t *testing.T) {
	onStage(t, 1, Hook{Stream: "events"}, func(t *testing.T, s *stage) {
		time.Sleep(time.Second)
		sink := s.nodes[0].hooks.runners[0].sink
		marks := s.nodes[0].client.Keys().StreamMarks("events")
		synced := s.redis.HGet(marks, "h sync")
		event := Event{Type: Leave, Channel: "room", UserID: "ann"}
		made := func() *request { return newRequest([]Event{event}, nil) }
		first, second, third := made(), made(), made()
		for i, try := range []struct {
			request *request
			last    acknowledged
			want    error
		}{
			{first, acknowledged{"gone", synced}, errForgotten},
			{first, acknowledged{"", "gone"}, errForgotten},
			{first, acknowledged{"", synced}, nil},
			{second, acknowledged{first.ID, "gone"}, errForgotten},
			{second, acknowledged{first.ID, synced}, nil},
			{third, acknowledged{first.ID, synced}, errForgotten},
			{third, acknowledged{second.ID, ""}, nil}, // part of a synchronisation
		} {
			c := claim{"1", time.Now().Add(time.Minute).UnixMilli(), try.last}
			if err := sink.(keeper).look(t.Context(), c); !errors.Is(err, try.want) {
				t.Errorf("look %d: %v, want %v", i, err, try.want)
			}
			for range 2 { // the first answer was lost
				if err := sink.deliver(t.Context(), c, try.request); !errors.Is(err, try.want) {
					t.Errorf("deliver %d: %v, want %v", i, err, try.want)
				}
			}
		}
	})
}

// streamNow notes what is in the stream, and gives a func that loses all that is appended to it since; false: nothing.
func (s *stage) streamNow(t *testing.T) (lose func() bool) {
	t.Helper()
	keys := s.nodes[0].client.Keys()
	stream, marks := keys.Stream("events"), keys.StreamMarks("events")
	entries, err := s.redis.Stream(stream)
	if err != nil {
		t.Fatal(err)
	}
	had := map[string]string{}
	fields, err := s.redis.HKeys(marks)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range fields {
		had[field] = s.redis.HGet(marks, field)
	}
	return func() (any bool) {
		now, err := s.redis.Stream(stream)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range now[len(entries):] {
			if _, err := s.nodes[0].client.Do(t.Context(), "xdel", stream, e.ID); err != nil {
				t.Fatal(err)
			}
			any = true
		}
		s.redis.Del(marks)
		for field, id := range had {
			s.redis.HSet(marks, field, id)
		}
		return any
	}
}

// streamFold is what a consumer of the stream knows.
func (s *stage) streamFold(t *testing.T) *backend.Fold {
	t.Helper()
	entries, err := s.redis.Stream(s.nodes[0].client.Keys().Stream("events"))
	if err != nil {
		t.Fatal(err)
	}
	fold := &backend.Fold{}
	for _, e := range entries {
		if err := fold.Append(e.Values[1]); err != nil {
			t.Fatal(err)
		}
	}
	return fold
}
