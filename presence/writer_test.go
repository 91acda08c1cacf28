package presence

import (
	"testing"
	"testing/synctest"
)

// DESIGN 3, generations: when an incarnation is given up "all its entries" are written again, at once: also while a
// check waits for Redis. Else reapers may find them under the old one, and SPEC 5.1 has no leave "for those who
// stayed".
func TestWritesDoNotWaitForChecks(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		a, b := n.open("C"), n.open("D")
		a.track("c1", "ann")
		b.track("c1", "ann")
		b.c.Untrack(t.Context(), "c1", "ann") // to be tidied a ttl later
		gate := make(chan struct{})
		waiting := false
		n.set(func() {
			n.failed = func(what string) {
				if what == "batch" {
					n.set(func() { waiting = true })
					<-gate
				}
			}
		})
		stay(stageTTL+2*upkeep, n)
		n.set(func() {
			if !waiting {
				t.Error("no check waits for Redis")
			}
		})
		n.next()
		synctest.Wait()
		if got := s.client.ZCard(t.Context(), s.keys.Entries("C", "n1-2")).Val(); got != 1 {
			t.Errorf("the new incarnation has %d entries", got)
		}
		close(gate)
	})
}

// SPEC 5.2: a node killed, and Redis wiped a moment before. An entry written after a wipe, before the node has seen it,
// is on the list that reapers go by; also when the channel has begun a new history.
func TestWriteAfterAWipe(t *testing.T) {
	for name, begun := range map[string]bool{"the first": false, "after another node's": true} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				n1, n2 := s.actor("n1"), s.actor("n2")
				a, b := n1.open("C"), n2.open("C")
				a.track("c1", "ann")
				s.m.FlushAll()
				for _, src := range []string{messageSrc + joinSrc, registerSrc} {
					if err := s.client.ScriptLoad(t.Context(), src).Err(); err != nil {
						t.Fatal(err)
					}
				}
				if begun {
					_ = n2.Renew(t.Context())
					b.track("c2", "bob")
				}
				if pending := a.track("c3", "cid"); pending {
					t.Error("pending")
				}
				if n1.renewals == 0 {
					t.Error("the lease was not asked for")
				}
				if got := s.client.SMembers(t.Context(), s.keys.NodeChannels("n1-1")).Val(); len(got) != 1 {
					t.Errorf("the list is %v", got)
				}
				renewals := n1.renewals
				a.track("c4", "dan")
				if n1.renewals != renewals {
					t.Error("a write in the same history was refused")
				}
			})
		})
	}
}
