package broker_test

import (
	"strings"
	"testing"

	"rollcall/testkit/redistest"
)

// SPEC 3, --redis-prefix: "nodes share what they see only when prefix and database number are the same; that holds for
// topics as for keys".
func TestDatabasesDoNotHearEachOther(t *testing.T) {
	r := redistest.Mini(t)
	other := strings.TrimSuffix(r.URL(), "/") + "/1"
	a, b, c := open(t, config{URL: r.URL()}), open(t, config{URL: other}), open(t, config{URL: other})
	topics := func(b *node) []string {
		k := b.Keys()
		return []string{k.Topic("room"), k.AllTopic(), k.NodeTopic("same")}
	}
	heard := map[*node]*recorder{}
	for _, on := range []*node{a, b, c} {
		heard[on] = newRecorder()
		for _, topic := range topics(on) {
			on.subscribe(t, topic, heard[on])
		}
	}
	for i := range topics(a) {
		for _, from := range []*node{a, b} {
			name := map[*node]string{a: "of 0", b: "of 1"}[from]
			if err := from.Publish(t.Context(), topics(from)[i], []byte(name)); err != nil {
				t.Fatal(err)
			}
		}
		heard[a].want(t, "of 0")
		heard[b].want(t, "of 1")
		heard[c].want(t, "of 1")
	}
}
