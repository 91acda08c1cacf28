package auth

import (
	"log/slog"
	"maps"
	"slices"
)

// Code is why a token was refused. It is a metric's label.
type Code string

// All codes. Every one means 401 before the upgrade; what a client may read of each is in publicTexts.
const (
	CodeMalformed       Code = "malformed"        // no three parts of base64url, no JSON, a key twice
	CodeTooLong         Code = "too_long"         // more than MaxToken bytes
	CodeConflict        Code = "conflict"         // the request carries two different tokens
	CodeHeader          Code = "header"           // crit, an embedded key or its address, another kind of token
	CodeAlgorithm       Code = "algorithm"        // not one of the four, or none of the keys is for it
	CodeNoKeys          Code = "no_keys"          // no key source is configured
	CodeUnknownKey      Code = "unknown_key"      // no key has the token's kid
	CodeKeysUnavailable Code = "keys_unavailable" // the same, and the JWKS could not be fetched
	CodeSignature       Code = "signature"        // made with another key, or damaged
	CodeExpired         Code = "expired"          // exp
	CodeNotYet          Code = "not_yet"          // nbf
	CodeAudience        Code = "audience"         // aud
	CodeIssuer          Code = "issuer"           // iss
	CodeSubject         Code = "subject"          // sub is missing or no user id
	CodeClaims          Code = "claims"           // another claim has a wrong type, or exp is required and missing
	CodeOtherUser       Code = "other_user"       // a renewal for somebody else
)

// Codes lists every Code, for metrics that want all labels from the start.
func Codes() []Code { return slices.Sorted(maps.Keys(publicTexts)) }

// publicTexts are what clients may read: what is wrong with their token, nothing of the node's keys and settings.
var publicTexts = map[Code]string{
	CodeMalformed:       "the token is no valid JWT",
	CodeTooLong:         "the token is too long",
	CodeConflict:        "the request carries two different tokens",
	CodeHeader:          "the token's header is not accepted",
	CodeAlgorithm:       "the token's algorithm is not accepted",
	CodeNoKeys:          "no configured key can check the token",
	CodeUnknownKey:      "no configured key can check the token",
	CodeKeysUnavailable: "the token cannot be checked at the moment",
	CodeSignature:       "the token's signature is not valid",
	CodeExpired:         "the token has expired",
	CodeNotYet:          "the token is not valid yet",
	CodeAudience:        "the token is for another audience",
	CodeIssuer:          "the token is from another issuer",
	CodeSubject:         "the token's sub claim names no user",
	CodeClaims:          "the token's claims are not valid",
	CodeOtherUser:       "the token is for another user",
}

// Error is a refused token. Error() is the text for the client; logging the error (slog) gives the code and the cause,
// which never hold the token.
type Error struct {
	Code  Code
	Cause string // for the log; "" when the code says all
}

func refuse(code Code, cause string) *Error { return &Error{Code: code, Cause: cause} }

// Error is what a client may see.
func (e *Error) Error() string { return publicTexts[e.Code] }

// Is compares codes, so that errors.Is(err, &Error{Code: CodeExpired}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// LogValue is what the log shows.
func (e *Error) LogValue() slog.Value {
	if e.Cause == "" {
		return slog.StringValue(string(e.Code))
	}
	return slog.StringValue(string(e.Code) + ": " + e.Cause)
}
