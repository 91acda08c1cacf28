package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"
)

// Algorithms are those that nodes accept (SPEC 4).
var Algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// Claims are the payload of a token.
type Claims = map[string]any

// Issuer has one key of each kind.
type Issuer struct {
	t      testing.TB
	Secret []byte // 32 bytes
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
}

// NewIssuer makes keys that nobody else has.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t, Secret: []byte(rand.Text() + rand.Text())[:32]}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, i.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return i
}

// Audience and Name are aud and iss of good tokens.
const (
	Audience = "stories"
	Name     = "https://issuer.example"
)

// Flags let a node believe all keys of the issuer, and want its audience and name.
func (i *Issuer) Flags() []string {
	return []string{"--jwt-secret", string(i.Secret),
		"--jwt-public-key=" + i.PEM("RS256") + i.PEM("ES256") + i.PEM("EdDSA"),
		"--jwt-audience", "other," + Audience, "--jwt-issuer", Name}
}

// public is the public key of an algorithm.
func (i *Issuer) public(alg string) crypto.PublicKey {
	switch alg {
	case "RS256":
		return i.rsa.Public()
	case "ES256":
		return i.ec.Public()
	case "EdDSA":
		return i.ed.Public()
	}
	i.t.Fatalf("%s has no public key", alg)
	return nil
}

// PEM is the public key of an algorithm as openssl writes it.
func (i *Issuer) PEM(alg string) string {
	i.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.public(alg))
	if err != nil {
		i.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// JWK is the public key of an algorithm as a JSON Web Key (RFC 7517); more are further members.
func (i *Issuer) JWK(alg, kid string, more Claims) Claims {
	i.t.Helper()
	k := Claims{"kid": kid, "use": "sig", "alg": alg}
	switch p := i.public(alg).(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", encode(p.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			i.t.Fatal(err)
		}
		k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", encode(point[1:33]), encode(point[33:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", encode(p)
	}
	maps.Copy(k, more)
	return k
}

// Token makes a good token of a user for ttl; 0: without exp. more are further claims, a nil takes one away.
func (i *Issuer) Token(user string, ttl time.Duration, more Claims) string {
	i.t.Helper()
	return i.Sign("HS256", nil, Good(user, ttl, more))
}

// Good are the claims of Token.
func Good(user string, ttl time.Duration, more Claims) Claims {
	c := Claims{"sub": user, "aud": Audience, "iss": Name}
	if ttl != 0 {
		c["exp"] = time.Now().Add(ttl).Unix()
	}
	for name, v := range more {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

// Sign makes a token by any of the Algorithms; header has further members of the header.
func (i *Issuer) Sign(alg string, header, claims Claims) string {
	i.t.Helper()
	h := Claims{"alg": alg, "typ": "JWT"}
	maps.Copy(h, header)
	return i.SignText(alg, i.json(h), i.json(claims))
}

// SignText signs a header and a payload as they are by an algorithm, whatever the header says; "none": not at all.
func (i *Issuer) SignText(alg, header, payload string) string {
	i.t.Helper()
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	return signed + "." + encode(i.signature(alg, signed))
}

func (i *Issuer) signature(alg, signed string) (signature []byte) {
	i.t.Helper()
	sum := sha256.Sum256([]byte(signed))
	var err error
	switch alg {
	case "HS256":
		signature = HMAC(i.Secret, signed)
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:])
	case "ES256":
		r, s, failed := ecdsa.Sign(rand.Reader, i.ec, sum[:])
		if err = failed; err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case "EdDSA":
		signature = ed25519.Sign(i.ed, []byte(signed))
	case "none":
	default:
		i.t.Fatalf("%s is no algorithm of these tests", alg)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return signature
}

// WithSecret makes an HS256 token with a secret of somebody else.
func (i *Issuer) WithSecret(secret string, header, claims Claims) string {
	i.t.Helper()
	h := Claims{"alg": "HS256", "typ": "JWT"}
	maps.Copy(h, header)
	signed := encode([]byte(i.json(h))) + "." + encode([]byte(i.json(claims)))
	return signed + "." + encode(HMAC([]byte(secret), signed))
}

// HMAC is the signature of HS256.
func HMAC(secret []byte, signed string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(signed))
	return m.Sum(nil)
}

func (i *Issuer) json(v any) string {
	i.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(b)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Ways are the three ways in which a request carries a token (SPEC 4): the address to connect to, and header lines.
var Ways = []struct {
	Name string
	With func(path, token string) (address string, header []string)
}{
	{"Authorization", func(path, token string) (string, []string) {
		return path,
			[]string{"Authorization: Bearer " + token}
	}},
	{"query", func(path, token string) (string, []string) {
		if strings.Contains(path, "?") {
			return path + "&token=" + token, nil
		}
		return path + "?token=" + token, nil
	}},
	{"subprotocol", func(path, token string) (string, []string) {
		return path, []string{"Sec-WebSocket-Protocol: rollcall, " + token}
	}},
}

// Bearer is the header line of a token.
func Bearer(token string) string { return "Authorization: Bearer " + token }
