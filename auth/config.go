package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// DefaultLeeway is how much the clocks of issuer and node may differ.
const DefaultLeeway = 10 * time.Second

// Config is what a Verifier is built from. Without a secret, public key or JWKS every token is refused.
type Config struct {
	// Secrets check HS256; at least 32 bytes each. They are used as they are: the text itself, not what it may encode.
	Secrets [][]byte
	// PublicKeys check RS256, ES256 and EdDSA; each text holds one or more PEM blocks (PUBLIC KEY, RSA PUBLIC KEY,
	// CERTIFICATE). RSA keys have 2048 to 8192 bits, EC keys are on P-256.
	PublicKeys []string
	// JWKSURL is where a key set is published; https, or http on this machine. "": none.
	JWKSURL      string
	JWKSInsecure bool              // http to other machines too
	JWKSEvery    time.Duration     // between two fetches when nothing asks for one; 0: 10 min; at least 1 min
	Transport    http.RoundTripper // for the JWKS; nil: one of its own that follows the proxy environment

	Audience []string      // aud must name one of them; empty: not checked
	Issuer   string        // iss must be it; "": not checked
	Leeway   time.Duration // for exp and nbf; 0: DefaultLeeway; negative: none; at most 5 min
	// RequireExpiry refuses tokens without exp; otherwise they are good for ever, as long as their key is.
	RequireExpiry bool

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // of the JWKS; nil: slog.Default()
}

// ConfigError says what is wrong with a Config: which field, and how to mend it. It never holds a key.
type ConfigError struct {
	Field string // "Secrets", "PublicKeys", "JWKSURL", …
	Text  string // one line: the fault and the mend
}

func (e *ConfigError) Error() string { return "auth: " + e.Field + ": " + e.Text }

// validate fills in defaults and reads the keys of the configuration.
func (c Config) validate() (Config, *keySet, error) {
	fail := func(field, format string, args ...any) (Config, *keySet, error) {
		return c, nil, &ConfigError{field, fmt.Sprintf(format, args...)}
	}
	var keys []key
	for _, s := range c.Secrets {
		switch {
		case looksPublic(s):
			return fail("Secrets", "the secret is a public key, with which anybody could sign: give it as public key instead")
		case len(s) < minSecret:
			return fail("Secrets", "the secret has %d bytes: give at least %d, such as openssl rand -hex 32 makes", len(s),
				minSecret)
		}
		keys = append(keys, key{algHS256, "", bytes.Clone(s)})
	}
	for _, text := range c.PublicKeys {
		ks, err := parsePublicKeys(text)
		if err != nil {
			return fail("PublicKeys", "%v", err)
		}
		keys = append(keys, ks...)
	}
	var of [algorithms]int
	for _, k := range keys {
		if of[k.alg]++; of[k.alg] > maxTries {
			return fail("PublicKeys", "more than %d keys for %v: leave out old ones", maxTries, k.alg)
		}
	}
	if c.JWKSURL != "" {
		u, err := url.Parse(c.JWKSURL)
		if err != nil {
			return fail("JWKSURL", "no URL: give one such as https://issuer.example/.well-known/jwks.json")
		}
		if err := checkJWKSURL(u, c.JWKSInsecure); err != nil {
			return fail("JWKSURL", "%v", err)
		}
	}
	switch {
	case c.JWKSEvery == 0:
		c.JWKSEvery = 10 * time.Minute
	case c.JWKSEvery < time.Minute:
		return fail("JWKSEvery", "%v is too often: give at least 1m", c.JWKSEvery)
	}
	switch {
	case c.Leeway == 0:
		c.Leeway = DefaultLeeway
	case c.Leeway < 0:
		c.Leeway = 0
	case c.Leeway > 5*time.Minute:
		return fail("Leeway", "%v is too long: give at most 5m", c.Leeway)
	}
	for _, a := range c.Audience {
		if a == "" {
			return fail("Audience", "an empty audience: leave it out, or name it")
		}
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c, newKeySet(keys), nil
}
