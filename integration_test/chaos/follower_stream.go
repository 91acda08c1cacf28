package chaos

import (
	"context"
	"fmt"
	"net/url"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
)

// listens opens an event stream at a node as an EventSource does that comes back: with the id of the last event, and no
// other word of where it was.
func (f *follower) listens(ctx context.Context, h *host) {
	first := nodetest.JSON(map[string]any{"join": f.channels})
	f.mu.Lock() // nothing is heard before it knows that it is connected
	defer f.mu.Unlock()
	f.life++
	life := f.life
	stream, err := nodetest.RecordStream(ctx, h.front.Addr(), "/sse/resume?first="+url.QueryEscape(first), f.id,
		func(e nodetest.Event, over bool) { f.hear(life, nodetest.Frame{Text: e.Data, Over: over}, e.ID) })
	if err != nil {
		return
	}
	f.beginLocked(stream)
	for _, channel := range f.channels {
		f.in[channel] = false
	}
}

// posts publishes the follower's next message at some node, as nothing can be sent on a stream.
func (f *follower) posts(channel string) {
	h := f.run.site.some(f.rng, nil)
	if h == nil || h.node.Exited() {
		return
	}
	f.said++ // of a stream its goroutine alone uses it
	s := &history.Saying{Channel: channel, Text: fmt.Sprint(f.hist.Name, ".", f.said), Sent: f.run.clock.now()}
	f.run.say(s)
	f.run.post(h, s)
}
