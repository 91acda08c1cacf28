package tokentest

import (
	"strings"
	"time"
)

// Fault is a token that nobody may come in with, and what the answer says.
type Fault struct {
	Name, Token, Says string
}

// Faults are all that can be wrong with a token for nodes that have the Flags of an issuer, one by one.
func Faults(i *Issuer) []Fault {
	i.t.Helper()
	other := NewIssuer(i.t)
	good := Good("ann", time.Hour, nil)
	token := i.Sign("HS256", nil, good)
	parts := strings.Split(token, ".")
	changed := "A" + parts[2][1:]
	if parts[2][0] == 'A' {
		changed = "B" + parts[2][1:]
	}
	claim := func(name string, v any) string { return i.Token("ann", time.Hour, Claims{name: v}) }
	all := []Fault{
		{"expired", i.Token("ann", -time.Hour, nil), "the token has expired"},
		{"expired in 1970", claim("exp", 0), "the token has expired"},
		{"not yet", claim("nbf", time.Now().Add(time.Hour).Unix()), "not valid yet"},
		{"exp as text", claim("exp", "4102444800"), "claims are not valid"},
		{"nbf as text", claim("nbf", "0"), "claims are not valid"},
		{"wrong audience", claim("aud", "somebody"), "another audience"},
		{"wrong audiences", claim("aud", []string{"a", "b"}), "another audience"},
		{"no audience", claim("aud", nil), "another audience"},
		{"wrong issuer", claim("iss", Name+"/"), "another issuer"},
		{"no issuer", claim("iss", nil), "another issuer"},
		{"no sub", claim("sub", nil), "names no user"},
		{"empty sub", claim("sub", ""), "names no user"},
		{"sub that is too long", claim("sub", strings.Repeat("x", 256)), "names no user"},
		{"sub with a line end", claim("sub", "a\nb"), "names no user"},
		{"sub of another type", claim("sub", []string{"ann"}), "names no user"},
		{"none", i.SignText("none", `{"alg":"none"}`, i.json(good)), "algorithm is not accepted"},
		{"none in capitals", i.SignText("none", `{"alg":"NONE"}`, i.json(good)), "algorithm is not accepted"},
		{"none with a signature", i.SignText("HS256", `{"alg":"none"}`, i.json(good)), "algorithm is not accepted"},
		{"no algorithm", i.SignText("HS256", `{"typ":"JWT"}`, i.json(good)), "no valid JWT"},
		{"without its signature", parts[0] + "." + parts[1] + ".", "no valid JWT"},
		{"without its last part", parts[0] + "." + parts[1], "no valid JWT"},
		{"four parts", token + ".x", "no valid JWT"},
		{"another signature", parts[0] + "." + parts[1] + "." + changed, "signature is not valid"},
		{"another payload", parts[0] + "." + strings.Split(i.Token("root", time.Hour, nil), ".")[1] + "." + parts[2],
			"signature is not valid"},
		{"a secret of its own", i.WithSecret("secret", nil, good), "signature is not valid"},
		{"an empty secret", i.WithSecret("", nil, good), "signature is not valid"},
		{"crit", i.Sign("HS256", Claims{"crit": []string{"exp"}}, good), "header is not accepted"},
		{"its key in it", other.Sign("RS256", Claims{"jwk": other.JWK("RS256", "x", nil)}, good), "header is not accepted"},
		{"the address of its key in it", other.Sign("RS256", Claims{"jku": "https://evil.example/jwks"}, good),
			"header is not accepted"},
		{"a certificate in it", other.Sign("RS256", Claims{"x5c": []string{"MII"}}, good), "header is not accepted"},
		{"the address of its certificate in it", other.Sign("RS256", Claims{"x5u": "https://evil.example"}, good),
			"header is not accepted"},
		{"a token of another purpose", i.Sign("HS256", Claims{"typ": "logout+jwt"}, good), "header is not accepted"},
		{"a claim twice", i.SignText("HS256", `{"alg":"HS256"}`, `{"sub":"ann","sub":"root"}`), "no valid JWT"},
		{"a header twice", i.SignText("HS256", `{"alg":"HS256","alg":"none"}`, i.json(good)), "no valid JWT"},
		{"a list as payload", i.SignText("HS256", `{"alg":"HS256"}`, `[]`), "no valid JWT"},
		{"garbage", "garbage", "no valid JWT"},
		{"dots", "..", "no valid JWT"},
		{"garbage in three parts", "a.b.c", "no valid JWT"},
		{"64 KiB", strings.Repeat("x", 64<<10), "too long"},
		{"64 KiB of claims", i.Token("ann", time.Hour, Claims{"x": strings.Repeat("x", 40<<10)}), "too long"},
	}
	for _, alg := range Algorithms {
		all = append(all, Fault{"wrong key for " + alg, other.Sign(alg, nil, good), "signature is not valid"})
	}
	for _, alg := range []string{"HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed448",
		"hs256"} {
		all = append(all, Fault{"wrong algorithm " + alg, i.Sign("HS256", Claims{"alg": alg}, good),
			"algorithm is not accepted"})
	}
	for _, alg := range Algorithms[1:] {
		key := i.PEM(alg)
		for name, secret := range map[string]string{"": key, " without its last line end": strings.TrimSpace(key),
			" in one line": strings.ReplaceAll(key, "\n", "")} {
			all = append(all, Fault{"HS256 signed with the public key of " + alg + name, i.WithSecret(secret, nil, good),
				"signature is not valid"})
		}
		all = append(all, Fault{alg + " that says HS256", i.Sign(alg, Claims{"alg": "HS256"}, good),
			"signature is not valid"},
			Fault{"HS256 that says " + alg, i.Sign("HS256", Claims{"alg": alg}, good), "signature is not valid"})
	}
	return all
}
