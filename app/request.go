package app

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// requestInfo is what handlers may ask about a request, as compact as it can be kept for the life of a connection:
// three pieces of one string. The tables are made from it for each event, so that one handler's changes are gone by the next.
type requestInfo struct {
	path    string // escaped, as in the request line
	query   string // raw
	headers string // name, NUL, value, NUL, …; names in lower case and in order
}

// newRequestInfo copies what is needed; r may be forgotten afterwards.
func newRequestInfo(r *http.Request) requestInfo {
	type header struct{ name, value string }
	headers := make([]header, 0, len(r.Header)+1)
	size := 0
	add := func(name, value string) {
		headers = append(headers, header{name, value})
		size += len(name) + len(value) + 2
	}
	if r.Host != "" {
		add("host", r.Host)
	}
	for name, values := range r.Header {
		add(strings.ToLower(name), strings.Join(values, ", "))
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.name, b.name) })

	path, query := r.URL.EscapedPath(), r.URL.RawQuery
	var b strings.Builder
	b.Grow(len(path) + len(query) + size)
	b.WriteString(path)
	b.WriteString(query)
	for _, h := range headers {
		b.WriteString(h.name)
		b.WriteByte(0)
		b.WriteString(h.value)
		b.WriteByte(0)
	}
	all := b.String()
	return requestInfo{all[:len(path)], all[len(path) : len(path)+len(query)], all[len(path)+len(query):]}
}

// decodedPath is the path as text.
func (i requestInfo) decodedPath() string {
	if s, err := url.PathUnescape(i.path); err == nil {
		return s
	}
	return i.path
}

// eachHeader calls f for every header in order.
func (i requestInfo) eachHeader(f func(name, value string)) {
	for rest := i.headers; rest != ""; {
		name, after, _ := strings.Cut(rest, "\x00")
		value, next, _ := strings.Cut(after, "\x00")
		f(name, value)
		rest = next
	}
}

// eachQuery calls f for every query pair in order. What is not well encoded or no UTF-8 is left out.
func (i requestInfo) eachQuery(f func(name, value string)) {
	for rest := i.query; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(part, "=")
		if strings.ContainsAny(part, "%+") {
			var err1, err2 error
			name, err1 = url.QueryUnescape(name)
			value, err2 = url.QueryUnescape(value)
			if err1 != nil || err2 != nil {
				continue
			}
		}
		if part != "" && utf8.ValidString(name) && utf8.ValidString(value) {
			f(name, value)
		}
	}
}

// The tables of SPEC 1.2. "Repeated query keys: the last; repeated headers: joined by commas" (SPEC 6).

func (i requestInfo) headerTable(*lua.LState) *lua.LTable {
	o := luavm.NewObject(strings.Count(i.headers, "\x00") / 2)
	i.eachHeader(func(name, value string) { o.Set(name, lua.LString(value)) })
	return o.Table()
}

func (i requestInfo) queryTable(l *lua.LState) *lua.LTable {
	if i.query == "" {
		return l.CreateTable(0, 0)
	}
	o := luavm.NewObject(strings.Count(i.query, "&") + 1)
	i.eachQuery(func(name, value string) { o.Set(name, lua.LString(value)) })
	return o.Table()
}

func (i requestInfo) paramTable(l *lua.LState, p pattern) *lua.LTable {
	path, err := splitPath(i.path)
	if err != nil || !p.dynamic() {
		return l.CreateTable(0, 0)
	}
	params := p.params(path)
	o := luavm.NewObject(len(params))
	for _, pr := range params {
		o.Set(pr.name, lua.LString(pr.value))
	}
	return o.Table()
}
