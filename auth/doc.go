// Package auth answers who a request comes from: the client's address behind trusted proxies, API keys, and the user
// that a token (JWT) names.
//
// The way of a token: TokenOf finds it in the request, and parse takes it apart and decides on its header. Then a
// keySet checks the signature, rules checks the claims, and newIdentity makes of them what handlers see. Verifier does
// all of it.
//
// What is believed. The algorithm belongs to the key (HS256: secrets; RS256, ES256, EdDSA: RSA, P-256, Ed25519 keys); a
// token can only name one of them. RS384, PS256, ES384 and the like are refused, and so are none, crit, and a typ of
// another purpose (logout+jwt). Keys or addresses of keys in the header (jwk, jku, x5u, x5c) are refused too. So are
// any key twice in one JSON object, and more than 8 KiB. A kid only chooses among keys there are. The claim sub must be
// a user id. The claims exp and nbf are checked with a leeway, aud and iss if configured. A token without exp is good
// for ever unless Config.RequireExpiry is set, as in other servers of the field.
//
// What is never shown. The token itself is in no error and no log line. Handlers get requests through WithoutToken: its
// claims are in their user table, and what they log must not let anybody in.
//
// Goroutines: one for each Verifier with a JWKS, which Close waits for. The package never writes an answer and never
// closes a connection. The callers do that, with the text of an Error (401) and at Identity.Until (4401).
package auth
