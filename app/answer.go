package app

import (
	"fmt"
	"net/http"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// answer is what an HTTP handler or script answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

const (
	typeText = "text/plain; charset=utf-8"
	typeJSON = "application/json"
)

// readAnswer turns a handler's return value into an answer (SPEC 1.3, 6): a string is text, nil (or json.null) no
// content, {status, headers, body} with an integer status from 100 to 599 and no other keys says all, any other value
// is JSON.
func readAnswer(v lua.LValue, limit int) (answer, error) {
	a := answer{status: http.StatusOK, header: http.Header{}}
	if t, ok := v.(*lua.LTable); ok {
		if status, ok := statusOf(t); ok {
			if status < 200 {
				return answer{}, fmt.Errorf("the status %d cannot end an answer", status)
			}
			a.status = status
			if err := readHeaders(a.header, t.RawGetString("headers")); err != nil {
				return answer{}, err
			}
			v = t.RawGetString("body")
			if v == lua.LNil || v == luavm.Null {
				return a, nil
			}
			return a, a.setBody(v, limit)
		}
	}
	if v == lua.LNil || v == luavm.Null {
		a.status = http.StatusNoContent
		return a, nil
	}
	return a, a.setBody(v, limit)
}

// statusOf tells whether the table is {status, headers, body}.
func statusOf(t *lua.LTable) (int, bool) {
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		if k != lua.LString("status") && k != lua.LString("headers") && k != lua.LString("body") {
			return 0, false
		}
	}
	n, ok := t.RawGetString("status").(lua.LNumber)
	status := int(n)
	return status, ok && lua.LNumber(status) == n && status >= 100 && status <= 599
}

func (a *answer) setBody(v lua.LValue, limit int) error {
	kind := typeJSON
	if s, ok := v.(lua.LString); ok {
		kind, a.body = typeText, []byte(s)
	} else {
		body, err := luavm.EncodeJSON(v, limit)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		a.body = body
	}
	if a.header.Get("Content-Type") == "" {
		a.header.Set("Content-Type", kind)
	}
	return nil
}

// readHeaders takes {name = value}; a value is a string, a number, or an array of them.
func readHeaders(h http.Header, v lua.LValue) error {
	if v == lua.LNil || v == luavm.Null {
		return nil
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return fmt.Errorf("headers must be a table, not %s", describe(v))
	}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok || !isToken(string(name)) {
			return fmt.Errorf("headers: %s is no header name", keyText(k))
		}
		if hopHeaders[strings.ToLower(string(name))] {
			return fmt.Errorf("headers: %q is the server's own", string(name))
		}
		values := []lua.LValue{v}
		if list, ok := v.(*lua.LTable); ok {
			values = values[:0]
			if err := eachElement(list, func(_ int, v lua.LValue) error { values = append(values, v); return nil }); err != nil {
				return fmt.Errorf("header %q: %w", string(name), err)
			}
		}
		for _, v := range values {
			if v.Type() != lua.LTString && v.Type() != lua.LTNumber {
				return fmt.Errorf("header %q must be a string, a number or an array of them, not %s", string(name), describe(v))
			}
			if strings.ContainsFunc(v.String(), func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("header %q has a control character in it", string(name))
			}
			h.Add(string(name), v.String())
		}
	}
	return nil
}

// hopHeaders belong to the connection; a handler that set them would break the framing of its answer.
var hopHeaders = map[string]bool{"connection": true, "content-length": true, "transfer-encoding": true, "upgrade": true,
	"trailer": true, "te": true, "keep-alive": true}

// isToken is RFC 9110's grammar of a header name.
func isToken(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~", r):
		default:
			return false
		}
	}
	return s != ""
}

// write sends the answer.
func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range a.header {
		if name == "Vary" { // of CORS
			values = append(h[name], values...)
		}
		h[name] = values
	}
	if h.Get("X-Content-Type-Options") == "" {
		h.Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
