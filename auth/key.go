package auth

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is one of those that tokens may be signed with; 0 is none.
type algorithm uint8

const (
	algHS256 algorithm = iota + 1
	algRS256
	algES256
	algEdDSA // Ed25519
	algorithms
)

// algorithmOf reads alg; 0: not one of SPEC 4. The names are exact.
func algorithmOf(name string) algorithm {
	switch name {
	case "HS256":
		return algHS256
	case "RS256":
		return algRS256
	case "ES256":
		return algES256
	case "EdDSA":
		return algEdDSA
	}
	return 0
}

func (a algorithm) method() jwt.SigningMethod {
	switch a {
	case algHS256:
		return jwt.SigningMethodHS256
	case algRS256:
		return jwt.SigningMethodRS256
	case algES256:
		return jwt.SigningMethodES256
	case algEdDSA:
		return jwt.SigningMethodEdDSA
	}
	return nil
}

func (a algorithm) String() string {
	if m := a.method(); m != nil {
		return m.Alg()
	}
	return "none"
}

// key is one key that can check tokens.
//
// Invariant: alg follows from the type of material alone, never from a token: []byte HS256, *rsa.PublicKey RS256,
// *ecdsa.PublicKey on P-256 ES256, ed25519.PublicKey EdDSA. A key is only ever tried on tokens of its alg.
type key struct {
	alg      algorithm
	kid      string // "": of the configuration, or a JWKS that names none; goes with every token
	material any
}

// Bounds of keys.
const (
	minSecret  = 32   // bytes; RFC 7518, 3.2
	minRSABits = 2048 // RFC 7518, 3.3
	maxRSABits = 8192 // one check of a longer key takes too long
)

// newPublicKey pins the algorithm to a public key, or says why the key cannot be used.
func newPublicKey(kid string, public any) (key, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return key{}, fmt.Errorf("an RSA key of %d bits: make one of %d to %d bits", n, minRSABits, maxRSABits)
		}
		if k.E < 3 || k.E%2 == 0 {
			return key{}, fmt.Errorf("an RSA key with the exponent %d: make a new one", k.E)
		}
		return key{algRS256, kid, k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("a key on the curve %s: ES256 needs one on P-256", k.Curve.Params().Name)
		}
		return key{algES256, kid, k}, nil
	case ed25519.PublicKey:
		return key{algEdDSA, kid, k}, nil
	}
	return key{}, fmt.Errorf("a %T: only RSA, EC P-256 and Ed25519 keys can check tokens", public)
}

// verify tells whether the key has made the signature.
func (k key) verify(p parsed) bool {
	return k.alg == p.alg && k.alg.method().Verify(p.signed, p.signature, k.material) == nil
}

// keySet is a set of keys; it does not change.
type keySet struct {
	keys []key // those with a kid first
	has  [algorithms]bool
}

func newKeySet(keys []key) *keySet {
	s := &keySet{keys: slices.Clone(keys)}
	named := func(k key) int { return min(len(k.kid), 1) }
	slices.SortStableFunc(s.keys, func(a, b key) int { return cmp.Compare(named(b), named(a)) })
	for _, k := range keys {
		s.has[k.alg] = true
	}
	return s
}

// maxTries bounds what one token costs: a JWKS may hold many keys, and a token need not name one.
const maxTries = 8

// find tries the keys that go with a token: those of its algorithm that have its kid or none, or all of its algorithm
// when it names none; of these the first maxTries. tried is how many there were.
func (s *keySet) find(p parsed) (ok bool, tried int) {
	if !s.has[p.alg] {
		return false, 0
	}
	for _, k := range s.keys {
		if k.alg != p.alg || k.kid != "" && p.kid != "" && k.kid != p.kid {
			continue
		}
		if tried++; k.verify(p) {
			return true, tried
		}
		if tried == maxTries {
			break
		}
	}
	return false, tried
}
