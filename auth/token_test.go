package auth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// SPEC 4: "in Authorization: Bearer, in ?token=, or as the subprotocol pair rollcall, <token>".
func TestTokenOf(t *testing.T) {
	long := strings.Repeat("a", MaxToken)
	tests := []struct {
		name        string
		auth        []string
		query       string
		protocols   []string
		token       string
		subprotocol string
		code        Code
	}{
		{name: "none"},
		{name: "bearer", auth: []string{"Bearer a.b.c"}, token: "a.b.c"},
		{name: "bearer in lower case, spaces", auth: []string{"bearer   a.b.c "}, token: "a.b.c"},
		{name: "bearer and a tab", auth: []string{"Bearer\ta.b.c"}, token: "a.b.c"},
		{name: "bearer without token", auth: []string{"Bearer"}},
		{name: "basic", auth: []string{"Basic a.b.c"}},
		{name: "basic and bearer", auth: []string{"Basic x", "Bearer a.b.c"}, token: "a.b.c"},
		{name: "two bearers", auth: []string{"Bearer a.b.c", "Bearer a.b.d"}, code: CodeConflict},
		{name: "query", query: "x=1&token=a.b.c", token: "a.b.c"},
		{name: "query, empty", query: "token="},
		{name: "query, no value", query: "token"},
		{name: "query, other name", query: "Token=a.b.c&mytoken=d"},
		{name: "query, encoded name", query: "%74oken=a.b.c", token: "a.b.c"},
		{name: "query, encoded value", query: "token=a%2Eb.c", token: "a.b.c"},
		{name: "query, bad encoding", query: "token=a%2", code: CodeMalformed},
		{name: "query, other badly encoded", query: "x=%2&token=a", token: "a"},
		{name: "query, twice the same", query: "token=a&token=a", token: "a"},
		{name: "query, two", query: "token=a&token=b", code: CodeConflict},
		{name: "subprotocol", protocols: []string{"rollcall, a.b.c"}, token: "a.b.c", subprotocol: "rollcall"},
		{name: "subprotocol in two headers", protocols: []string{"rollcall", "a.b.c"}, token: "a.b.c",
			subprotocol: "rollcall"},
		{name: "subprotocol after another", protocols: []string{"chat,rollcall,a.b.c"}, token: "a.b.c",
			subprotocol: "rollcall"},
		{name: "subprotocol and more", protocols: []string{"rollcall, a.b.c, chat"}, token: "a.b.c", subprotocol: "rollcall"},
		{name: "subprotocol without token", protocols: []string{"rollcall"}, subprotocol: "rollcall"},
		{name: "other subprotocols", protocols: []string{"chat, a.b.c"}},
		{name: "subprotocol, case counts", protocols: []string{"Rollcall, a.b.c"}},
		{name: "token rollcall", protocols: []string{"rollcall, rollcall, chat"}, token: "rollcall", subprotocol: "rollcall"},
		{name: "subprotocol, two", protocols: []string{"rollcall, a, rollcall, b"}, subprotocol: "rollcall",
			code: CodeConflict},
		{name: "phoenix.js", protocols: []string{"phoenix, base64url.bearer.phx.YS5iLmM"}, token: "a.b.c"},
		{name: "phoenix.js, plain alphabet", protocols: []string{"phoenix", "base64url.bearer.phx.Pz8/Pz4+"},
			token: "????>>"},
		{name: "phoenix.js, alphabet of URLs", protocols: []string{"base64url.bearer.phx.Pz8_Pz4-"}, token: "????>>"},
		{name: "phoenix.js, padded", protocols: []string{"base64url.bearer.phx.YQ=="}, token: "a"},
		{name: "phoenix.js, no base64", protocols: []string{"base64url.bearer.phx.a!"}, code: CodeMalformed},
		{name: "phoenix.js and query", query: "token=b", protocols: []string{"phoenix, base64url.bearer.phx.YQ"},
			code: CodeConflict},
		{name: "three places, one token", auth: []string{"Bearer a"}, query: "token=a", protocols: []string{"rollcall, a"},
			token: "a", subprotocol: "rollcall"},
		{name: "header and query differ", auth: []string{"Bearer a"}, query: "token=b", code: CodeConflict},
		{name: "query and subprotocol differ", query: "token=b", protocols: []string{"rollcall, a"}, subprotocol: "rollcall",
			code: CodeConflict},
		{name: "8 KiB", auth: []string{"Bearer " + long}, token: long},
		{name: "longer than 8 KiB", auth: []string{"Bearer " + long + "a"}, code: CodeTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.query, tt.auth, tt.protocols)
			token, subprotocol, err := TokenOf(r)
			if token != tt.token || subprotocol != tt.subprotocol || codeOf(err) != tt.code {
				t.Errorf("TokenOf = %q, %q, %v", token, subprotocol, err)
			}
		})
	}
}

func request(query string, authorization, protocols []string) *http.Request {
	r := httptest.NewRequest("GET", "/ws/chat", nil)
	r.URL.RawQuery = query
	r.RequestURI = joinQuery(r.URL.Path, query)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	if protocols != nil {
		r.Header["Sec-Websocket-Protocol"] = protocols
	}
	return r
}

func TestWithoutToken(t *testing.T) {
	r := request("a=1&token=SECRET&b=2&%74oken=SECRET", []string{"Bearer SECRET", "Basic xyz"},
		[]string{"chat, rollcall, SECRET, other"})
	before := r.Clone(t.Context())
	clean := WithoutToken(r)
	if clean.URL.RawQuery != "a=1&b=2" || clean.RequestURI != "/ws/chat?a=1&b=2" {
		t.Errorf("query %q, request %q", clean.URL.RawQuery, clean.RequestURI)
	}
	want := http.Header{"Authorization": {"Basic xyz"}, "Sec-Websocket-Protocol": {"chat, other, rollcall"}}
	if !reflect.DeepEqual(clean.Header, want) {
		t.Errorf("headers %v", clean.Header)
	}
	if !reflect.DeepEqual(r.Header, before.Header) || r.URL.RawQuery != before.URL.RawQuery {
		t.Error("the request itself was changed")
	}
	only := WithoutToken(request("token=x", []string{"Bearer x"}, nil))
	if only.URL.RawQuery != "" || only.RequestURI != "/ws/chat" || len(only.Header) != 0 {
		t.Errorf("left: %q %q %v", only.URL.RawQuery, only.RequestURI, only.Header)
	}
	phoenix := WithoutToken(request("", nil, []string{"phoenix, base64url.bearer.phx.U0VDUkVU, chat"}))
	if got := phoenix.Header["Sec-Websocket-Protocol"]; !reflect.DeepEqual(got, []string{"phoenix, chat"}) {
		t.Errorf("subprotocols %v", got)
	}
	if plain := request("a=1;b", []string{"Basic x"}, []string{"rollcall"}); WithoutToken(plain) != plain {
		t.Error("a request without token was copied")
	}
}

func TestStripToken(t *testing.T) {
	for query, want := range map[string]string{
		"": "", "a=1": "a=1", "token=x": "", "token=x&a=1": "a=1", "a=1&&token=x&b": "a=1&&b", "tokens=1": "tokens=1",
		"a=token=x": "a=token=x",
	} {
		if got := StripToken(query); got != want {
			t.Errorf("StripToken(%q) = %q, want %q", query, got, want)
		}
	}
}

// What TokenOf finds is nowhere in what is left, and nothing is found there.
func FuzzTokenOf(f *testing.F) {
	f.Add("Bearer aaaa.bbbb.cccc", "x=1&token=aaaa.bbbb.cccc", "rollcall, aaaa.bbbb.cccc")
	f.Add("Basic x", "%74oken=a%2Eb;c&token", "chat,,rollcall,rollcall,")
	f.Fuzz(func(t *testing.T, authorization, query, protocols string) {
		r := &http.Request{URL: &url.URL{Path: "/p", RawQuery: query}, RequestURI: "/p?" + query,
			Header: http.Header{"Authorization": {authorization}, "Sec-Websocket-Protocol": {protocols}}}
		token, subprotocol, err := TokenOf(r)
		if err != nil && token != "" || len(token) > MaxToken || subprotocol != "" && subprotocol != Subprotocol {
			t.Fatalf("TokenOf = %q, %q, %v", token, subprotocol, err)
		}
		left, _, err := TokenOf(WithoutToken(r))
		if left != "" || err != nil {
			t.Fatalf("still %q, %v", left, err)
		}
	})
}
