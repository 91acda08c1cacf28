package hub

import (
	"bytes"
	"runtime"
	"testing"

	"rollcall/broker"
)

// strictBroker holds the contract of broker.Receiver: it fails the test when a receiver calls Unsubscribe, which would
// never return if that very call is the one it waits for.
type strictBroker struct {
	Broker
	t testing.TB
}

// strictReceiver marks the stack of the calls of a receiver.
type strictReceiver struct{ broker.Receiver }

func (r strictReceiver) Receive(payload string) { r.Receiver.Receive(payload) }
func (r strictReceiver) Resubscribed()          { r.Receiver.Resubscribed() }

func (b strictBroker) Attach(topic string, r broker.Receiver) (confirmed bool) {
	return b.Broker.Attach(topic, strictReceiver{r})
}

func (b strictBroker) Unsubscribe(topic string, r broker.Receiver) {
	if insideReceiver() {
		b.t.Errorf("%s is unsubscribed from within a receiver", topic)
		return
	}
	b.Broker.Unsubscribe(topic, strictReceiver{r})
}

func insideReceiver() bool {
	stack := make([]byte, 1<<16)
	return bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("hub.strictReceiver."))
}

// probe is a receiver that looks where it is called.
type probe struct{ inside chan bool }

func (p probe) Receive(string) { p.inside <- insideReceiver() }
func (p probe) Resubscribed()  { p.inside <- insideReceiver() }

// The contract is looked at in every call of a receiver, and nowhere else. All tests of the hub go by such a broker.
func TestStrictBroker(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n")
	b, p := strictBroker{n.broker, t}, probe{make(chan bool, 2)}
	if b.Attach("topic", p) || !<-p.inside {
		t.Error("Resubscribed is not seen")
	}
	must(t, b.Publish(t.Context(), "topic", []byte("hello")))
	if !<-p.inside {
		t.Error("Receive is not seen")
	}
	if insideReceiver() {
		t.Error("a test is taken for a receiver")
	}
	b.Unsubscribe("topic", p)
}
