package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// maxJWKs is how many usable keys of a JWKS count; the rest are ignored.
const maxJWKs = 256

// webKey is a JSON Web Key (RFC 7517, RFC 7518 6, RFC 8037).
type webKey struct {
	Kty    string          `json:"kty"`
	Use    string          `json:"use"`
	KeyOps []string        `json:"key_ops"`
	Alg    string          `json:"alg"`
	Kid    string          `json:"kid"`
	Crv    string          `json:"crv"`
	N      string          `json:"n"`
	E      string          `json:"e"`
	X      string          `json:"x"`
	Y      string          `json:"y"`
	D      json.RawMessage `json:"d"`
}

// parseJWKS reads a key set (RFC 7517, 5). Keys that cannot check our tokens are ignored and counted: of other types,
// for encryption, for other algorithms, too short, broken, secret. A set without any usable key is an error.
func parseJWKS(text []byte) (set *keySet, ignored int, err error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, 0, errors.New("no JSON of a key set")
	}
	if doc.Keys == nil {
		return nil, 0, errors.New("JSON without keys")
	}
	var keys []key
	for _, raw := range doc.Keys {
		k, err := parseJWK(raw)
		if err != nil || len(keys) == maxJWKs {
			ignored++
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, ignored, fmt.Errorf("none of its %d keys can check tokens", len(doc.Keys))
	}
	return newKeySet(keys), ignored, nil
}

// parseJWK reads one key, or says why it cannot be used.
func parseJWK(raw []byte) (key, error) {
	var w webKey
	if err := json.Unmarshal(raw, &w); err != nil {
		return key{}, errors.New("broken")
	}
	switch {
	case w.Use != "" && w.Use != "sig":
		return key{}, errors.New("not for signatures")
	case w.KeyOps != nil && !slices.Contains(w.KeyOps, "verify"):
		return key{}, errors.New("not for checking signatures")
	case w.D != nil:
		return key{}, errors.New("a private key that was published")
	case len(w.Kid) > maxKeyID:
		return key{}, errors.New("a kid that is too long")
	}
	public, err := w.public()
	if err != nil {
		return key{}, err
	}
	k, err := newPublicKey(w.Kid, public)
	if err != nil {
		return key{}, err
	}
	if w.Alg != "" && w.Alg != k.alg.String() {
		return key{}, errors.New("for another algorithm")
	}
	return k, nil
}

func (w webKey) public() (any, error) {
	switch {
	case w.Kty == "RSA":
		n, err1 := octets(w.N)
		e, err2 := octets(w.E)
		exponent := new(big.Int).SetBytes(e)
		if err1 != nil || err2 != nil || len(n) > maxRSABits/8+1 || exponent.BitLen() > 31 {
			return nil, errors.New("broken RSA key")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
	case w.Kty == "EC" && w.Crv == "P-256":
		x, err1 := octets(w.X)
		y, err2 := octets(w.Y)
		if err1 != nil || err2 != nil || len(x) != 32 || len(y) != 32 {
			return nil, errors.New("broken EC key")
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	case w.Kty == "OKP" && w.Crv == "Ed25519":
		x, err := octets(w.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("broken Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errors.New("another type of key")
}

// octets reads base64url; some publishers pad it.
func octets(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}
