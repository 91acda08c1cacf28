package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

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
