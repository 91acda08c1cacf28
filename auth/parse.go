package auth

import (
	"encoding/base64"
	"strings"
)

// parsed is a token that has been taken apart. Nothing in it can be believed until its signature has been checked.
type parsed struct {
	alg       algorithm
	kid       string // "": none
	signed    string // what the signature is of
	signature []byte
	payload   []byte
}

// maxKeyID is the length of the longest kid in bytes.
const maxKeyID = 256

var base64url = base64.RawURLEncoding.Strict()

// parse takes a compact JWS (RFC 7515, 7.1) apart and decides on its header; it looks at no key. The error is an
// *Error.
func parse(token string) (parsed, error) {
	if len(token) > MaxToken {
		return parsed{}, refuse(CodeTooLong, "")
	}
	for i := range len(token) {
		// The decoder of base64 would skip line ends.
		if c := token[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' ||
			c == '.') {
			return parsed{}, refuse(CodeMalformed, "a character that is not of base64url")
		}
	}
	head, rest, ok1 := strings.Cut(token, ".")
	body, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || head == "" || body == "" || strings.Contains(signature, ".") {
		return parsed{}, refuse(CodeMalformed, "not three parts")
	}
	rawHeader, err := base64url.DecodeString(head)
	if err != nil {
		return parsed{}, refuse(CodeMalformed, "header: not base64url")
	}
	header, err := decodeObject(rawHeader)
	if err != nil {
		return parsed{}, refuse(CodeMalformed, "header: "+err.Error())
	}
	p := parsed{signed: token[:len(head)+1+len(body)]}
	if p.alg, p.kid, err = checkHeader(header); err != nil {
		return parsed{}, err
	}
	// After the header, so that alg none is named as such.
	if signature == "" {
		return parsed{}, refuse(CodeMalformed, "no signature")
	}
	if p.payload, err = base64url.DecodeString(body); err != nil {
		return parsed{}, refuse(CodeMalformed, "payload: not base64url")
	}
	if p.signature, err = base64url.DecodeString(signature); err != nil {
		return parsed{}, refuse(CodeMalformed, "signature: not base64url")
	}
	return p, nil
}

// checkHeader refuses what this package does not do (RFC 7515, 4.1.11: a crit that is not understood makes the token
// invalid), keys that come with the token, and tokens that name another purpose (RFC 8725, 3.11).
func checkHeader(header object) (algorithm, string, error) {
	for _, name := range []string{"crit", "jwk", "jku", "x5u", "x5c", "b64", "enc", "zip"} {
		if header.get(name) != nil {
			return 0, "", refuse(CodeHeader, "header "+name)
		}
	}
	name, ok := stringOf(header.get("alg"))
	if !ok {
		return 0, "", refuse(CodeMalformed, "header: alg is no string")
	}
	alg := algorithmOf(name)
	if alg == 0 {
		return 0, "", refuse(CodeAlgorithm, "alg "+shorten(name))
	}
	kid := ""
	if raw := header.get("kid"); raw != nil {
		if kid, ok = stringOf(raw); !ok || len(kid) > maxKeyID {
			return 0, "", refuse(CodeHeader, "kid is no string of at most 256 bytes")
		}
	}
	if raw := header.get("typ"); raw != nil {
		typ, ok := stringOf(raw)
		if !ok || foreignType(typ) {
			return 0, "", refuse(CodeHeader, "typ "+shorten(typ))
		}
	}
	return alg, kid, nil
}

// foreignType tells a typ that names another purpose, such as logout+jwt, from JWT, at+jwt and free text.
func foreignType(typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return strings.HasSuffix(typ, "+jwt") && typ != "at+jwt"
}

// shorten keeps what a token says of itself from filling the log.
func shorten(s string) string {
	if len(s) > 32 {
		s = strings.ToValidUTF8(s[:32], "") + "…"
	}
	return s
}
