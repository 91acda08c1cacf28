package presence

import (
	"testing"
	"testing/synctest"
)

// DESIGN 3, generations: when an incarnation is given up "all its entries" are written again, at once: also while a check
// waits for Redis. Else reapers may find them under the old one, and SPEC 5.1 has no leave "for those who stayed".
func TestWritesDoNotWaitForChecks(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
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
