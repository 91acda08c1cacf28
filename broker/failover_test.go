package broker_test

import (
	"errors"
	"testing"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// SPEC 5.2: "Redis ... failed over to a replica". The master is killed, or only frozen: then its connections stay open.
func TestFailover(t *testing.T) {
	for name, fault := range map[string]func(*redistest.Process){
		"killed": (*redistest.Process).Kill,
		"frozen": (*redistest.Process).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Sentinel(t)
			b := open(t, fast(server.URL()))
			r := subscribed(t, b, "topic")
			if _, err := b.Do(t.Context(), "set", "k", "v"); err != nil {
				t.Fatal(err)
			}
			before := b.Breaks()
			old := server.Master()
			fault(old)
			testkit.Eventually(t, "a command fails", func() bool {
				_, err := b.Do(t.Context(), "set", "k", "v")
				return errors.Is(err, redisconn.ErrUnavailable)
			})
			testkit.Eventually(t, "sentinel promotes the replica", func() bool { return server.Master() != old })
			r.wantAgain(t)
			publish(t, b, "topic", "after")
			r.want(t, "after")
			testkit.Eventually(t, "commands work",
				func() bool { _, err := b.Do(t.Context(), "set", "k", "v"); return err == nil })
			if b.Breaks() == before {
				t.Fatal("no break was told")
			}
		})
	}
}
