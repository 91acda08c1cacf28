package auth

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Scope is what an API key may do.
type Scope string

// The scopes. Admin holds the others.
const (
	Read    Scope = "read"    // list connections, channels, presence, nodes
	Publish Scope = "publish" // broadcast and send
	Admin   Scope = "admin"   // close connections, register scripts, and all of the others
)

// Valid tells that there is such a scope.
func (s Scope) Valid() bool { return s == Read || s == Publish || s == Admin }

// Keys are the API keys of back ends. A Keys does not change.
type Keys struct{ keys []apiKey }

type apiKey struct {
	name   string
	sum    [sha256.Size]byte
	scopes []Scope
}

// NewKey takes one key that may do everything; an empty text is none.
func NewKey(text string) Keys {
	if text == "" {
		return Keys{}
	}
	return Keys{[]apiKey{{"default", sha256.Sum256([]byte(text)), []Scope{Admin}}}}
}

// ReadKeys reads a file of keys, one a line: the key alone (it may do everything; its name is made of its hash), or
// `name scope[,scope…] key`. Keys may share a name: an old and a new one of the same back end.
// Empty lines and those that begin with # do not count.
func ReadKeys(r io.Reader) (Keys, error) {
	var k Keys
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		one, err := parseKey(line)
		if err != nil {
			return Keys{}, fmt.Errorf("line %d: %w", n, err)
		}
		if slices.ContainsFunc(k.keys, func(o apiKey) bool { return o.sum == one.sum }) {
			return Keys{}, fmt.Errorf("line %d: this key is there already", n)
		}
		k.keys = append(k.keys, one)
	}
	if err := lines.Err(); err != nil {
		return Keys{}, err
	}
	return k, nil
}

func parseKey(line string) (apiKey, error) {
	words := strings.Fields(line)
	switch len(words) {
	case 1:
		sum := sha256.Sum256([]byte(words[0]))
		return apiKey{"key-" + hex.EncodeToString(sum[:4]), sum, []Scope{Admin}}, nil
	case 3:
	default:
		return apiKey{}, fmt.Errorf("write a key, or name, scopes and key")
	}
	k := apiKey{name: words[0], sum: sha256.Sum256([]byte(words[2]))}
	for s := range strings.SplitSeq(words[1], ",") {
		if !Scope(s).Valid() {
			return apiKey{}, fmt.Errorf("%q is no scope: write read, publish or admin", s)
		}
		k.scopes = append(k.scopes, Scope(s))
	}
	return k, nil
}

// Join gives the keys of both.
func (k Keys) Join(o Keys) Keys { return Keys{append(slices.Clip(k.keys), o.keys...)} }

// Configured tells whether there is any key.
func (k Keys) Configured() bool { return len(k.keys) > 0 }

// Caller is whose key a request carries.
type Caller struct {
	Name   string
	scopes []Scope
}

// May tells whether the caller's key has a scope; "" is any key.
func (c Caller) May(s Scope) bool {
	return s == "" || slices.Contains(c.scopes, s) || slices.Contains(c.scopes, Admin)
}

// Everyone is the caller of an API that needs no key: --dev on loopback.
func Everyone() Caller { return Caller{"dev", []Scope{Admin}} }

// Find tells whose key a request carries, in X-API-Key or as a bearer token. The time it takes does not depend on how
// much of a key is right.
func (k Keys) Find(h http.Header) (Caller, bool) {
	given := h.Get("X-API-Key")
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); given == "" && ok &&
		strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	if given == "" {
		return Caller{}, false
	}
	sum := sha256.Sum256([]byte(given))
	found := -1
	for i := range k.keys {
		if subtle.ConstantTimeCompare(sum[:], k.keys[i].sum[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Caller{}, false
	}
	return Caller{k.keys[found].name, k.keys[found].scopes}, true
}
