package app

import (
	"net/http"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// flat writes a table's pairs in their order.
func flat(t *lua.LTable) string {
	var b strings.Builder
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		b.WriteString(k.String() + "=" + v.String() + ";")
	}
	return b.String()
}

// SPEC 1.2: "params, query, headers: tables, on every event; header names lower-case"; SPEC 6: "Repeated query keys:
// the last; repeated headers: joined by commas; path segments are percent-decoded".
func TestRequestTables(t *testing.T) {
	tests := []struct {
		name, pattern, url, header             string
		wantPath, wantParams, wantQ, wantHeads string
	}{
		{"plain", "/a", "/a", "", "/a", "", "", "host=h:1;"},
		{"params", "/r/:id/:x", "/r/a%2Fb/c%20d", "", "/r/a/b/c d", "id=a/b;x=c d;", "", "host=h:1;"},
		{"query", "/a", "/a?x=1&y=a%20b+c&z", "", "/a", "", "x=1;y=a b c;z=;", "host=h:1;"},
		{"repeated query", "/a", "/a?x=1&x=2", "", "/a", "", "x=2;", "host=h:1;"},
		{"bad query parts", "/a", "/a?%zz=1&&a=%ff&ok=1&=v", "", "/a", "", "ok=1;=v;", "host=h:1;"},
		{"headers", "/a", "/a", "X-One: 1|X-Two: a|X-Two: b", "/a", "", "", "host=h:1;x-one=1;x-two=a, b;"},
		{"empty header", "/a", "/a", "X-One: ", "/a", "", "", "host=h:1;x-one=;"},
	}
	l := lua.NewState()
	defer l.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest("GET", "http://h:1"+tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range strings.Split(tt.header, "|") {
				if name, value, ok := strings.Cut(h, ": "); ok {
					r.Header.Add(name, value)
				}
			}
			p, err := parsePattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			i := newRequestInfo(r)
			if got := i.decodedPath(); got != tt.wantPath {
				t.Errorf("path %q, want %q", got, tt.wantPath)
			}
			if got := flat(i.paramTable(l, p)); got != tt.wantParams {
				t.Errorf("params %q, want %q", got, tt.wantParams)
			}
			if got := flat(i.query.table()); got != tt.wantQ {
				t.Errorf("query %q, want %q", got, tt.wantQ)
			}
			if got := flat(i.headers.table()); got != tt.wantHeads {
				t.Errorf("headers %q, want %q", got, tt.wantHeads)
			}
		})
	}
}

// SPEC 6: "A query: at most 8 KiB and 100 pairs (beyond: 414)".
func TestQueriesAreBounded(t *testing.T) {
	n := startNode(t, handler(`return event.type == "connect" and {send = event.query.last or "none"}`))
	pairs := func(count int) string { return strings.Repeat("a=1&", count-1) + "last=yes" }
	for query, status := range map[string]int{
		pairs(100):                                    101,
		pairs(101):                                    414,
		"last=" + strings.Repeat("x", 8<<10-5):        101,
		"last=" + strings.Repeat("x", 8<<10-4):        414,
		"token=&last=" + strings.Repeat("x", 8<<10-5): 101, // which handlers do not see
	} {
		c, resp, err := n.tryDial("/ws/x?" + query)
		if resp == nil || resp.StatusCode != status {
			t.Errorf("%.20s… of %d bytes: %v, %v", query, len(query), resp, err)
			continue
		}
		if status == 101 {
			_, want, _ := strings.Cut(query, "last=")
			c.expect(want)
		}
	}
	if got, _ := n.request("GET", "/nothing?"+pairs(101), ""); !strings.Contains(got, "414") {
		t.Error(got)
	}
}
