package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/auth"
)

// tokenCmd mints a token for development and tests (SPEC 3). In production the issuer of the users' tokens does that.
// What a node is told by ROLLCALL_JWT_… holds here too, so that its token is good for that node.
type tokenCmd struct {
	User     string        `required:"" env:"-" placeholder:"ID" help:"The user's id (sub)."`
	Name     string        `env:"-" placeholder:"NAME" help:"The user's name (preferred_username)."`
	Roles    []string      `env:"-" placeholder:"ROLE" help:"Roles of the user (roles)."`
	Channels []string      `env:"-" placeholder:"PATTERN" help:"Channels that the token allows on routes with permissions = \"claims\", such as 'room:*'."`
	TTL      time.Duration `name:"ttl" env:"-" default:"1h" help:"How long the token is good (exp); 0: for ever."`
	Audience []string      `env:"ROLLCALL_JWT_AUDIENCE" placeholder:"NAME" help:"Whom the token is for (aud); of several the first."`
	Issuer   string        `env:"ROLLCALL_JWT_ISSUER" placeholder:"NAME" help:"Who issues the token (iss)."`
	Claim    []string      `env:"-" sep:"none" placeholder:"NAME=JSON" help:"Another claim, such as team='\"blue\"' or level=3; may be repeated."`

	JWTSecret     string `name:"jwt-secret" placeholder:"SECRET" help:"Secret that the node checks HS256 tokens with."`
	JWTSecretFile string `name:"jwt-secret-file" placeholder:"FILE" help:"File with secrets, one a line; the first signs."`
}

func (c *tokenCmd) Run(k *kong.Kong) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	extra, err := c.extra()
	if err != nil {
		return err
	}
	claims := auth.MintClaims{UserID: c.User, Username: c.Name, Roles: c.Roles, Channels: c.Channels, Issuer: c.Issuer,
		IssuedAt: time.Now(), TTL: c.TTL, Extra: extra}
	if len(c.Audience) > 0 {
		claims.Audience = c.Audience[0]
	}
	token, err := auth.Mint(secret, claims)
	if err != nil {
		return c.mintUsage(err)
	}
	_, err = fmt.Fprintln(k.Stdout, token)
	return err
}

// mintUsage names the flag whose value Mint does not take.
func (c *tokenCmd) mintUsage(err error) error {
	var config *auth.ConfigError
	switch {
	case !errors.As(err, &config):
		return usagef("token: %v", err)
	case config.Field == "Secrets" && c.JWTSecretFile != "":
		return usagef("--jwt-secret-file: %s", config.Text)
	case config.Field == "Secrets":
		return usagef("--jwt-secret: %s", config.Text)
	default:
		return usagef("--user: %s", config.Text)
	}
}

// extra reads the claims of --claim. One that another flag sets already is an error: Mint would drop it silently.
func (c *tokenCmd) extra() (map[string]any, error) {
	taken := map[string]string{"sub": "--user", "iat": "none, it is the time of the minting"}
	for _, f := range []struct {
		claim, flag string
		given       bool
	}{
		{"preferred_username", "--name", c.Name != ""},
		{"roles", "--roles", c.Roles != nil},
		{"channels", "--channels", c.Channels != nil},
		{"aud", "--audience", len(c.Audience) > 0},
		{"iss", "--issuer", c.Issuer != ""},
		{"exp", "--ttl", c.TTL != 0},
	} {
		if f.given {
			taken[f.claim] = f.flag
		}
	}
	extra := map[string]any{}
	for _, text := range c.Claim {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef(`--claim: %q: write a name and a JSON value, such as team='"blue"'`, text)
		}
		if flag, ok := taken[name]; ok {
			return nil, usagef("--claim: %s has a flag of its own: %s", name, flag)
		}
		v, err := decodeClaim(value)
		if err != nil {
			return nil, usagef(`--claim: the value of %s is no JSON: write text in quotes, such as %s='"blue"'`, name, name)
		}
		extra[name] = v
	}
	return extra, nil
}

// decodeClaim reads one JSON value; numbers stay as they are written.
func decodeClaim(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// secret is what signs: the one given, or the first of the file.
func (c *tokenCmd) secret() ([]byte, error) {
	secrets, err := jwtSecrets(c.JWTSecret, c.JWTSecretFile)
	if err != nil {
		return nil, err
	}
	if len(secrets) == 0 {
		return nil, usagef("--jwt-secret: a token needs the secret of the node: give it here, in a file, or in ROLLCALL_JWT_SECRET")
	}
	return secrets[0], nil
}
