package auth

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is a server of keys without a network, for synctest.
type issuer struct {
	mu      sync.Mutex
	body    []byte
	err     error
	delay   time.Duration
	fetches int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	body, err, delay := i.body, i.err, i.delay
	i.fetches++
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)),
		Request: r}, nil
}

func (i *issuer) set(body []byte, err error, delay time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.body, i.err, i.delay = body, err, delay
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func kid(name string) map[string]any { return map[string]any{"kid": name} }

const issuerURL = "https://issuer.example/jwks.json"

// follow makes a Verifier of an issuer's keys.
func follow(t *testing.T, i *issuer) *Verifier {
	return newVerifier(t, Config{JWKSURL: issuerURL, Transport: i, Now: time.Now})
}

func TestJWKSAlgorithms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		i := &issuer{body: jwksOf(t, jwkOf("r", &s.rsa.PublicKey, nil), jwkOf("e", &s.ec.PublicKey, nil),
			jwkOf("", s.ed.Public(), nil))}
		v := follow(t, i)
		c := claims{"sub": "42"}
		tests := []struct {
			name, token string
			code        Code
		}{
			{"RS256", sign(t, jwt.SigningMethodRS256, s.rsa, kid("r"), c), ""},
			{"ES256", sign(t, jwt.SigningMethodES256, s.ec, kid("e"), c), ""},
			{"EdDSA, key without kid", sign(t, jwt.SigningMethodEdDSA, s.ed, kid("x"), c), ""},
			{"no kid", sign(t, jwt.SigningMethodRS256, s.rsa, nil, c), ""},
			{"kid of a key of another kind", sign(t, jwt.SigningMethodRS256, s.rsa, kid("e"), c), CodeUnknownKey},
			{"kid unknown", sign(t, jwt.SigningMethodRS256, s.rsa, kid("z"), c), CodeUnknownKey},
			{"wrong key", sign(t, jwt.SigningMethodRS256, s.rsa2, kid("r"), c), CodeSignature},
			{"HS256 with the RSA public key",
				sign(t, jwt.SigningMethodHS256, []byte(publicPEM(t, &s.rsa.PublicKey)), kid("r"), c), CodeAlgorithm},
			{"HS256 with n of the key", sign(t, jwt.SigningMethodHS256, []byte(jwkOf("r", &s.rsa.PublicKey, nil)["n"].(string)),
				kid("r"), c), CodeAlgorithm},
			{"kid with a path", sign(t, jwt.SigningMethodRS256, s.rsa2, kid("../r"), c), CodeUnknownKey},
		}
		for _, tt := range tests {
			if _, err := v.Verify(t.Context(), tt.token); codeOf(err) != tt.code {
				t.Errorf("%s: %q, want %q", tt.name, codeOf(err), tt.code)
			}
		}
		v.Close()
	})
}

// Issue 3: "JWKS rotated while clients connect".
func TestJWKSRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		first, second := jwkOf("1", &s.rsa.PublicKey, nil), jwkOf("2", &s.rsa2.PublicKey, nil)
		old := sign(t, jwt.SigningMethodRS256, s.rsa, kid("1"), claims{"sub": "42"})
		fresh := sign(t, jwt.SigningMethodRS256, s.rsa2, kid("2"), claims{"sub": "42"})
		i := &issuer{body: jwksOf(t, first)}
		v := follow(t, i)
		time.Sleep(fetchSoonest)

		i.set(jwksOf(t, first, second), nil, time.Second)
		var clients sync.WaitGroup
		for n := range 200 {
			clients.Go(func() {
				token := old
				if n%2 == 0 {
					token = fresh
				}
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("client %d refused while the keys rotate: %q", n, codeOf(err))
				}
			})
		}
		clients.Wait()
		if got := i.count(); got != 2 {
			t.Errorf("%d fetches for 100 clients with a new key, want 1 and the first", got)
		}

		// The old key is taken back: that is seen without anybody asking.
		i.set(jwksOf(t, second), nil, 0)
		time.Sleep(12 * time.Minute)
		if _, err := v.Verify(t.Context(), old); codeOf(err) != CodeUnknownKey {
			t.Errorf("the old key still works: %v", err)
		}
		if _, err := v.Verify(t.Context(), fresh); err != nil {
			t.Errorf("the new key does not work: %v", err)
		}
		v.Close()
	})
}

// A key set whose keys have no kid rotates too.
func TestJWKSRotationWithoutKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		i := &issuer{body: jwksOf(t, jwkOf("", &s.rsa.PublicKey, nil))}
		v := follow(t, i)
		time.Sleep(fetchSoonest)
		i.set(jwksOf(t, jwkOf("", &s.rsa2.PublicKey, nil)), nil, 0)
		if _, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, s.rsa2, nil, claims{"sub": "42"})); err != nil {
			t.Errorf("refused: %q", codeOf(err))
		}
		v.Close()
	})
}

// Made-up kids cost the issuer one fetch in fetchSoonest, and the client no waiting.
func TestJWKSUnknownKeysAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		i := &issuer{body: jwksOf(t, jwkOf("1", &s.rsa.PublicKey, nil))}
		v := follow(t, i)
		const seconds = 60
		for range seconds {
			for n := range 20 {
				start := time.Now()
				_, err := v.Verify(t.Context(),
					sign(t, jwt.SigningMethodES256, s.ec, kid(strings.Repeat("x", n)+"y"), claims{"sub": "42"}))
				if codeOf(err) != CodeUnknownKey || time.Since(start) > 0 {
					t.Fatalf("%q after %v", codeOf(err), time.Since(start))
				}
			}
			time.Sleep(time.Second)
		}
		if got, most := i.count(), 1+seconds/int(fetchSoonest/time.Second); got > most {
			t.Errorf("%d fetches in a minute, want %d at most", got, most)
		}
		v.Close()
	})
}

// Issue 3: "an outage of its server": while it lasts the keys of before work, and there is no storm of fetches.
func TestJWKSOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		i := &issuer{body: jwksOf(t, jwkOf("1", &s.rsa.PublicKey, nil))}
		v := follow(t, i)
		old := sign(t, jwt.SigningMethodRS256, s.rsa, kid("1"), claims{"sub": "42"})
		fresh := sign(t, jwt.SigningMethodRS256, s.rsa2, kid("2"), claims{"sub": "42"})
		faults := []struct {
			name string
			body string
			err  error
		}{
			{"down", "", errors.New("connection refused")},
			{"broken JSON", `{"keys":[`, nil},
			{"no JSON", `<html>`, nil},
			{"no keys member", `{}`, nil},
			{"no keys", `{"keys":[]}`, nil},
			{"no usable key", `{"keys":[{"kty":"oct","k":"AAAA"}]}`, nil},
			{"keys no list", `{"keys":{"1":{}}}`, nil},
			{"huge", `{"keys":[],"x":"` + strings.Repeat("x", fetchMaxBody) + `"}`, nil},
		}
		for _, tt := range faults {
			i.set([]byte(tt.body), tt.err, 0)
			before := i.count()
			time.Sleep(time.Hour)
			if _, err := v.Verify(t.Context(), old); err != nil {
				t.Errorf("%s: a known key is refused: %q", tt.name, codeOf(err))
			}
			if _, err := v.Verify(t.Context(), fresh); codeOf(err) != CodeKeysUnavailable {
				t.Errorf("%s: an unknown key: %q", tt.name, codeOf(err))
			}
			if got := i.count() - before; got < 50 || got > 140 {
				t.Errorf("%s: %d fetches in an hour", tt.name, got)
			}
		}
		i.set(jwksOf(t, jwkOf("1", &s.rsa.PublicKey, nil), jwkOf("2", &s.rsa2.PublicKey, nil)), nil, 0)
		time.Sleep(fetchRetryMax + time.Second)
		for name, token := range map[string]string{"old": old, "new": fresh} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("%s key refused after the outage: %q", name, codeOf(err))
			}
		}
		v.Close()
		if _, err := v.Verify(t.Context(), old); err != nil {
			t.Errorf("refused after Close: %q", codeOf(err))
		}
	})
}

// New: "A JWKS that cannot be fetched is a line in the log and no error".
func TestJWKSDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		var log bytes.Buffer
		i := &issuer{err: errors.New("connection refused")}
		v := newVerifier(t, Config{JWKSURL: "https://user:hidden@issuer.example/jwks", Transport: i,
			Secrets: [][]byte{secret}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		token := sign(t, jwt.SigningMethodRS256, s.rsa, kid("1"), claims{"sub": "42"})
		if _, err := v.Verify(t.Context(), token); codeOf(err) != CodeKeysUnavailable {
			t.Errorf("%q", codeOf(err))
		}
		if _, err := v.Verify(t.Context(), hs(t, claims{"sub": "42"})); err != nil {
			t.Errorf("the configured secret does not work: %v", err)
		}
		if got, ok := v.JWKS(); !ok || got != (JWKSStatus{Failures: 1}) {
			t.Errorf("status %+v, %v", got, ok)
		}
		i.set(jwksOf(t, jwkOf("1", &s.rsa.PublicKey, nil)), nil, 0)
		time.Sleep(2 * fetchRetry)
		if got, _ := v.JWKS(); got.Keys != 1 || got.Failures != 0 || got.Fetched.IsZero() {
			t.Errorf("status %+v", got)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("refused after the issuer is up: %q", codeOf(err))
		}
		v.Close()
		if text := log.String(); !strings.Contains(text, "JWKS not fetched") || !strings.Contains(text, "JWKS fetched") ||
			strings.Contains(text, "hidden") {
			t.Errorf("log:\n%s", text)
		}
	})
}
