package api

import (
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"rollcall/app"
)

// TestBodiesAreBounded: a body with too many parts is refused at the first one too many, and the answer is short,
// whatever is wrong with each of them.
func TestBodiesAreBounded(t *testing.T) {
	list := func(n int, item string) string {
		return `{"broadcasts":[` + strings.Repeat(item+",", n-1) + item + `]}`
	}
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"k` + strconv.Itoa(i) + `":1,`)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name, path, body string
		status           int
		contains         string
	}{
		{"a million items", "/_api/batch", list(1_000_000, `{}`), 422, `"location":"body.broadcasts"`},
		{"one item too many", "/_api/batch", list(1001, `{"message":1}`), 422, "a list has more than 1000 items"},
		{"as many as may be", "/_api/batch", list(1000, `{"channel":"c","message":{"a":[1,2,3]}}`), 200, `"sent":1000`},
		{"many bad items", "/_api/batch", list(1000, `7`), 422, `"location":"body.broadcasts[0]"`},
		{"many members of an item", "/_api/batch", `{"broadcasts":[{` + members(20_000) + `"message":1}]}`, 422,
			"more than 10000 names and values"},
		{"many members", "/_api/broadcast", `{` + members(20_000) + `"message":1}`, 422, "more than 10000 names and values"},
		{"a message of many parts", "/_api/broadcast", `{"message":[` + strings.Repeat(`{"message":[1]},`, 20_000) + `0]}`,
			200, `"sent":1`},
		{"a message as large as may be", "/_api/broadcast",
			`{"message":[` + strings.Repeat(`[],`, 349_000) + `0]}`, 200, `"sent":1`},
		{"messages of many parts", "/_api/batch", list(3, `{"message":[`+strings.Repeat(`[],`, 50_000)+`0]}`), 200,
			`"sent":3`},
		{"too deep", "/_api/broadcast", `{"message":` + strings.Repeat(`[`, 300), 400, "200 levels at most"},
		{"a fault at a long name", "/_api/broadcast",
			`{"` + strings.Repeat("x", 20_000) + `":[1,,2]}`, 400, `"location":"body"`},
		{"after a message", "/_api/batch", `{"broadcasts":[{"message":[[1]]}],"x":[` + strings.Repeat(`1,`, 1000) + `1]}`,
			422, "a list has more than 1000 items"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(&fakeHub{}, &fakeScripts{})
			r := httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body))
			r.Header.Set("Authorization", "Bearer key")
			w := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) || w.Body.Len() > 8<<10 {
				t.Errorf("%d, %d bytes: %.300s", w.Code, w.Body.Len(), w.Body)
			}
			if n := strings.Count(w.Body.String(), `"location"`); n > maxErrors {
				t.Errorf("%d errors", n)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(20*len(tt.body)+2<<20) {
				t.Errorf("took %d bytes for %d", took, len(tt.body))
			}
		})
	}
}

// What the registry refuses is told with its reason.
func TestScriptsBeyondTheirBounds(t *testing.T) {
	for _, tt := range []struct {
		err      error
		status   int
		contains string
	}{
		{app.ErrFull, 422, `1000 scripts are registered already`},
		{app.ErrTooBig, 413, `larger than 262144 bytes`},
	} {
		w := ask(t, newServer(&fakeHub{}, &fakeScripts{err: tt.err}), "POST", "/_api/custom/db/x", "text/plain", "return")
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
			t.Errorf("%v: %d %s", tt.err, w.Code, w.Body)
		}
	}
}
