package broker

import (
	"testing"

	"rollcall/integration_test/redistest"
)

// A master that became a replica takes subscriptions, but does not get all that is published: no lane is made to it.
func TestNoLaneToAReplica(t *testing.T) {
	server := redistest.ClusterOf(t, redistest.Shape{Replicas: true})
	b, err := Open(t.Context(), Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	topic := b.keys.Topic("room")
	master := server.Owner(Slot(topic))
	for i, p := range server.Nodes()[:3] {
		if p != master {
			continue
		}
		l := newLink(b, "id")
		for at, want := range map[*redistest.Process]error{server.Nodes()[i+3]: errReplica, master: nil} {
			ln := newLane(l, place{addr: at.Addr(), node: at.Client()}, topic)
			c, err := ln.connect(t.Context())
			if err != want {
				t.Errorf("%s: %v, want %v", at.Addr(), err, want)
			}
			if err == nil {
				ln.hangUp(c)
			}
		}
	}
}
