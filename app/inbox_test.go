package app

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/hub"
)

var wide = inboxLimit{events: 1024, eventBytes: 1 << 20, messages: 1024, bytes: 1 << 20}

// text writes what was taken in short.
func (t taken) text() string {
	switch {
	case t.message != nil && t.message.binary:
		return "binary " + t.message.data
	case t.message != nil:
		return "ws " + t.message.data
	case t.event != nil:
		return "event " + t.event.Channel
	case t.closed:
		return "closed"
	}
	return "nothing"
}

func broadcastIn(name string) *hub.Event { return &hub.Event{Kind: hub.EventBroadcast, Channel: name} }

// SPEC 1.1: recv: "channel and presence events stay queued"; recv_any: "whichever comes first … What was received
// before the close is delivered before nil, closed".
func TestInboxOrder(t *testing.T) {
	tests := []struct{ name, steps, want string }{
		{"nothing", "any", "nothing"},
		{"first come first taken", "m1 e1 m2 e2 any any any any any", "ws 1,event 1,ws 2,event 2,nothing"},
		{"recv leaves events", "e1 m1 e2 recv recv any any", "ws 1,nothing,event 1,event 2"},
		{"binary", "b1 recv", "binary 1"},
		{"what came before the close comes first", "m1 e1 end any any any any", "ws 1,event 1,closed,closed"},
		{"recv after the close leaves events", "e1 end recv any", "closed,event 1"},
		{"nothing comes after the close", "end m1 e1 any", "closed"},
		{"a close by the script forgets the rest", "m1 e1 drop any recv", "closed,closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newInbox(wide)
			var got []string
			for _, step := range strings.Fields(tt.steps) {
				switch {
				case step == "any":
					got = append(got, q.take(true).text())
				case step == "recv":
					got = append(got, q.take(false).text())
				case step == "end":
					q.end()
				case step == "drop":
					q.drop()
				case step[0] == 'e':
					q.putEvent(broadcastIn(step[1:]))
				default:
					q.putMessage(step[1:], step[0] == 'b', nil)
				}
			}
			if strings.Join(got, ",") != tt.want {
				t.Fatalf("got %q, want %q", strings.Join(got, ","), tt.want)
			}
		})
	}
}

// SPEC 1.1: "A script's event queue is bounded … Client messages beyond it wait in the socket."
func TestInboxBounds(t *testing.T) {
	q := newInbox(inboxLimit{events: 2, eventBytes: 1 << 20, messages: 2, bytes: 10})
	if !q.putEvent(broadcastIn("1")) || !q.putEvent(broadcastIn("2")) || q.putEvent(broadcastIn("3")) {
		t.Fatal("the third event must be refused and the others not")
	}
	if !q.tryMessage("a", false, false) || !q.tryMessage("b", false, false) || q.tryMessage("c", false, false) {
		t.Fatal("the third message must wait and the others not")
	}
	q.take(false)
	if q.tryMessage("0123456789", false, false) {
		t.Fatal("eleven bytes must wait")
	}
	q.take(false)
	if !q.tryMessage("more than ten bytes", false, false) {
		t.Fatal("one message of any size is taken when none waits")
	}
}

func TestInboxReaderWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newInbox(inboxLimit{events: 1, eventBytes: 1 << 20, messages: 1, bytes: 100})
		q.putMessage("1", false, nil)
		put := false
		go func() { q.putMessage("2", false, nil); put = true }()
		synctest.Wait()
		if put {
			t.Fatal("the second message was taken without room")
		}
		q.take(false)
		synctest.Wait()
		if !put || q.take(false).text() != "ws 2" {
			t.Fatal("the second message was not taken when there was room")
		}
	})
}

// A reader that waits when the connection goes hands over what it read, and lets go.
func TestInboxReaderLetsGo(t *testing.T) {
	for _, how := range []string{"gone", "end", "drop"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newInbox(inboxLimit{events: 1, eventBytes: 1 << 20, messages: 1, bytes: 100})
				gone := make(chan struct{})
				q.putMessage("1", false, gone)
				done := make(chan struct{})
				go func() { q.putMessage("2", false, gone); close(done) }()
				synctest.Wait()
				switch how {
				case "gone":
					close(gone)
				case "end":
					q.end()
				case "drop":
					q.drop()
				}
				<-done
				if how == "gone" {
					q.take(false)
					if got := q.take(false).text(); got != "ws 2" {
						t.Fatalf("took %s", got)
					}
				}
			})
		})
	}
}

func TestInboxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newInbox(wide)
		start := time.Now()
		if got := q.wait(true, 50*time.Millisecond).text(); got != "nothing" || time.Since(start) != 50*time.Millisecond {
			t.Fatalf("%s after %v", got, time.Since(start))
		}
		if got := q.wait(true, 0).text(); got != "nothing" {
			t.Fatal(got)
		}
		go func() {
			time.Sleep(time.Hour)
			q.putEvent(broadcastIn("1")) // recv does not take it
			time.Sleep(time.Hour)
			q.putMessage("1", false, nil)
		}()
		if got := q.wait(false, -1).text(); got != "ws 1" || time.Since(start) < 2*time.Hour {
			t.Fatalf("%s after %v", got, time.Since(start))
		}
		go func() { time.Sleep(time.Second); q.end() }()
		if got := q.wait(true, -1).text() + q.wait(true, -1).text(); got != "event 1closed" {
			t.Fatal(got)
		}
	})
}

func TestQueueKeepsOrderAndMemoryBounded(t *testing.T) {
	var q queue[string]
	next, want := 0, 0
	for round := range 200 {
		for range round % 7 {
			q.push(fmt.Sprint(next))
			next++
		}
		for range round % 5 {
			if q.len() > 0 {
				if got := q.pop(); got != fmt.Sprint(want) {
					t.Fatalf("popped %s, want %d", got, want)
				}
				want++
			}
		}
	}
	for q.len() > 0 {
		q.pop()
	}
	if cap(q.items) != 0 {
		t.Fatalf("an empty queue keeps room for %d", cap(q.items))
	}
}

// TestInboxBytes: events are bounded in bytes, too; a large one is taken when it is alone.
func TestInboxBytes(t *testing.T) {
	q := newInbox(inboxLimit{events: 1024, eventBytes: 10_000, messages: 1, bytes: 1})
	event := func(n int) *hub.Event {
		return &hub.Event{Kind: hub.EventBroadcast, Channel: "c", Data: hub.Value{Text: strings.Repeat("x", n)}}
	}
	for _, step := range []struct {
		size int // 0: take one
		ok   bool
	}{{100_000, true}, {1, false}, {0, true}, {4000, true}, {4000, true}, {4000, false}, {100, true}, {0, true}, {4000,
		true}, {4000, false}} {
		if step.size == 0 {
			if got := q.take(true); got.event == nil {
				t.Fatal("nothing waits")
			}
			continue
		}
		if ok := q.putEvent(event(step.size)); ok != step.ok {
			t.Errorf("%d bytes taken: %v", step.size, ok)
		}
	}
	for q.take(true).event != nil {
	}
	if q.eventBytes != 0 {
		t.Errorf("%d bytes are left", q.eventBytes)
	}
}
