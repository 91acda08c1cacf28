package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// SPEC 4: "A JWT (HS256, RS256, ES256, EdDSA; exp, nbf, aud, iss checked)".
func TestVerifyGood(t *testing.T) {
	s := signers()
	v := newVerifier(t, Config{Secrets: [][]byte{[]byte("another secret, the one before it"), secret},
		PublicKeys: []string{allKeys(t)},
		Audience:   []string{"app", "other"}, Issuer: "https://issuer"})
	good := claims{"sub": "42", "aud": "app", "iss": "https://issuer", "exp": now.Add(time.Hour).Unix(),
		"nbf": now.Add(-time.Hour).Unix()}
	with := func(name string, value any) claims {
		c := claims{}
		for k, v := range good {
			c[k] = v
		}
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	tests := []struct {
		name, token string
	}{
		{"HS256", hs(t, good)},
		{"RS256", sign(t, jwt.SigningMethodRS256, s.rsa, nil, good)},
		{"ES256", sign(t, jwt.SigningMethodES256, s.ec, nil, good)},
		{"EdDSA", sign(t, jwt.SigningMethodEdDSA, s.ed, nil, good)},
		{"any kid with a configured key",
			sign(t, jwt.SigningMethodHS256, secret, map[string]any{"kid": "../../dev/null"}, good)},
		{"typ at+jwt", sign(t, jwt.SigningMethodHS256, secret, map[string]any{"typ": "application/at+JWT"}, good)},
		{"other header fields", sign(t, jwt.SigningMethodHS256, secret, map[string]any{"x5t": "a", "cty": "b"}, good)},
		{"several audiences", hs(t, with("aud", []string{"x", "other"}))},
		{"no expiry", hs(t, with("exp", nil))},
		{"fraction of a second", hs(t, with("exp", float64(now.Unix())+0.5))},
		{"expired within the leeway", hs(t, with("exp", now.Add(-DefaultLeeway+time.Second).Unix()))},
		{"not yet, within the leeway", hs(t, with("nbf", now.Add(DefaultLeeway).Unix()))},
		{"expiry far away", hs(t, with("exp", 1e300))},
		{"issued in the future", hs(t, with("iat", now.Add(time.Hour).Unix()))},
		{"8 KiB less a little", hs(t, with("x", strings.Repeat("x", 5800)))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), tt.token)
			if err != nil {
				t.Fatalf("refused: %v", err.(*Error).LogValue())
			}
			if id.ID != "42" || !id.Authenticated {
				t.Errorf("identity %+v", id)
			}
		})
	}
}

// Issue 3: "every token fault one by one".
func TestVerifyFaults(t *testing.T) {
	s := signers()
	v := newVerifier(t, Config{Secrets: [][]byte{secret}, PublicKeys: []string{allKeys(t)}, Audience: []string{"app"},
		Issuer: "https://issuer"})
	good := claims{"sub": "42", "aud": "app", "iss": "https://issuer", "exp": now.Add(time.Hour).Unix()}
	const goodJSON = `{"sub":"42","aud":"app","iss":"https://issuer"}`
	const hsHeader = `{"alg":"HS256","typ":"JWT"}`
	with := func(name string, value any) string {
		c := claims{}
		for k, v := range good {
			c[k] = v
		}
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return hs(t, c)
	}
	header := func(name string, value any) string {
		return sign(t, jwt.SigningMethodHS256, secret, map[string]any{name: value}, good)
	}
	hsWith := func(key []byte) string { return sign(t, jwt.SigningMethodHS256, key, nil, good) }
	token := hs(t, good)
	part := strings.Split(token, ".")
	es := strings.Split(sign(t, jwt.SigningMethodES256, s.ec, nil, good), ".")
	rs := strings.Split(sign(t, jwt.SigningMethodRS256, s.rsa, nil, good), ".")
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)

	tests := []struct {
		name, token string
		code        Code
	}{
		{"expired", with("exp", now.Add(-DefaultLeeway).Unix()), CodeExpired},
		{"expired long ago", with("exp", -1e300), CodeExpired},
		{"exp 0", with("exp", 0), CodeExpired},
		{"exp a string", with("exp", "4000000000"), CodeClaims},
		{"exp null", raw(t, hsHeader, `{"sub":"42","aud":"app","iss":"https://issuer","exp":null}`), CodeClaims},
		{"exp beyond float64", raw(t, hsHeader, `{"sub":"42","aud":"app","iss":"https://issuer","exp":1e999}`),
			CodeMalformed},
		{"not yet", with("nbf", now.Add(DefaultLeeway+time.Second).Unix()), CodeNotYet},
		{"nbf an object", with("nbf", map[string]any{}), CodeClaims},

		{"wrong secret", hsWith([]byte("ffffffffffffffffffffffffffffffff")), CodeSignature},
		{"wrong RSA key", sign(t, jwt.SigningMethodRS256, s.rsa2, nil, good), CodeSignature},
		{"HS256 with the RSA public key as PEM", hsWith([]byte(publicPEM(t, &s.rsa.PublicKey))), CodeSignature},
		{"HS256 with all public keys", hsWith([]byte(allKeys(t))), CodeSignature},
		{"HS256 with the empty secret", hsWith([]byte{}), CodeSignature},
		{"ES256 named RS256", b64(`{"alg":"RS256"}`) + "." + es[1] + "." + es[2], CodeSignature},
		{"RS256 named ES256", b64(`{"alg":"ES256"}`) + "." + rs[1] + "." + rs[2], CodeSignature},
		{"RS256 named EdDSA", b64(`{"alg":"EdDSA"}`) + "." + rs[1] + "." + rs[2], CodeSignature},
		{"ES256 in ASN.1", es[0] + "." + es[1] + "." + asn1Signature(t, s.ec, es[0]+"."+es[1]), CodeSignature},
		{"ES256 of zeros", es[0] + "." + es[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), CodeSignature},
		{"payload swapped", part[0] + "." + b64(`{"sub":"root","aud":"app","iss":"https://issuer"}`) + "." + part[2],
			CodeSignature},
		{"signature of another token", part[0] + "." + part[1] + "." + strings.Split(with("sub", "43"), ".")[2],
			CodeSignature},
		{"signature cut short", token[:len(token)-4], CodeSignature},

		{"none", b64(`{"alg":"none"}`) + "." + part[1] + ".", CodeAlgorithm},
		{"None with a signature", b64(`{"alg":"nOnE"}`) + "." + part[1] + "." + part[2], CodeAlgorithm},
		{"HS384", sign(t, jwt.SigningMethodHS384, secret, nil, good), CodeAlgorithm},
		{"RS384", sign(t, jwt.SigningMethodRS384, s.rsa, nil, good), CodeAlgorithm},
		{"PS256", sign(t, jwt.SigningMethodPS256, s.rsa, nil, good), CodeAlgorithm},
		{"ES384", sign(t, jwt.SigningMethodES384, p384, nil, good), CodeAlgorithm},
		{"alg in lower case", raw(t, `{"alg":"hs256"}`, goodJSON), CodeAlgorithm},
		{"alg empty", raw(t, `{"alg":""}`, goodJSON), CodeAlgorithm},
		{"alg missing", raw(t, `{"typ":"JWT"}`, goodJSON), CodeMalformed},
		{"alg named ALG", raw(t, `{"ALG":"HS256"}`, goodJSON), CodeMalformed},
		{"alg a list", raw(t, `{"alg":["HS256"]}`, goodJSON), CodeMalformed},
		{"alg null", raw(t, `{"alg":null}`, goodJSON), CodeMalformed},

		{"crit", header("crit", []string{"exp"}), CodeHeader},
		{"crit, empty", header("crit", []string{}), CodeHeader},
		{"b64", header("b64", true), CodeHeader},
		{"embedded jwk", header("jwk", jwkOf("a", &s.rsa.PublicKey, nil)), CodeHeader},
		{"jku", header("jku", "https://evil.example/keys"), CodeHeader},
		{"x5u", header("x5u", "https://evil.example/cert"), CodeHeader},
		{"x5c", header("x5c", []string{"MIIB"}), CodeHeader},
		{"kid a number", header("kid", 1), CodeHeader},
		{"kid an object", header("kid", map[string]any{"$ne": ""}), CodeHeader},
		{"kid too long", header("kid", strings.Repeat("k", 257)), CodeHeader},
		{"typ of another purpose", header("typ", "logout+jwt"), CodeHeader},
		{"typ a number", header("typ", 1), CodeHeader},

		{"wrong audience", with("aud", "others"), CodeAudience},
		{"no audience", with("aud", nil), CodeAudience},
		{"audience an object", with("aud", map[string]any{"app": true}), CodeAudience},
		{"audiences with a number", with("aud", []any{"app", 1}), CodeAudience},
		{"audience in other case", with("aud", "App"), CodeAudience},
		{"wrong issuer", with("iss", "https://issuer/"), CodeIssuer},
		{"no issuer", with("iss", nil), CodeIssuer},
		{"issuer a list", with("iss", []string{"https://issuer"}), CodeIssuer},

		{"no sub", with("sub", nil), CodeSubject},
		{"sub empty", with("sub", ""), CodeSubject},
		{"sub too long", with("sub", strings.Repeat("u", 256)), CodeSubject},
		{"sub with a line end", with("sub", "a\nb"), CodeSubject},
		{"sub with a NUL", with("sub", "a\x00"), CodeSubject},
		{"sub a fraction", with("sub", 1.5), CodeSubject},
		{"sub negative", with("sub", -1), CodeSubject},
		{"sub 2^53", with("sub", 1<<53), CodeSubject},
		{"payload with half of a surrogate pair",
			raw(t, hsHeader, `{"sub":"42","aud":"app","iss":"https://issuer","x":"\ud800"}`), CodeMalformed},
		{"sub a list", with("sub", []string{"42"}), CodeSubject},
		{"sub null", raw(t, hsHeader, `{"sub":null,"aud":"app","iss":"https://issuer"}`), CodeSubject},

		{"garbage", "garbage", CodeMalformed},
		{"empty", "", CodeMalformed},
		{"dots", "..", CodeMalformed},
		{"two parts", part[0] + "." + part[1], CodeMalformed},
		{"no signature", part[0] + "." + part[1] + ".", CodeMalformed},
		{"no header", "." + part[1] + "." + part[2], CodeMalformed},
		{"no payload", part[0] + ".." + part[2], CodeMalformed},
		{"four parts", token + ".x", CodeMalformed},
		{"five parts, as of JWE", token + ".x.y", CodeMalformed},
		{"trailing dot", token + ".", CodeMalformed},
		{"trailing space", token + " ", CodeMalformed},
		{"line end inside", part[0] + "\n." + part[1] + "." + part[2], CodeMalformed},
		{"padding", token + "=", CodeMalformed},
		{"base64 of the other kind", strings.ReplaceAll(token, part[1], "++//"), CodeMalformed},
		{"loose last bits", part[0] + "." + part[1] + "." + loosen(part[2]), CodeMalformed},
		{"JSON serialization", `{"payload":"` + part[1] + `"}`, CodeMalformed},
		{"64 KiB", strings.Repeat("a", 64<<10), CodeTooLong},
		{"64 KiB of dots", strings.Repeat(".", 64<<10), CodeTooLong},
		{"64 KiB, well signed", with("x", strings.Repeat("x", 48<<10)), CodeTooLong},

		{"header twice alg", raw(t, `{"alg":"none","alg":"HS256"}`, goodJSON), CodeMalformed},
		{"header twice alg, escaped", raw(t, `{"alg":"none","\u0061lg":"HS256"}`, goodJSON), CodeMalformed},
		{"sub twice", raw(t, hsHeader, `{"sub":"1","aud":"app","iss":"https://issuer","sub":"42"}`), CodeMalformed},
		{"twice, deep", raw(t, hsHeader, `{"sub":"1","aud":"app","iss":"https://issuer","x":[{"a":1,"a":2}]}`),
			CodeMalformed},
		{"header trailing data", raw(t, hsHeader+"{}", goodJSON), CodeMalformed},
		{"payload trailing data", raw(t, hsHeader, goodJSON+"x"), CodeMalformed},
		{"payload an array", raw(t, hsHeader, `["sub"]`), CodeMalformed},
		{"payload a string", raw(t, hsHeader, `"sub"`), CodeMalformed},
		{"payload null", raw(t, hsHeader, `null`), CodeMalformed},
		{"payload broken", raw(t, hsHeader, `{"sub":`), CodeMalformed},
		{"payload with a loose comma", raw(t, hsHeader, `{"sub":"42",}`), CodeMalformed},
		{"payload not UTF-8", raw(t, hsHeader, "{\"sub\":\"\xff\"}"), CodeMalformed},
		{"payload too deep", raw(t, hsHeader,
			`{"sub":"42","aud":"app","iss":"https://issuer","x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+
				"}"), CodeMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), tt.token)
			if codeOf(err) != tt.code {
				t.Fatalf("Verify = %+v, %q, want %q", id, codeOf(err), tt.code)
			}
			if id.User != nil || id.Authenticated || id.ID != "" {
				t.Errorf("an identity beside the error: %+v", id)
			}
			checkQuiet(t, err, tt.token)
		})
	}
}

// checkQuiet looks that the client reads a known text, and that no log line holds the token.
func checkQuiet(t *testing.T, err error, token string) {
	t.Helper()
	e := err.(*Error)
	if e.Error() == "" || e.Error() != publicTexts[e.Code] {
		t.Errorf("public text %q", e.Error())
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("refused", "error", err)
	if !strings.Contains(b.String(), string(e.Code)) || len(b.String()) > 400 {
		t.Errorf("log line %q", b.String())
	}
	for p := range strings.SplitSeq(token, ".") {
		if len(p) > 8 && strings.Contains(b.String(), p) {
			t.Errorf("the log line %q shows the token", b.String())
		}
	}
}

// loosen changes bits of the last character that no byte holds.
func loosen(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last|1])
}

func asn1Signature(t *testing.T, k *ecdsa.PrivateKey, signed string) string {
	t.Helper()
	h := jwt.SigningMethodES256.Hash.New()
	h.Write([]byte(signed))
	sig, err := ecdsa.SignASN1(rand.Reader, k, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sig)
}

func TestVerifyUnconfigured(t *testing.T) {
	s := signers()
	c := claims{"sub": "42", "aud": "any", "iss": "any"}
	rs := sign(t, jwt.SigningMethodRS256, s.rsa, nil, c)
	tests := []struct {
		name  string
		cfg   Config
		token string
		code  Code
	}{
		{"no key source", Config{}, rs, CodeNoKeys},
		{"only a secret", Config{Secrets: [][]byte{secret}}, rs, CodeAlgorithm},
		{"only a public key", Config{PublicKeys: []string{allKeys(t)}}, hs(t, c), CodeAlgorithm},
		{"audience and issuer unset: not checked", Config{PublicKeys: []string{allKeys(t)}}, rs, ""},
		{"exp required", Config{PublicKeys: []string{allKeys(t)}, RequireExpiry: true}, rs, CodeClaims},
		{"no leeway", Config{Secrets: [][]byte{secret}, Leeway: -1}, hs(t, claims{"sub": "42", "exp": now.Unix()}),
			CodeExpired},
		{"longer leeway", Config{Secrets: [][]byte{secret}, Leeway: time.Minute},
			hs(t, claims{"sub": "42", "exp": now.Unix() - 59}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := newVerifier(t, tt.cfg).Verify(t.Context(), tt.token); codeOf(err) != tt.code {
				t.Errorf("%v, want code %q", codeOf(err), tt.code)
			}
		})
	}
	if _, ok := newVerifier(t, Config{}).JWKS(); ok {
		t.Error("a JWKS nobody configured")
	}
	if newVerifier(t, Config{}).Configured() || !newVerifier(t, Config{Secrets: [][]byte{secret}}).Configured() {
		t.Error("Configured is wrong")
	}
}

// Garbage of 64 KiB is refused unread.
func TestGarbageIsCheap(t *testing.T) {
	v := newVerifier(t, Config{Secrets: [][]byte{secret}})
	garbage := strings.Repeat("a", 64<<10)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := v.Verify(t.Context(), garbage); codeOf(err) != CodeTooLong {
			t.Fatal(err)
		}
	})
	if allocs > 2 {
		t.Errorf("%v allocations", allocs)
	}
}
