package broker_test

import (
	"strings"
	"testing"

	"rollcall/broker"
	"rollcall/integration_test/redistest"
)

// SPEC 3, --redis-prefix: "nodes share what they see only when prefix and database number are the same; that holds for
// topics as for keys".
func TestDatabasesDoNotHearEachOther(t *testing.T) {
	r := redistest.Mini(t)
	other := strings.TrimSuffix(r.URL(), "/") + "/1"
	a, b, c := open(t, broker.Config{URL: r.URL()}), open(t, broker.Config{URL: other}), open(t, broker.Config{URL: other})
	topics := func(b *broker.Broker) []string {
		k := b.Keys()
		return []string{k.Topic("room"), k.AllTopic(), k.NodeTopic("same")}
	}
	heard := map[*broker.Broker]*recorder{}
	for _, on := range []*broker.Broker{a, b, c} {
		heard[on] = newRecorder()
		for _, topic := range topics(on) {
			if err := on.Subscribe(t.Context(), topic, heard[on]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range topics(a) {
		for _, from := range []*broker.Broker{a, b} {
			name := map[*broker.Broker]string{a: "of 0", b: "of 1"}[from]
			if err := from.Publish(t.Context(), topics(from)[i], []byte(name)); err != nil {
				t.Fatal(err)
			}
		}
		heard[a].want(t, "of 0")
		heard[b].want(t, "of 1")
		heard[c].want(t, "of 1")
	}
}

func TestKeysOfADatabase(t *testing.T) {
	k := broker.NewKeysIn("rollcall", 3)
	for got, want := range map[string]string{
		k.Topic("room"):      "rollcall:db3:t:{room}",
		k.AllTopic():         "rollcall:db3:t:all",
		k.NodeTopic("p1"):    "rollcall:db3:t:node:p1",
		k.Head("room"):       "rollcall:p:{room}",
		k.Store("chat", "a"): "rollcall:store:chat:a",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, name := range []string{k.Topic("a{b}"), k.Head("a{b}")} {
		if channel, ok := k.ChannelOf(name); !ok || channel != "a{b}" {
			t.Errorf("%q is of channel %q, %v", name, channel, ok)
		}
	}
}
