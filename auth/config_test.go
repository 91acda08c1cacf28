package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// oddRSA is a public key of the given length, which is enough for what is checked here.
func oddRSA(bits, e int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: e}
}

// SPEC 3: "Bad configuration: exit 2 and one line that names the flag and the mend".
func TestConfigErrors(t *testing.T) {
	s := signers()
	good := publicPEM(t, &s.rsa.PublicKey)
	private, err := x509.MarshalPKCS8PrivateKey(s.rsa)
	if err != nil {
		t.Fatal(err)
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p384public := publicPEM(t, &p384.PublicKey)
	tests := []struct {
		name  string
		cfg   Config
		field string
		says  []string
	}{
		{"short secret", Config{Secrets: [][]byte{secret, secret[:31]}}, "Secrets",
			[]string{"31 bytes", "at least 32", "openssl rand"}},
		{"empty secret", Config{Secrets: [][]byte{{}}}, "Secrets", []string{"0 bytes"}},
		{"public key as secret", Config{Secrets: [][]byte{[]byte(good)}}, "Secrets", []string{"public key"}},
		{"ssh key as secret", Config{Secrets: [][]byte{[]byte("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ")}}, "Secrets",
			[]string{"public key"}},
		{"no PEM", Config{PublicKeys: []string{"key"}}, "PublicKeys", []string{"-----BEGIN PUBLIC KEY-----"}},
		{"empty", Config{PublicKeys: []string{""}}, "PublicKeys", []string{"no PEM block"}},
		{"damaged", Config{PublicKeys: []string{strings.Replace(good, "M", "!", 1)}}, "PublicKeys",
			[]string{"block 1 of 1 is damaged"}},
		{"second damaged", Config{PublicKeys: []string{good + strings.Replace(good, "-----END", "----END", 1)}}, "PublicKeys",
			[]string{"block 2 of 2 is damaged"}},
		{"text behind", Config{PublicKeys: []string{good + "rest"}}, "PublicKeys", []string{"leave it out"}},
		{"not a key inside", Config{PublicKeys: []string{block("PUBLIC KEY", []byte("x"))}}, "PublicKeys",
			[]string{"cannot be read"}},
		{"private key", Config{PublicKeys: []string{block("PRIVATE KEY", private)}}, "PublicKeys",
			[]string{"private key", "openssl pkey -pubout"}},
		{"another block", Config{PublicKeys: []string{block("DH PARAMETERS", []byte("x"))}}, "PublicKeys",
			[]string{"DH PARAMETERS", "PUBLIC KEY"}},
		{"RSA too short", Config{PublicKeys: []string{publicPEM(t, oddRSA(1024, 65537))}}, "PublicKeys",
			[]string{"1024 bits", "2048"}},
		{"RSA too long", Config{PublicKeys: []string{publicPEM(t, oddRSA(8193, 65537))}}, "PublicKeys",
			[]string{"8193 bits", "8192"}},
		{"RSA exponent 1", Config{PublicKeys: []string{publicPEM(t, oddRSA(2048, 1))}}, "PublicKeys", []string{"exponent 1"}},
		{"P-384", Config{PublicKeys: []string{p384public}}, "PublicKeys", []string{"P-384", "P-256"}},
		{"too many keys", Config{PublicKeys: []string{strings.Repeat(good, maxTries+1)}}, "PublicKeys",
			[]string{"more than 8", "RS256"}},
		{"no URL", Config{JWKSURL: "issuer"}, "JWKSURL", []string{"https://"}},
		{"bad URL", Config{JWKSURL: "https://%zz"}, "JWKSURL", []string{"https://"}},
		{"file URL", Config{JWKSURL: "file:///etc/passwd"}, "JWKSURL", []string{"https://"}},
		{"plain http", Config{JWKSURL: "http://issuer.example/keys"}, "JWKSURL", []string{"https"}},
		{"plain http to a name like localhost", Config{JWKSURL: "http://localhost.example/keys"}, "JWKSURL",
			[]string{"https"}},
		{"too often", Config{JWKSEvery: time.Second}, "JWKSEvery", []string{"1m"}},
		{"long leeway", Config{Leeway: time.Hour}, "Leeway", []string{"5m"}},
		{"empty audience", Config{Audience: []string{""}}, "Audience", []string{"leave it out"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := New(t.Context(), tt.cfg)
			var e *ConfigError
			if !errors.As(err, &e) || e.Field != tt.field || v != nil {
				t.Fatalf("New = %v, %v; want an error of %s", v, err, tt.field)
			}
			for _, s := range tt.says {
				if !strings.Contains(e.Text, s) {
					t.Errorf("text %q does not say %q", e.Text, s)
				}
			}
			if strings.Contains(e.Error(), "\n") || strings.Contains(e.Error(), "0123456789abcdef") {
				t.Errorf("text %q", e.Error())
			}
		})
	}
}

func TestPublicKeyForms(t *testing.T) {
	s := signers()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, s.ec.Public(), s.ec)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		want       []algorithm
	}{
		{"PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&s.rsa.PublicKey)), []algorithm{algRS256}},
		{"certificate", block("CERTIFICATE", certificate), []algorithm{algES256}},
		{"several", allKeys(t), []algorithm{algRS256, algES256, algEdDSA}},
		{"comments between", "# one\n" + allKeys(t), []algorithm{algRS256, algES256, algEdDSA}},
		{"line ends of Windows", strings.ReplaceAll(allKeys(t), "\n", "\r\n"), []algorithm{algRS256, algES256, algEdDSA}},
		{"line ends written out", strings.ReplaceAll(allKeys(t), "\n", `\n`), []algorithm{algRS256, algES256, algEdDSA}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := parsePublicKeys(tt.text)
			if err != nil || len(keys) != len(tt.want) {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			for i, k := range keys {
				if k.alg != tt.want[i] {
					t.Errorf("key %d is for %v, want %v", i, k.alg, tt.want[i])
				}
			}
		})
	}
}

// Issue 3, RFC 7517 5: keys that cannot be used are ignored, the others work.
func TestUnusableJWKs(t *testing.T) {
	s := signers()
	r, e := &s.rsa.PublicKey, &s.ec.PublicKey
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	tests := []struct {
		name string
		jwk  map[string]any
		good bool
	}{
		{"RSA", jwkOf("k", r, nil), true},
		{"RSA named RS256", jwkOf("k", r, map[string]any{"alg": "RS256"}), true},
		{"members nobody knows", jwkOf("k", r, map[string]any{"x5c": []string{"a"}, "x": "y"}), true},
		{"for checking", jwkOf("k", r, map[string]any{"key_ops": []string{"verify"}}), true},
		{"EC", jwkOf("k", e, nil), true},
		{"Ed25519", jwkOf("k", s.ed.Public(), map[string]any{"alg": "EdDSA"}), true},
		{"RS512", jwkOf("k", r, map[string]any{"alg": "RS512"}), false},
		{"EC named RS256", jwkOf("k", e, map[string]any{"alg": "RS256"}), false},
		{"RSA named HS256", jwkOf("k", r, map[string]any{"alg": "HS256"}), false},
		{"for encryption", jwkOf("k", r, map[string]any{"use": "enc"}), false},
		{"for signing only", jwkOf("k", r, map[string]any{"key_ops": []string{"sign"}}), false},
		{"private", jwkOf("k", e, map[string]any{"d": "AAAA"}), false},
		{"symmetric", map[string]any{"kty": "oct", "kid": "k", "k": b64(string(secret)), "alg": "HS256"}, false},
		{"RSA too short", jwkOf("k", oddRSA(1024, 65537), nil), false},
		{"RSA too long", jwkOf("k", oddRSA(16384, 65537), nil), false},
		{"RSA with an even exponent", jwkOf("k", oddRSA(2048, 4), nil), false},
		{"RSA without n", jwkOf("k", r, map[string]any{"n": ""}), false},
		{"RSA without e", jwkOf("k", r, map[string]any{"e": ""}), false},
		{"RSA with a huge exponent", jwkOf("k", r, map[string]any{"e": b64(strings.Repeat("\x01", 300))}), false},
		{"RSA with broken base64", jwkOf("k", r, map[string]any{"n": "!!"}), false},
		{"P-384", jwkOf("k", &p384.PublicKey, nil), false},
		{"P-256 with a point that is not on it", jwkOf("k", e, map[string]any{"x": b64(strings.Repeat("\x01", 32))}), false},
		{"P-256 too short", jwkOf("k", e, map[string]any{"x": "AQAB"}), false},
		{"secp256k1", jwkOf("k", e, map[string]any{"crv": "secp256k1"}), false},
		{"X25519", jwkOf("k", s.ed.Public(), map[string]any{"crv": "X25519"}), false},
		{"Ed25519 too short", jwkOf("k", s.ed.Public(), map[string]any{"x": "AQAB"}), false},
		{"kid a number", jwkOf("k", r, map[string]any{"kid": 1}), false},
		{"kid too long", jwkOf(strings.Repeat("k", 257), r, nil), false},
		{"empty", map[string]any{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, ignored, err := parseJWKS(jwksOf(t, tt.jwk, jwkOf("other", s.ed.Public(), nil)))
			if err != nil {
				t.Fatal(err)
			}
			if good := len(set.keys) == 2; good != tt.good || len(set.keys)+ignored != 2 {
				t.Errorf("%d keys and %d ignored", len(set.keys), ignored)
			}
		})
	}
	// A key set may be long; one token tries few of them.
	many := make([]map[string]any, 300)
	for i := range many {
		many[i] = jwkOf("", e, nil)
	}
	set, ignored, err := parseJWKS(jwksOf(t, many...))
	if err != nil || len(set.keys) != maxJWKs || ignored != 300-maxJWKs {
		t.Fatalf("%v keys, %d ignored, %v", len(set.keys), ignored, err)
	}
	if ok, tried := set.find(parsed{alg: algES256, kid: "a", signed: "a", signature: make([]byte, 64)}); ok ||
		tried != maxTries {
		t.Errorf("find = %v after %d keys", ok, tried)
	}
}

func FuzzParseJWKS(f *testing.F) {
	s := signers()
	f.Add(jwksOf(f, jwkOf("1", &s.rsa.PublicKey, nil), jwkOf("2", &s.ec.PublicKey, nil), jwkOf("3", s.ed.Public(), nil)))
	f.Add([]byte(`{"keys":[null,1,{"kty":"RSA","n":"AA","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, _, err := parseJWKS(text)
		if (err == nil) != (set != nil && len(set.keys) > 0) {
			t.Fatalf("%v, %v", set, err)
		}
		if set != nil {
			set.find(parsed{alg: set.keys[0].alg, signed: "a", signature: []byte("b")})
		}
	})
}
