package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
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

// A slow issuer: waiting is bounded, and the request's end ends it.
func TestJWKSSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers()
		i := &issuer{body: jwksOf(t, jwkOf("1", &s.rsa.PublicKey, nil))}
		v := follow(t, i)
		time.Sleep(fetchSoonest)
		i.set(nil, nil, time.Hour)
		token := sign(t, jwt.SigningMethodRS256, s.rsa2, kid("2"), claims{"sub": "42"})

		start := time.Now()
		if _, err := v.Verify(t.Context(), token); codeOf(err) != CodeUnknownKey || time.Since(start) != fetchWait {
			t.Errorf("%q after %v, want %v", codeOf(err), time.Since(start), fetchWait)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, err := v.Verify(ctx, token); err == nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// More than maxWaiting are refused at once; a known key waits for nobody.
		for seen := i.count(); i.count() == seen; { // until one is on its way
			time.Sleep(time.Second)
		}
		var waiting sync.WaitGroup
		var atOnce atomic.Int64
		for range maxWaiting + 50 {
			waiting.Go(func() {
				start := time.Now()
				v.Verify(t.Context(), token)
				if time.Since(start) == 0 {
					atOnce.Add(1)
				}
			})
		}
		synctest.Wait()
		if _, err := v.Verify(t.Context(),
			sign(t, jwt.SigningMethodRS256, s.rsa, kid("1"), claims{"sub": "42"})); err != nil {
			t.Errorf("a known key is refused: %q", codeOf(err))
		}
		if got := atOnce.Load(); got != 50 {
			t.Errorf("%d were refused at once, want 50", got)
		}
		// Close ends the fetch and lets them go.
		start = time.Now()
		v.Close()
		waiting.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestNextFetch(t *testing.T) {
	tests := []struct {
		name   string
		failed int
		random float64
		want   time.Duration
	}{
		{"good, soonest", 0, 0, 9 * time.Minute},
		{"good, latest", 0, 1, 11 * time.Minute},
		{"first failure", 1, 1, time.Second},
		{"first failure, soonest", 1, 0, time.Second / 2},
		{"third", 3, 1, 4 * time.Second},
		{"many", 1000, 1, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := nextFetch(tt.failed, 10*time.Minute, tt.random); got.Round(time.Millisecond) != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// A JWKS over real connections: TLS, status, size without a length, redirects, a server that stops in the middle.
func TestJWKSOverHTTP(t *testing.T) {
	s := signers()
	keys := jwksOf(t, jwkOf("1", &s.rsa.PublicKey, nil))
	stop := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) { w.Write(keys) })
	mux.HandleFunc("/missing", http.NotFound)
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for chunk := bytes.Repeat([]byte(" "), 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
		w.Write(keys[:10])
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter,
		r *http.Request) {
		http.Redirect(w, r, "/keys", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter,
		r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://issuer.example/keys", http.StatusFound)
	})
	plain := httptest.NewServer(mux)
	defer plain.Close()
	mux.HandleFunc("/down", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+"/keys", http.StatusFound)
	})
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	defer close(stop)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	trusting := newTransport()
	trusting.TLSClientConfig = &tls.Config{RootCAs: roots}

	token := sign(t, jwt.SigningMethodRS256, s.rsa, kid("1"), claims{"sub": "42"})
	tests := []struct {
		name      string
		url       string
		transport http.RoundTripper
		code      Code
	}{
		{"loopback", plain.URL + "/keys", nil, ""},
		{"moved", plain.URL + "/moved", nil, ""},
		{"TLS", secure.URL + "/keys", trusting, ""},
		{"TLS of nobody known", secure.URL + "/keys", nil, CodeKeysUnavailable},
		{"from TLS to plain", secure.URL + "/down", trusting, CodeKeysUnavailable},
		{"missing", plain.URL + "/missing", nil, CodeKeysUnavailable},
		{"endless", plain.URL + "/endless", nil, CodeKeysUnavailable},
		{"redirects for ever", plain.URL + "/loop", nil, CodeKeysUnavailable},
		{"redirect to plain http elsewhere", plain.URL + "/away", nil, CodeKeysUnavailable},
		{"stuck", plain.URL + "/stuck", nil, CodeKeysUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			v, err := New(ctx, Config{JWKSURL: tt.url, Transport: tt.transport, Now: clock, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if _, err := v.Verify(ctx, token); codeOf(err) != tt.code {
				t.Errorf("%q, want %q", codeOf(err), tt.code)
			}
		})
	}
}
