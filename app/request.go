package app

import (
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// Bounds of a request's query (SPEC 6); beyond: 414.
const (
	maxQuery      = 8 << 10 // bytes
	maxQueryPairs = 100
)

// queryTooLong tells whether a raw query is beyond the bounds.
func queryTooLong(raw string) bool {
	return len(raw) > maxQuery || strings.Count(raw, "&") >= maxQueryPairs
}

// requestInfo is what handlers may ask about a request, as compact as it can be kept for the life of a connection:
// three pieces of one string. The tables are made from it for each event, so that one handler's changes are gone by the
// next.
type requestInfo struct {
	path    string // escaped, as in the request line
	query   pairs  // decoded, in order; what is not well encoded or no UTF-8 is left out
	headers pairs  // names in lower case and in order
}

// pairs are names and values one after another, each behind its length.
type pairs string

func appendPair(b []byte, name, value string) []byte {
	for _, s := range [...]string{name, value} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// each calls f for every pair in order.
func (p pairs) each(f func(name, value string)) {
	next := func() (s string) {
		n, i := uint64(0), 0
		for shift := 0; ; shift += 7 {
			c := p[i]
			i++
			n |= uint64(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
		s, p = string(p[i:i+int(n)]), p[i+int(n):]
		return s
	}
	for p != "" {
		name := next()
		f(name, next())
	}
}

// table makes a table of the pairs; the last of equal names counts.
func (p pairs) table() *lua.LTable {
	n := 0
	p.each(func(string, string) { n++ })
	o := luavm.NewObject(n)
	p.each(func(name, value string) { o.Set(name, lua.LString(value)) })
	return o.Table()
}

// newRequestInfo copies what is needed; r may be forgotten afterwards.
func newRequestInfo(r *http.Request) requestInfo {
	type header struct{ name, value string }
	headers := make([]header, 0, len(r.Header)+1)
	size := 0
	add := func(name, value string) {
		headers = append(headers, header{name, value})
		size += len(name) + len(value) + 4
	}
	if r.Host != "" {
		add("host", r.Host)
	}
	for name, values := range r.Header {
		add(strings.ToLower(name), strings.Join(values, ", "))
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.name, b.name) })

	path := r.URL.EscapedPath()
	b := make([]byte, 0, len(path)+len(r.URL.RawQuery)+size+16)
	b = append(b, path...)
	b = appendQuery(b, r.URL.RawQuery)
	query := len(b)
	for _, h := range headers {
		b = appendPair(b, h.name, h.value)
	}
	all := string(b)
	return requestInfo{all[:len(path)], pairs(all[len(path):query]), pairs(all[query:])}
}

// appendQuery decodes a raw query.
func appendQuery(b []byte, raw string) []byte {
	for rest := raw; rest != ""; {
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
			b = appendPair(b, name, value)
		}
	}
	return b
}

// decodedPath is the path as text.
func (i requestInfo) decodedPath() string {
	if s, err := url.PathUnescape(i.path); err == nil {
		return s
	}
	return i.path
}

// The tables of SPEC 1.2. "Repeated query keys: the last; repeated headers: joined by commas" (SPEC 6).

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
