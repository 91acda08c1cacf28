package hub

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/cluster"
	"rollcall/testkit"
)

// pagedNode is a node as listings see it: what it holds, by key.
type pagedNode map[string]int

// page answers as channelPage and connPage do.
func (n pagedNode) page(q pageQuestion) []ChannelInfo {
	f := firsts[ChannelInfo]{after: q.After, want: q.Limit + 1, key: channelKey}
	for name, count := range n { // in any order
		f.take(ChannelInfo{name, count})
	}
	return f.sorted()
}

func channelKey(c ChannelInfo) string { return c.Name }

// Issue: "paging with cursors that stay right while connections come and go": nobody who stays is left out or told
// twice, each page is full but the last, and counts of nodes are added up.
func TestPagingWhileOthersComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[a-d]{1,3}`)
		nodes := make([]pagedNode, rapid.IntRange(1, 4).Draw(t, "nodes"))
		stay := map[string]int{}
		for i := range nodes {
			nodes[i] = pagedNode{}
			for range rapid.IntRange(0, 25).Draw(t, "held") {
				name := "s" + key.Draw(t, "stays")
				nodes[i][name]++
				stay[name]++
			}
		}
		limit := rapid.IntRange(1, 9).Draw(t, "limit")
		told, after, last := map[string]int{}, "", ""
		for pages := 0; ; pages++ {
			if pages > 10_000 {
				t.Fatal("the pages do not end")
			}
			var all []ChannelInfo
			for _, n := range nodes {
				all = append(all, n.page(pageQuestion{Page: Page{After: after, Limit: limit}})...)
			}
			list := mergePages(all, limit, channelKey, func(a, b ChannelInfo) ChannelInfo {
				a.Connections += b.Connections
				return a
			})
			if len(list.Items) > limit || list.Next != "" && len(list.Items) != limit {
				t.Fatalf("a page of %d with the limit %d, next %q", len(list.Items), limit, list.Next)
			}
			for _, c := range list.Items {
				if c.Name <= last {
					t.Fatalf("%s after %s", c.Name, last)
				}
				if last = c.Name; stay[c.Name] > 0 {
					told[c.Name] += c.Connections
				}
			}
			if list.Next == "" {
				break
			}
			after = list.Next
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				n := nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "node")]
				// never one of those who stay
				name := rapid.SampledFrom([]string{"c", "t", "sa~", "sb~"}).Draw(t, "where") + key.Draw(t, "other")
				if n[name] > 0 {
					delete(n, name)
				} else {
					n[name] = 1
				}
			}
		}
		if !maps.Equal(told, stay) {
			t.Fatalf("told %v, want %v", told, stay)
		}
	})
}

// A page of many: as sorting them all would give.
func TestFirsts(t *testing.T) {
	n := pagedNode{}
	for i := range 5000 {
		n[fmt.Sprintf("%04d", i*7919%5000)] = 1
	}
	for _, tt := range []struct {
		after       string
		limit       int
		first, last string
		size        int
	}{{"", 1, "0000", "0001", 2}, {"0001", 3, "0002", "0005", 4}, {"4990", 20, "4991", "4999", 9}, {"4999", 20, "", "",
		0}, {"", 4999, "0000", "4999", 5000}, {"", 10_000, "0000", "4999", 5000}, {"0001x", 1, "0002", "0003", 2}} {
		got := n.page(pageQuestion{Page: Page{After: tt.after, Limit: tt.limit}})
		if len(got) != tt.size || tt.size > 0 && (got[0].Name != tt.first || got[len(got)-1].Name != tt.last) {
			t.Errorf("after %q, %d: %d items from %v", tt.after, tt.limit, len(got), got)
		}
		if !slices.IsSortedFunc(got, func(a, b ChannelInfo) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("after %q: not sorted", tt.after)
		}
	}
}

// Issue: cluster-wide reads "name the nodes that did not answer". The totals count a channel of two nodes once, and for
// a silent node what its last heartbeat said.
func TestSilentNodesAreNamed(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2, n3 := w.node("n1"), w.node("n2"), w.node("n3")
	for i, n := range []*node{n1, n2, n3} {
		c := n.event(fmt.Sprint("c", i))
		c.join("shared", fmt.Sprint("own", i))
	}
	want := func(connections, channels int, silent ...string) {
		t.Helper()
		got, err := n1.Totals(t.Context())
		if err != nil || got.Nodes != 3 || got.Connections != connections || got.Channels != channels ||
			!slices.Equal(got.Silent, silent) {
			t.Errorf("totals %+v, %v; want %d connections, %d channels, silent %v", got, err, connections, channels, silent)
		}
	}
	want(3, 4)
	testkit.Eventually(t, "n1 knows n3's load", func() bool {
		return slices.ContainsFunc(n1.cluster.Nodes(),
			func(c cluster.Node) bool { return c.Process == n3.cluster.Process() && c.Connections == 1 })
	})
	n3.proxy.Drop()
	process := n3.cluster.Process()
	want(3, 3, process)
	list, err := n1.Connections(t.Context(), "", Page{Limit: 10})
	if err != nil || len(list.Items) != 2 || !slices.Equal(list.Silent, []string{process}) {
		t.Errorf("connections %v, %v", list, err)
	}
	channels, err := n1.Channels(t.Context(), Page{Limit: 10})
	if err != nil || len(channels.Items) != 3 || !slices.Equal(channels.Silent, []string{process}) {
		t.Errorf("channels %v, %v", channels, err)
	}
}
