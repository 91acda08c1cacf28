package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Keys are the API keys of back ends.
type Keys struct{ sums [][sha256.Size]byte }

// NewKeys takes the configured keys; empty ones do not count.
func NewKeys(keys ...string) Keys {
	var k Keys
	for _, key := range keys {
		if key != "" {
			k.sums = append(k.sums, sha256.Sum256([]byte(key)))
		}
	}
	return k
}

// Configured tells whether there is any key.
func (k Keys) Configured() bool { return len(k.sums) > 0 }

// Allow tells whether a request carries a configured key, in X-API-Key or as a bearer token. The time it takes does not
// depend on how much of a key is right.
func (k Keys) Allow(h http.Header) bool {
	given := h.Get("X-API-Key")
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); given == "" && ok && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	if given == "" {
		return false
	}
	sum := sha256.Sum256([]byte(given))
	match := 0
	for i := range k.sums {
		match |= subtle.ConstantTimeCompare(sum[:], k.sums[i][:])
	}
	return match == 1
}
