package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	// now is the time of all tests that do not need the real one.
	now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	// signers are made once, since RSA keys take time.
	signers = sync.OnceValue(func() (s struct {
		rsa, rsa2 *rsa.PrivateKey
		ec        *ecdsa.PrivateKey
		ed        ed25519.PrivateKey
	}) {
		s.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
		s.rsa2, _ = rsa.GenerateKey(rand.Reader, 2048)
		s.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		_, s.ed, _ = ed25519.GenerateKey(rand.Reader)
		return s
	})
	quiet = slog.New(slog.DiscardHandler)
)

func clock() time.Time { return now }

func publicPEM(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// allKeys are the public keys of the signers.
func allKeys(t testing.TB) string {
	s := signers()
	return publicPEM(t, &s.rsa.PublicKey) + publicPEM(t, &s.ec.PublicKey) + publicPEM(t, s.ed.Public())
}

func newVerifier(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = clock
	}
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	v, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

type claims = jwt.MapClaims

// sign makes a token; header fields are added to alg.
func sign(t testing.TB, m jwt.SigningMethod, key any, header map[string]any, c claims) string {
	t.Helper()
	token := jwt.NewWithClaims(m, c)
	for k, v := range header {
		token.Header[k] = v
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func hs(t testing.TB, c claims) string { return sign(t, jwt.SigningMethodHS256, secret, nil, c) }

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// raw signs any header and payload with the secret.
func raw(t testing.TB, header, payload string) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	signature, err := jwt.SigningMethodHS256.Sign(signed, secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return Code("no *Error: " + err.Error())
	}
	return ""
}

// jwkOf writes a public key as JWK; more are further members.
func jwkOf(kid string, public any, more map[string]any) map[string]any {
	enc := base64.RawURLEncoding.EncodeToString
	k := map[string]any{"kid": kid, "use": "sig"}
	if kid == "" {
		delete(k, "kid")
	}
	switch p := public.(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", enc(p.N.Bytes()), enc(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := p.Bytes()
		size := (len(point) - 1) / 2
		k["kty"], k["crv"], k["x"], k["y"] = "EC", p.Curve.Params().Name, enc(point[1:1+size]), enc(point[1+size:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", enc(p)
	}
	for name, v := range more {
		k[name] = v
	}
	return k
}

func jwksOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
