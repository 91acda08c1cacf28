package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/cluster"
	"rollcall/history"
	"rollcall/hooks"
	"rollcall/hub"
	"rollcall/presence"
)

// fakeHub takes every call and keeps the messages.
type fakeHub struct {
	Hub
	sent []hub.Message
	err  error
}

func (h *fakeHub) BroadcastMany(_ context.Context, ms []hub.Message) (hub.Receipt, error) {
	h.sent = append(h.sent, ms...)
	return hub.Receipt{Fresh: true}, h.err
}

func (h *fakeHub) BroadcastOnce(ctx context.Context, _ string, ms []hub.Message) (hub.Receipt, error) {
	return h.BroadcastMany(ctx, ms)
}

func (h *fakeHub) SendConfirmed(_ context.Context, _ string, v hub.Value) (bool, error) {
	h.sent = append(h.sent, hub.Message{Value: v})
	return true, h.err
}

func (h *fakeHub) CloseConnConfirmed(context.Context, string, int, string) (bool, error) {
	return true, h.err
}

func (h *fakeHub) Connections(context.Context, string, hub.Page) (hub.Listing[hub.ConnInfo], error) {
	return hub.Listing[hub.ConnInfo]{Items: []hub.ConnInfo{}}, h.err
}

func (h *fakeHub) Channels(context.Context, hub.Page) (hub.Listing[hub.ChannelInfo], error) {
	return hub.Listing[hub.ChannelInfo]{Items: []hub.ChannelInfo{}}, h.err
}

func (h *fakeHub) Presence(context.Context, string, string) ([]*presence.User, error) {
	return nil, h.err
}

func (h *fakeHub) History(context.Context, string, history.Query) (hub.HistoryPage, error) {
	return hub.HistoryPage{Position: "1-0"}, h.err
}

func (h *fakeHub) EmptyHistory(context.Context, string) error { return h.err }

// fakeScripts takes every script.
type fakeScripts struct {
	Scripts
	put []app.Script
	err error
}

func (s *fakeScripts) Put(_ context.Context, db, path, method, code string) (app.Script, error) {
	sc := app.Script{DB: db, Path: path, Method: method, Code: code, Version: 1}
	s.put = append(s.put, sc)
	return sc, s.err
}

func (s *fakeScripts) Delete(context.Context, string, string, string) error { return s.err }

func newServer(h *fakeHub, s *fakeScripts) *Server {
	return New(Config{Hub: h, Scripts: s, Hooks: fakeHooks{}, Nodes: func() []cluster.Node { return nil },
		Access:     auth.KeyGuard{Keys: func() auth.Keys { return auth.NewKey("key") }},
		RemoteAddr: func(*http.Request) string { return "here" }, Ready: func() error { return nil }, Log: slog.New(
			slog.DiscardHandler)})
}

// ask makes a request with the key and checks what holds for every answer.
func ask(t *testing.T, s *Server, method, target, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-API-Key", "key")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code < 400 {
		return w
	}
	var p struct {
		Status        int
		Title, Detail string
		Errors        []struct{ Location, Message string }
	}
	err := json.Unmarshal(w.Body.Bytes(), &p)
	switch {
	case w.Code >= 500:
		t.Errorf("%d %s", w.Code, w.Body)
	case err != nil || w.Header().Get("Content-Type") != "application/problem+json" || p.Status != w.Code ||
		p.Title == "" || p.Detail == "":
		t.Errorf("no problem document: %d %s", w.Code, w.Body)
	case (w.Code == 400 || w.Code == 413 || w.Code == 415 || w.Code == 422) &&
		(len(p.Errors) == 0 || p.Errors[0].Location == "" || p.Errors[0].Message == ""):
		t.Errorf("it names no field: %s", w.Body)
	case w.Body.Len() > 4000:
		t.Errorf("the answer has %d bytes", w.Body.Len())
	}
	return w
}

// checkSent checks what the hub was given: clients must be able to read it.
func checkSent(t *testing.T, ms []hub.Message) {
	t.Helper()
	for _, m := range ms {
		switch {
		case !utf8.ValidString(m.Value.Text):
			t.Errorf("clients get what is not UTF-8: %q", m.Value.Text)
		case m.Value.JSON && !json.Valid([]byte(m.Value.Text)):
			t.Errorf("clients get what is no JSON: %q", m.Value.Text)
		case m.Value.JSON && strings.HasPrefix(m.Value.Text, `"`):
			t.Errorf("a string leaves as JSON: %q", m.Value.Text)
		case m.Channel != "" && hub.CheckChannel(m.Channel) != nil:
			t.Errorf("the channel %q", m.Channel)
		}
	}
}

var seeds = []string{`{"message":1}`, `{"message":"x"}`, `{"message":{"a":[1,2,{"b":null}]}}`, `{"message":"é\u00e9"}`,
	``, `null`, `[]`, `{}`, `{"message":`, `{"message":1,"message":2}`, `{"Message":1}`,
	"{\"message\":\"\xff\"}", `{"message":"\ud800"}`, `{"message":NaN}`, `{"message":1}{}`, `{"message":1,"x":2}`,
	strings.Repeat("[", 300), "\ufeff{}", " {\"message\" : [ 1 ] } "}

// Issue: "bad bodies, unknown fields, huge bodies, wrong types: 4xx problem documents that name the field, never 500".
func FuzzBroadcast(f *testing.F) {
	for _, seed := range seeds {
		f.Add("/_api/broadcast", "application/json", seed)
	}
	for _, path := range []string{"/_api/channels/a%2Fb/broadcast", "/_api/channels/%00/broadcast",
		"/_api/channels/{}/broadcast", "/_api/connections/x/send", "/_api/channels//broadcast", "/_api/broadcast?x=1",
		"/_api/../x"} {
		for _, kind := range []string{"", "text/plain", "application/json; charset=x", ";", "application/x+json"} {
			f.Add(path, kind, seeds[0])
		}
	}
	h := &fakeHub{}
	server := newServer(h, nil)
	f.Fuzz(func(t *testing.T, path, contentType, body string) {
		if r, err := http.NewRequest(http.MethodPost, path, nil); err != nil || !strings.HasPrefix(path, "/_api/") ||
			r.URL.Host != "" || strings.Contains(path, "/custom/") || strings.ContainsAny(path, " \r\n\t") {
			t.Skip()
		}
		h.sent = nil
		w := ask(t, server, http.MethodPost, path, contentType, body)
		if w.Code >= 400 && len(h.sent) > 0 {
			t.Errorf("refused with %d, and sent all the same: %v", w.Code, h.sent)
		}
		checkSent(t, h.sent)
	})
}

func FuzzBatch(f *testing.F) {
	for _, seed := range append(seeds, `{"broadcasts":[{"message":1}]}`,
		`{"broadcasts":[{"channel":"x","message":"y"},{"channel":null,"message":1}]}`, `{"broadcasts":[{"channel":7}]}`,
		`{"broadcasts":[]}`, `{"broadcasts":null}`, `{"broadcasts":[null]}`, `{"broadcasts":[{"Channel":"x","message":1}]}`) {
		f.Add(seed)
	}
	h := &fakeHub{}
	server := newServer(h, nil)
	f.Fuzz(func(t *testing.T, body string) {
		h.sent = nil
		w := ask(t, server, http.MethodPost, "/_api/batch", "application/json", body)
		var got struct{ Sent int }
		if w.Code == http.StatusOK && (json.Unmarshal(w.Body.Bytes(), &got) != nil || got.Sent != len(h.sent) ||
			got.Sent == 0) || w.Code >= 400 && len(h.sent) > 0 {
			t.Errorf("%d %s, and sent %v", w.Code, w.Body, h.sent)
		}
		for _, m := range h.sent {
			if m.Channel == "" && strings.Contains(body, `"channel"`) && strings.Count(body, `"message"`) == 1 &&
				strings.Count(body, `\`) == 0 {
				t.Errorf("%s went to everyone", body)
			}
		}
		checkSent(t, h.sent)
	})
}

func FuzzScript(f *testing.F) {
	for _, kind := range []string{"application/json", "text/x-lua", "", "multipart/form-data", "application/json;"} {
		for _, body := range append(seeds, `{"code":"return"}`, `{"method":"GET","code":"return"}`,
			`{"method":null,"code":""}`, `{"code":7}`, "return 1", "\xff") {
			f.Add(kind, body)
		}
	}
	s := &fakeScripts{}
	server := newServer(&fakeHub{}, s)
	f.Fuzz(func(t *testing.T, kind, body string) {
		s.put = nil
		w := ask(t, server, http.MethodPost, "/_api/custom/a/b", kind, body)
		if (w.Code == http.StatusCreated) != (len(s.put) == 1) {
			t.Errorf("%d %s, and registered %v", w.Code, w.Body, s.put)
		}
		for _, sc := range s.put {
			if sc.Code == "" || !utf8.ValidString(sc.Code) {
				t.Errorf("registered %q", sc.Code)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, path := range []string{"/_api/connections", "/_api/channels", "/_api/channels/x/connections",
		"/_api/channels/x/presence", "/_api/nodes"} {
		for _, query := range []string{"", "limit=1", "limit=0", "limit=x", "cursor=%ff", "cursor=x", "limit=1&limit=2",
			"%zz", ";", "limit", "cursor=" + strings.Repeat("x", 600)} {
			f.Add(path, query)
		}
	}
	server := newServer(&fakeHub{}, nil)
	f.Fuzz(func(t *testing.T, path, query string) {
		target := path + "?" + query
		if r, err := http.NewRequest(http.MethodGet, target, nil); err != nil || r.URL.Host != "" ||
			!strings.HasPrefix(path, "/_api/c") || strings.ContainsAny(target, " \r\n\t#") || strings.Contains(path, "custom") ||
			strings.Contains(path, "connections/") {
			t.Skip()
		}
		ask(t, server, http.MethodGet, target, "", "")
	})
}

// fakeHooks has one hook.
type fakeHooks struct{}

func (fakeHooks) List(context.Context) ([]hooks.Status, error) {
	return []hooks.Status{{Name: "crm", State: hooks.OK}}, nil
}

func (fakeHooks) Sync(_ context.Context, name string) error {
	if name != "crm" {
		return hooks.ErrUnknown
	}
	return nil
}
