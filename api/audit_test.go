package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/hub"
	"rollcall/redisconn"
)

// calls is one for each operation that changes something, by its id; what is the word for it in the audit log.
var calls = map[string]struct{ method, target, body, what string }{
	"broadcast":            {http.MethodPost, "/_api/broadcast", `{"message":"secret"}`, "broadcast"},
	"broadcast-to-channel": {http.MethodPost, "/_api/channels/c/broadcast", `{"message":"secret"}`, "broadcast"},
	"batch":                {http.MethodPost, "/_api/batch", `{"broadcasts":[{"message":1},{"message":2}]}`, "broadcast"},
	"send-to-connection":   {http.MethodPost, "/_api/connections/x/send", `{"message":"secret"}`, "send"},
	"close-connection":     {http.MethodDelete, "/_api/connections/x", "", "close"},
	"empty-history":        {http.MethodDelete, "/_api/channels/c/history", "", "empty history"},
	"put-script":           {http.MethodPost, "/_api/custom/a/b", `{"code":"return 'secret'"}`, "register script"},
	"sync-hook":            {http.MethodPost, "/_api/hooks/crm/sync", "", "synchronise hook"},
	"delete-script":        {http.MethodDelete, "/_api/custom/a/b", "", "remove script"},
}

// audited is a server with what it has logged.
func audited(h *fakeHub, s *fakeScripts) (*Server, *bytes.Buffer) {
	log := &bytes.Buffer{}
	server := newServer(h, s)
	server.cfg.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return server, log
}

// call makes one, and returns the audit lines that it left.
func call(t *testing.T, s *Server, log *bytes.Buffer, id string) (lines []map[string]any) {
	t.Helper()
	log.Reset()
	r := httptest.NewRequest(calls[id].method, calls[id].target, strings.NewReader(calls[id].body))
	r.Header.Set("X-API-Key", "key")
	r.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(httptest.NewRecorder(), r)
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "audit" {
			lines = append(lines, line)
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("%s: the log has what was sent: %s", id, log)
	}
	return lines
}

// Every operation that changes something leaves one line: who, from where, what, and the outcome.
func TestEveryChangeIsAudited(t *testing.T) {
	s, log := audited(&fakeHub{}, &fakeScripts{})
	for path, item := range s.api.OpenAPI().Paths {
		for method, id := range map[string]string{http.MethodPost: idOf(item.Post), http.MethodPut: idOf(item.Put),
			http.MethodPatch: idOf(item.Patch), http.MethodDelete: idOf(item.Delete)} {
			if _, known := calls[id]; id != "" && !known {
				t.Errorf("%s %s (%s) may change something: is it audited?", method, path, id)
			}
		}
	}
	for id, c := range calls {
		lines := call(t, s, log, id)
		if len(lines) != 1 {
			t.Errorf("%s left %d lines: %v", id, len(lines), lines)
			continue
		}
		want := map[string]any{"level": "INFO", "what": c.what, "key": "default", "from": "here", "outcome": "done"}
		for name, want := range want {
			if lines[0][name] != want {
				t.Errorf("%s: %s is %v, want %v", id, name, lines[0][name], want)
			}
		}
	}
}

// What surely changed nothing leaves no line; what may have does.
func TestAuditOutcomes(t *testing.T) {
	away := fmt.Errorf("broadcast: %w", hub.ErrUnavailable)
	lost := fmt.Errorf("broadcast: %w: %w", hub.ErrUnavailable, redisconn.ErrUnknown)
	for _, tt := range []struct {
		name, id string
		err      error
		want     string // "": no line
	}{
		{"Redis is away", "broadcast", away, ""},
		{"its answer was lost", "broadcast", lost, "unknown"},
		{"a batch failed in part", "batch", away, "unknown"},
		{"a key that is another call's", "batch", hub.ErrOtherCall, ""},
		{"a node was silent", "close-connection", hub.ErrSilent, "unknown"},
		{"an id that is none", "send-to-connection", hub.ErrBadID, ""},
		{"a script was not stored", "put-script", away, ""},
		{"or it may have been", "put-script", lost, "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, log := audited(&fakeHub{err: tt.err}, &fakeScripts{err: tt.err})
			var got string
			for _, line := range call(t, s, log, tt.id) {
				got += fmt.Sprint(line["outcome"])
			}
			if got != tt.want {
				t.Errorf("the outcome is %q, want %q", got, tt.want)
			}
		})
	}
}

func idOf(op *huma.Operation) string {
	if op == nil {
		return ""
	}
	return op.OperationID
}
