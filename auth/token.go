package auth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// Subprotocol is the WebSocket subprotocol that clients offer before their token, and that is answered.
const Subprotocol = "rollcall"

// phoenixPrefix begins the subprotocol in which phoenix.js 1.8 offers its authToken: base64, of the plain alphabet and
// without padding in spite of its name (assets/js/phoenix/socket.js).
const phoenixPrefix = "base64url.bearer.phx."

// MaxToken is the length of the longest token in bytes; longer ones are refused unread.
const MaxToken = 8 << 10

const (
	queryName      = "token"
	protocolHeader = "Sec-Websocket-Protocol"
)

// TokenOf finds the token of a request (SPEC 4): "Authorization: Bearer", the query parameter token, what follows
// rollcall among the offered subprotocols, or the one of phoenix.js there. An empty one is none; other schemes of
// Authorization are not looked at. The same token in several places is one; two different ones are refused, since a
// proxy or log may have seen the other.
// subprotocol is what to answer the upgrade with: "rollcall" when that was offered, never the token. The error is an
// *Error.
func TokenOf(r *http.Request) (token, subprotocol string, err error) {
	one := func(t string) {
		switch {
		case t == "" || t == token || err != nil:
		case token == "":
			token = t
		default:
			err = refuse(CodeConflict, "two different tokens in one request")
		}
	}
	for _, v := range r.Header["Authorization"] {
		if t, ok := bearer(v); ok {
			one(t)
		}
	}
	if r.URL != nil {
		eachPair(r.URL.RawQuery, func(_, name, value string) {
			if name != queryName {
				return
			}
			t, bad := url.QueryUnescape(value)
			if bad != nil && err == nil {
				err = refuse(CodeMalformed, "the query parameter token is badly encoded")
			}
			one(t)
		})
	}
	offered := false
	eachProtocol(r.Header, func(name string, secret bool) {
		offered = offered || !secret && name == Subprotocol
		if !secret {
			return
		}
		t, good := tokenIn(name)
		if !good && err == nil {
			err = refuse(CodeMalformed, "the token among the subprotocols is badly encoded")
		}
		one(t)
	})
	if offered {
		subprotocol = Subprotocol
	}
	if err != nil {
		return "", subprotocol, err
	}
	if len(token) > MaxToken {
		return "", subprotocol, refuse(CodeTooLong, "")
	}
	return token, subprotocol, nil
}

// WithoutToken is the request as handlers and logs may see it: without the query parameter token, the bearer
// Authorization and the token among the subprotocols. r itself is not changed, and is the answer when it carries none.
func WithoutToken(r *http.Request) *http.Request {
	query, requestURI := "", ""
	if r.URL != nil {
		query = StripToken(r.URL.RawQuery)
	}
	if path, q, ok := strings.Cut(r.RequestURI, "?"); ok {
		requestURI = joinQuery(path, StripToken(q))
	} else {
		requestURI = r.RequestURI
	}
	var authorization, protocols []string
	secrets := 0
	for _, v := range r.Header["Authorization"] {
		if _, ok := bearer(v); ok {
			secrets++
			continue
		}
		authorization = append(authorization, v)
	}
	offered := false
	eachProtocol(r.Header, func(name string, secret bool) {
		switch {
		case secret:
			secrets++
		case name == Subprotocol:
			offered = true
		default:
			protocols = append(protocols, name)
		}
	})
	if offered {
		protocols = append(protocols, Subprotocol) // last, so that nothing follows it that would be a token
	}
	if secrets == 0 && (r.URL == nil || query == r.URL.RawQuery) && requestURI == r.RequestURI {
		return r
	}
	clean := *r
	clean.RequestURI = requestURI
	if r.URL != nil {
		u := *r.URL
		u.RawQuery = query
		clean.URL = &u
	}
	clean.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		clean.Header[name] = values
	}
	setOrDelete(clean.Header, "Authorization", authorization)
	if len(protocols) > 0 {
		protocols = []string{strings.Join(protocols, ", ")}
	}
	setOrDelete(clean.Header, protocolHeader, protocols)
	return &clean
}

func setOrDelete(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
		return
	}
	h[name] = values
}

// StripToken takes the parameter token out of a raw query.
func StripToken(rawQuery string) string {
	var kept strings.Builder
	found := false
	eachPair(rawQuery, func(pair, name, _ string) {
		if name == queryName {
			found = true
			return
		}
		if kept.Len() > 0 {
			kept.WriteByte('&')
		}
		kept.WriteString(pair)
	})
	if !found {
		return rawQuery
	}
	return kept.String()
}

func joinQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// bearer is the token of an Authorization header; false: another scheme.
func bearer(header string) (string, bool) {
	header = strings.TrimSpace(header)
	end := strings.IndexAny(header, " \t")
	if end < 0 {
		end = len(header)
	}
	return strings.TrimSpace(header[end:]), strings.EqualFold(header[:end], "Bearer")
}

// eachPair calls f for each pair of a raw query with its decoded name and its value as it stands.
func eachPair(raw string, f func(pair, name, value string)) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if len(name) <= 3*len(queryName) && strings.Contains(name, "%") {
			if n, err := url.QueryUnescape(name); err == nil {
				name = n
			}
		}
		f(pair, name, value)
	}
}

// tokenIn is the token of a secret subprotocol.
func tokenIn(name string) (token string, good bool) {
	encoded, ok := strings.CutPrefix(name, phoenixPrefix)
	if !ok {
		return name, true
	}
	b, err := base64.RawURLEncoding.DecodeString(toURL.Replace(strings.TrimRight(encoded, "=")))
	return string(b), err == nil
}

// toURL turns base64 of the plain alphabet into that of URLs.
var toURL = strings.NewReplacer("+", "-", "/", "_")

// eachProtocol calls f for each offered subprotocol; secret ones are tokens: they follow rollcall, or are phoenix.js's.
func eachProtocol(h http.Header, f func(name string, secret bool)) {
	secret := false
	for _, v := range h[protocolHeader] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			f(name, secret || strings.HasPrefix(name, phoenixPrefix))
			secret = !secret && name == Subprotocol
		}
	}
}
