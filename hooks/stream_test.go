package hooks

import (
	"errors"
	"testing"
	"time"
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
		late := claim{"1", time.Now().Add(time.Second).UnixMilli()}
		for _, try := range []struct {
			claim   claim
			request *request
			want    error
			more    int
		}{
			{late, first, nil, 1},
			{late, first, nil, 1}, // the answer was lost
			{claim{"1", late.ends + 10_000}, next, nil, 2},
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
