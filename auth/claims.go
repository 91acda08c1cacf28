package auth

import (
	"math"
	"slices"
	"strconv"
	"time"

	"rollcall/naming"
)

// rules are what claims are checked by.
type rules struct {
	audience      []string
	issuer        string
	leeway        time.Duration
	requireExpiry bool
}

// check decides on the claims of a token whose signature is right, and returns until when it is good (exp and the
// leeway; zero: for ever). iat and jti are not looked at. The error is an *Error.
func (r rules) check(claims object, now time.Time) (until time.Time, err error) {
	if raw := claims.get("exp"); raw != nil {
		exp, ok := dateOf(raw)
		if !ok {
			return until, refuse(CodeClaims, "exp is no number")
		}
		if until = exp.Add(r.leeway); !now.Before(until) {
			return until, refuse(CodeExpired, "since "+exp.UTC().Format(time.RFC3339))
		}
	} else if r.requireExpiry {
		return until, refuse(CodeClaims, "exp is missing")
	}
	if raw := claims.get("nbf"); raw != nil {
		nbf, ok := dateOf(raw)
		if !ok {
			return until, refuse(CodeClaims, "nbf is no number")
		}
		if now.Add(r.leeway).Before(nbf) {
			return until, refuse(CodeNotYet, "before "+nbf.UTC().Format(time.RFC3339))
		}
	}
	if len(r.audience) > 0 {
		aud, ok := oneOrMore(claims.get("aud"))
		if !ok || !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(r.audience, a) }) {
			return until, refuse(CodeAudience, "aud "+shorten(string(claims.get("aud"))))
		}
	}
	if r.issuer != "" {
		if iss, ok := stringOf(claims.get("iss")); !ok || iss != r.issuer {
			return until, refuse(CodeIssuer, "iss "+shorten(string(claims.get("iss"))))
		}
	}
	return until, nil
}

// dateOf reads a NumericDate: seconds since 1970, fractions allowed. What is beyond the years 1 and 9999 is moved to
// them.
func dateOf(raw []byte) (time.Time, bool) {
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return time.Time{}, false
	}
	const first, last = -62135596800, 253402300799
	whole, fraction := math.Modf(min(max(seconds, first), last))
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// subjectOf reads sub as a user id. Some issuers write a number from 0; it counts as its digits, like the numbers that
// handlers give as user_id.
func subjectOf(raw []byte) (string, error) {
	sub, isText := stringOf(raw)
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= 0 {
		sub, isText = naming.NumericUserID(float64(n))
	}
	switch {
	case raw == nil:
		return "", refuse(CodeSubject, "sub is missing")
	case !isText:
		return "", refuse(CodeSubject, "sub is no string")
	case !naming.Valid(sub):
		return "", refuse(CodeSubject, "sub is not 1 to 255 bytes without control characters")
	}
	return sub, nil
}
