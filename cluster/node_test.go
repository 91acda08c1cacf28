package cluster

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// DESIGN 2: "A process id is drawn once at start; its bits are inside every connection id it makes (UUIDv8), so any
// node can route to a connection without a look-up."
func TestConnID(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		p := NewProcess()
		if len(p) != 2*ProcessBytes || strings.Trim(p, "0123456789abcdef") != "" {
			t.Fatalf("process id %q", p)
		}
		id := NewConnID(p)
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 8 || u.Variant() != uuid.RFC4122 || u.String() != id {
			t.Fatalf("connection id %q: version %d, %v", id, u.Version(), err)
		}
		if got, ok := ProcessOf(id); !ok || got != p {
			t.Errorf("%s is of %q, %v; want %q", id, got, ok, p)
		}
		if got, ok := ProcessOf(strings.ToUpper(id)); !ok || got != p {
			t.Errorf("in capitals it is of %q, %v", got, ok)
		}
		if seen[id] || seen[p] {
			t.Fatal("an id was drawn twice")
		}
		seen[id], seen[p] = true, true
	}
	if first, second := NewConnID("0123456789ab"), NewConnID("0123456789ab"); first == second {
		t.Error("two connections of one process have one id")
	}
}

func TestProcessOfOthers(t *testing.T) {
	for id, ok := range map[string]bool{
		"": false, "x": false, "urn:uuid:0191e3b2-7c1a-8d4f-9a2b-0123456789ab": false,
		"{0191e3b2-7c1a-8d4f-9a2b-0123456789ab}": false,
		"0191e3b27c1a8d4f9a2b0123456789ab":       false, "0191e3b2-7c1a-8d4f-9a2b-0123456789ag": false,
		"0191e3b2x7c1a-8d4f-9a2b-0123456789ab": false,
		"0191e3b2-7c1a-4d4f-9a2b-0123456789ab": true,
	} {
		if _, got := ProcessOf(id); got != ok {
			t.Errorf("%q: %v, want %v", id, got, ok)
		}
	}
}

func TestIncarnationParts(t *testing.T) {
	for inc, want := range map[string]struct {
		process string
		gen     int
	}{"abc-1": {"abc", 1}, "abc-120": {"abc", 120}, "abc": {"abc", 0}, "": {"", 0}, "a-x": {"a", 0}} {
		if p, g := processOf(inc), generationOf(inc); p != want.process || g != want.gen {
			t.Errorf("%q: %q %d", inc, p, g)
		}
	}
}

func TestNodeInfo(t *testing.T) {
	n := Node{Process: "abc", Incarnation: "abc-7", Address: "10.0.0.1:6745", Version: "v1", PID: 42,
		StartedAt: time.UnixMilli(1700000000123), Load: Load{3, 4}}
	h := map[string]string{}
	info := n.info()
	for i := 0; i < len(info); i += 2 {
		switch v := info[i+1].(type) {
		case string:
			h[info[i].(string)] = v
		default:
			h[info[i].(string)] = fmt.Sprint(v)
		}
	}
	if got := nodeFrom("abc-7", h); !reflect.DeepEqual(got, n) {
		t.Errorf("got  %+v\nwant %+v", got, n)
	}
	if got := nodeFrom("abc-7", nil); got.Process != "abc" || got.Connections != 0 {
		t.Errorf("without info: %+v", got)
	}
}

func TestMerge(t *testing.T) {
	got := merge([]Node{{Process: "a", Incarnation: "a-9"}, {Process: "a", Incarnation: "a-10"},
		{Process: "a", Incarnation: "a-2"}, {Process: "b", Incarnation: "b-1"}})
	if len(got) != 2 || got["a"].Incarnation != "a-10" || got["b"].Incarnation != "b-1" {
		t.Errorf("got %v", got)
	}
}
