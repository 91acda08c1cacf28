package auth

import (
	"net/http"
	"net/url"
)

// KeyGuard decides who may do what needs an API key (SPEC 2): with a configured key that has the scope; with Dev and no
// key configured, from this machine and not by way of a proxy or of a foreign page. The zero value lets nobody in.
type KeyGuard struct {
	Keys func() Keys // those that are valid now; nil: there are none
	Dev  bool
}

// KeyError is why somebody may not, with the status and the text of the answer.
type KeyError struct {
	Status int // 401: no key or a wrong one; 403
	Text   string
}

func (e *KeyError) Error() string { return e.Text }

// Authorize tells who makes a request for something that needs a scope; "": any key will do. nil: it may be done.
func (g KeyGuard) Authorize(r *http.Request, scope Scope) (Caller, *KeyError) {
	keys := g.keys()
	switch {
	case keys.Configured():
		caller, ok := keys.Find(r.Header)
		switch {
		case !ok:
			return caller, &KeyError{http.StatusUnauthorized, "give the API key as X-API-Key or as Authorization: Bearer"}
		case !caller.May(scope):
			return caller, &KeyError{http.StatusForbidden, "this API key lacks the scope " + string(scope)}
		}
		return caller, nil
	case !g.Dev:
		return Caller{}, &KeyError{http.StatusForbidden, "no API key is configured: start the node with --api-key"}
	case !IsLoopback(r.RemoteAddr) || IsForwarded(r.Header):
		return Caller{}, &KeyError{http.StatusForbidden, "without an API key this is open to this machine only"}
	case foreign(r):
		return Caller{}, &KeyError{http.StatusForbidden, "without an API key this is closed to pages of other origins"}
	}
	return Everyone(), nil
}

func (g KeyGuard) keys() Keys {
	if g.Keys == nil {
		return Keys{}
	}
	return g.Keys()
}

// WithoutKey is the request without the key that Authorize has found, for handlers. What else stands in Authorization
// is left: a user's token beside an X-API-Key.
func (g KeyGuard) WithoutKey(r *http.Request) *http.Request {
	name := "X-Api-Key"
	if r.Header.Get(name) == "" {
		if _, ok := g.keys().Find(r.Header); !ok {
			return r
		}
		name = "Authorization"
	}
	clean := *r
	clean.Header = r.Header.Clone()
	clean.Header.Del(name)
	return &clean
}

// foreign tells that a request was made by a page of another origin, or of a name that was led to this machine.
func foreign(r *http.Request) bool {
	if !IsLocalHost(r.Host) {
		return true
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return false
	}
	u, err := url.Parse(origins[0])
	return len(origins) > 1 || err != nil || u.Host != r.Host
}
