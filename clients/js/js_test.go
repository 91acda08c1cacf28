package js

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// SPEC 12: "also served by each node at /_client/rollcall.js": the file that is published, which browsers may keep.
func TestServe(t *testing.T) {
	file, err := os.ReadFile("rollcall.js")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, known string) *http.Response {
		t.Helper()
		r := httptest.NewRequest(method, Path, nil)
		if known != "" {
			r.Header.Set("If-None-Match", known)
		}
		w := httptest.NewRecorder()
		Serve(w, r)
		return w.Result()
	}
	for _, tt := range []struct {
		method, known string
		status        int
		body          string
	}{
		{http.MethodGet, "", http.StatusOK, string(file)},
		{http.MethodGet, `"another"`, http.StatusOK, string(file)},
		{http.MethodGet, tag, http.StatusNotModified, ""},
		{http.MethodGet, `"another", W/` + tag, http.StatusNotModified, ""},
		{http.MethodHead, "", http.StatusOK, ""},
		{http.MethodPost, "", http.StatusMethodNotAllowed, "the client is only to be read\n"},
	} {
		t.Run(tt.method+" "+tt.known, func(t *testing.T) {
			answer := ask(tt.method, tt.known)
			body := make([]byte, len(file)+100)
			n, _ := answer.Body.Read(body)
			if answer.StatusCode != tt.status || string(body[:n]) != tt.body {
				t.Errorf("status %d with %d bytes", answer.StatusCode, n)
			}
			want := map[string]string{"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
			if tt.status != http.StatusMethodNotAllowed {
				want["Cache-Control"], want["ETag"] = "no-cache", tag
			}
			if tt.status == http.StatusOK {
				want["Content-Type"] = "text/javascript; charset=utf-8"
			}
			for name, value := range want {
				if got := answer.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		})
	}
}
