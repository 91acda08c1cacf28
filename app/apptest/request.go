package apptest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// t.request(method, path, {node, body, json, headers, token, api_key}) -> {status, headers, body}
func (r *caseRun) request(a args) int {
	method, path := a.text(1, "method"), a.text(2, "path")
	o := a.options(3, "node", "body", "json", "headers", "token", "api_key")
	number, header, body := o.node(), o.header(), ""
	switch v := o.get("body").(type) {
	case *lua.LNilType:
	case lua.LString:
		body = string(v)
	default:
		a.fail("body must be a string; json takes any value")
	}
	if v := o.get("json"); v != lua.LNil {
		text, err := luavm.Of(a.l).EncodeText(a.l, v)
		a.check(err)
		body = string(text)
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	if o.get("api_key") == lua.LTrue {
		header.Set("X-API-Key", apiKey)
	}
	var answer *http.Response
	var text string
	var err error
	r.settle(a.l, func() {
		var m *member
		if m, err = r.world.member(number); err == nil {
			answer, text, err = ask(r.world.dial(m), method, path, header, body)
		}
	})
	a.check(err)
	names := luavm.NewObject(len(answer.Header))
	for name, values := range answer.Header {
		names.Set(strings.ToLower(name), lua.LString(strings.Join(values, ", ")))
	}
	out := luavm.NewObject(3)
	out.Set("status", lua.LNumber(answer.StatusCode))
	out.Set("headers", names.Table())
	if kind := answer.Header.Get("Content-Type"); strings.Contains(kind, "json") {
		out.Set("body", decodeBody(a.l, text))
	} else {
		out.Set("body", lua.LString(text))
	}
	return a.push(out.Table())
}

// ask makes one request on a connection of its own, and follows no redirect.
func ask(dial func(context.Context, string, string) (net.Conn, error), method, path string, header http.Header,
	body string) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		return nil, "", fmt.Errorf("make request: %w", err)
	}
	req.Header = header
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, "", fmt.Errorf("request: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", fmt.Errorf("read the answer: %w", err)
	}
	return resp, string(text), nil
}
