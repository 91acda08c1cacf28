package outbox

import (
	"testing"
	"time"

	"rollcall/testkit"
)

// TestWatchdogEnds: the watchdog is closed while it is on its way to a connection that needs nothing any more; what
// woke it was the connection, and the close's own signal found the place taken.
func TestWatchdogEnds(t *testing.T) {
	var r watchdog
	r.init()
	r.add(&Conn{finished: true})
	r.close()
	<-r.kick
	ended := make(chan struct{})
	go func() {
		r.run(func() time.Duration { return 0 })
		close(ended)
	}()
	testkit.Receive(t, ended, "the watchdog's end")
}
