package auth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// BenchmarkVerify is what one upgrade pays for its token, the user table included.
func BenchmarkVerify(b *testing.B) {
	s := signers()
	v := newVerifier(b, Config{Secrets: [][]byte{secret}, PublicKeys: []string{allKeys(b)}})
	c := claims{"sub": "42", "preferred_username": "ann", "roles": []string{"a", "b"},
		"channels": []string{"room:*", "user:42"},
		"exp":      now.Add(time.Hour).Unix(), "iat": now.Unix(), "iss": "https://issuer.example", "aud": "app"}
	for _, bm := range []struct{ name, token string }{
		{"HS256", hs(b, c)},
		{"RS256", sign(b, jwt.SigningMethodRS256, s.rsa, nil, c)},
		{"ES256", sign(b, jwt.SigningMethodES256, s.ec, nil, c)},
		{"EdDSA", sign(b, jwt.SigningMethodEdDSA, s.ed, nil, c)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), bm.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, bm := range []struct{ name, token string }{
		{"garbage of 64 KiB", strings.Repeat("a", 64<<10)},
		{"garbage of 8 KiB", strings.Repeat("a", MaxToken)},
		{"header of 8 KiB", b64(`{"alg":"HS256","a":[`+strings.Repeat("0,", 2900)+`0]}`) + ".e30.AAAA"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), bm.token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkTokenOf(b *testing.B) {
	for _, bm := range []struct {
		name string
		r    *http.Request
	}{
		{"none", request("room=1", nil, nil)},
		{"bearer", request("", []string{"Bearer aaa.bbb.ccc"}, nil)},
		{"query", request("room=1&token=aaa.bbb.ccc", nil, nil)},
		{"64 KiB of query", request(strings.Repeat("&", 64<<10), nil, nil)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := TokenOf(bm.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAllows(b *testing.B) {
	p := newPermissions([]byte(`["user:42","room:*","team:*:chat"]`))
	b.ReportAllocs()
	for b.Loop() {
		if !p.Allows(ToPublish, "room:lobby") {
			b.Fatal("not allowed")
		}
	}
}
