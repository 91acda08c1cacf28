package auth

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"rollcall/naming"
)

// MintClaims are what Mint writes into a token.
type MintClaims struct {
	UserID   string         // sub; required
	Username string         // preferred_username; "": left out
	Roles    []string       // nil: left out
	Channels []string       // patterns, see Permissions; nil: left out
	Audience string         // "": left out
	Issuer   string         // "": left out
	IssuedAt time.Time      // iat; required
	TTL      time.Duration  // exp is IssuedAt and TTL; 0: the token does not expire; negative: it has expired
	Extra    map[string]any // other claims; those above win
}

// Mint makes an HS256 token, for development and tests. The secret has at least 32 bytes. A token that Verify would
// refuse for its length or its user id is an error; what is wrong with secret and user id is a *ConfigError.
func Mint(secret []byte, c MintClaims) (string, error) {
	if len(secret) < minSecret {
		return "", &ConfigError{"Secrets", fmt.Sprintf("the secret has %d bytes: give at least %d", len(secret), minSecret)}
	}
	if c.IssuedAt.IsZero() {
		return "", errors.New("mint token: IssuedAt is not set")
	}
	if !naming.Valid(c.UserID) {
		return "", &ConfigError{"UserID", "the user id must have 1 to 255 bytes of UTF-8 and no control characters"}
	}
	claims := jwt.MapClaims{}
	maps.Copy(claims, c.Extra)
	claims["sub"] = c.UserID
	claims["iat"] = c.IssuedAt.Unix()
	if c.Username != "" {
		claims["preferred_username"] = c.Username
	}
	if c.Roles != nil {
		claims["roles"] = c.Roles
	}
	if c.Channels != nil {
		claims["channels"] = c.Channels
	}
	if c.Audience != "" {
		claims["aud"] = c.Audience
	}
	if c.Issuer != "" {
		claims["iss"] = c.Issuer
	}
	if c.TTL != 0 {
		claims["exp"] = c.IssuedAt.Add(c.TTL).Unix()
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if len(token) > MaxToken {
		return "", fmt.Errorf("mint token: it would have %d bytes, more than %d: give it fewer claims", len(token), MaxToken)
	}
	p, err := parse(token)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if _, err := decodeObject(p.payload); err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return token, nil
}
