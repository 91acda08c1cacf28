package stories

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// fetch is http.fetch on each node, in each kind of handler, with a back end that answers, lures elsewhere, or hangs.
func (s *story) fetch() {
	var hang atomic.Int32
	release := make(chan struct{})
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/lure":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		case "/hang":
			hang.Add(1)
			select {
			case <-release:
			case <-r.Context().Done():
				return
			}
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	}))
	s.Cleanup(func() {
		backEnd.CloseClientConnections()
		backEnd.Close()
	})
	all := append(s.both(), s.events(2), s.commander(2))
	for _, c := range all {
		got := c.Call1("http.fetch", backEnd.URL+"/x", map[string]any{"json": map[string]any{"a": []any{}},
			"headers": map[string]any{"authorization": "Bearer k"}})
		s.same("status", s.field(got, "status"), "201")
		s.same("body", s.field(got, "body"), `"{\"a\":[]}"`)
		s.same("headers", s.field(got, "headers", "x-seen"), `"POST Bearer k"`)
		s.contains(nodetest.JSON(c.Call("http.fetch", "http://localhost:1/")), "localhost:1 is not on the list of --http-allow")
		s.contains(nodetest.JSON(c.Call("http.fetch", backEnd.URL+"/lure")), "redirects to another host or port")
		s.contains(nodetest.JSON(c.Call("http.fetch", "http://10.0.0.1/")), "not on the list")
		s.contains(c.CallError("http.fetch", backEnd.URL, map[string]any{"timeout": 10001}), "http.fetch: timeout must be")
	}
	for _, path := range []string{"/call", "/api/custom/test/call"} {
		status, answer := s.api("POST", 1, path,
			fmt.Sprintf(`{"call":"http.fetch","args":[%q,{"method":"PUT"}]}`, backEnd.URL), "Content-Type: application/json")
		s.same("status", status, 200)
		s.contains(answer, `"x-seen":"PUT"`)
	}

	began := time.Now()
	type asking struct {
		*nodetest.Client
		id int
	}
	var waiting []asking
	for node := range 3 {
		for range 30 { // more than may run at a time, of one file
			c := s.events(node)
			id := c.Begin(map[string]any{"call": "http.fetch",
				"args": []any{backEnd.URL + "/hang", map[string]any{"timeout": 9000}}})
			waiting = append(waiting, asking{c, id})
		}
	}
	testkit.Within(s, "all wait for the back end", nodetest.Timeout, func() bool { return hang.Load() == 90 })
	for _, c := range all { // others of the same file, and of another
		s.same("a neighbour", c.Call1("json_encode", []any{1}), `"[1]"`)
	}
	close(release)
	for _, c := range waiting {
		if reply := c.Await(c.id); reply.Error != "" || len(reply.Results) == 0 || reply.Results[0] == nil {
			s.Errorf("who waited got %+v", reply)
		}
	}
	if took := time.Since(began); took > 9*time.Second {
		s.Errorf("it took %v", took)
	}
}
