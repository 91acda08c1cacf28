package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"rollcall/auth"
)

// tokenFlags say how tokens are checked (SPEC 4).
type tokenFlags struct {
	JWTSecret        string        `name:"jwt-secret" placeholder:"SECRET" help:"Secret that signs tokens with HS256, at least 32 bytes."`
	JWTSecretFile    string        `name:"jwt-secret-file" placeholder:"FILE" help:"File with such secrets, one a line: all of them are good, so that one can follow another."`
	JWTPublicKey     string        `name:"jwt-public-key" placeholder:"PEM" help:"Public key (PEM) that checks tokens signed with RS256, ES256 or EdDSA."`
	JWTPublicKeyFile string        `name:"jwt-public-key-file" placeholder:"FILE" help:"File with one or more such keys."`
	JWKSURL          string        `name:"jwks-url" placeholder:"URL" help:"Where the issuer publishes its keys; they are fetched again when they change."`
	JWTAudience      []string      `name:"jwt-audience" placeholder:"AUD" help:"A token must name one of these in aud. None: not checked."`
	JWTIssuer        string        `name:"jwt-issuer" placeholder:"ISS" help:"A token's iss must be this. None: not checked."`
	JWTLeeway        time.Duration `name:"jwt-leeway" default:"10s" help:"How much the clocks of issuer and node may differ, for exp and nbf."`
}

// fieldFlags names the flag behind each field of auth.Config.
var fieldFlags = map[string]string{"Secrets": "--jwt-secret", "PublicKeys": "--jwt-public-key", "JWKSURL": "--jwks-url",
	"Audience": "--jwt-audience", "Leeway": "--jwt-leeway"}

// config reads the flags and their files.
func (f *tokenFlags) config() (auth.Config, error) {
	c := auth.Config{JWKSURL: f.JWKSURL, Audience: f.JWTAudience, Issuer: f.JWTIssuer, Leeway: f.JWTLeeway}
	switch {
	case f.JWTLeeway == 0:
		c.Leeway = -1 // none, where auth takes 0 for its default
	case f.JWTLeeway < 0:
		return c, usagef("--jwt-leeway: %v is negative: give a time from 0s to 5m", f.JWTLeeway)
	}
	secrets, err := jwtSecrets(f.JWTSecret, f.JWTSecretFile)
	if err != nil {
		return c, err
	}
	c.Secrets = secrets
	keys, err := textOrFile("--jwt-public-key", f.JWTPublicKey, f.JWTPublicKeyFile)
	if err != nil {
		return c, err
	}
	if keys != "" {
		c.PublicKeys = []string{keys}
	}
	return c, nil
}

// jwtSecrets are the secrets of --jwt-secret or --jwt-secret-file; none when neither is given. The file has one a line,
// and several while they are changed; empty lines and those that begin with # do not count.
func jwtSecrets(text, file string) (secrets [][]byte, err error) {
	if file == "" && text != "" {
		return [][]byte{[]byte(text)}, nil
	}
	if text, err = textOrFile("--jwt-secret", text, file); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			secrets = append(secrets, []byte(line))
		}
	}
	if file != "" && len(secrets) == 0 {
		return nil, usagef("--jwt-secret-file: %s holds no secret: write one a line", file)
	}
	return secrets, nil
}

// textOrFile gives the value of a flag, or what the file of its -file form holds.
func textOrFile(flag, text, file string) (string, error) {
	switch {
	case file == "":
		return text, nil
	case text != "":
		return "", usagef("%s-file: give %s or a file, not both", flag, flag)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("%s-file: %v: name a file that can be read", flag, err)
	}
	if strings.TrimSpace(string(content)) == "" {
		return "", usagef("%s-file: %s is empty: write the key into it", flag, file)
	}
	return string(content), nil
}

// openTokens makes what checks tokens. A JWKS that cannot be fetched yet is no error.
func openTokens(ctx context.Context, cfg *Config, log *slog.Logger) (*auth.Verifier, error) {
	c := cfg.tokens
	c.Log = log
	v, err := auth.New(ctx, c)
	var bad *auth.ConfigError
	if errors.As(err, &bad) {
		flag := fieldFlags[bad.Field]
		if bad.Field == "Secrets" && cfg.JWTSecretFile != "" || bad.Field == "PublicKeys" && cfg.JWTPublicKeyFile != "" {
			flag += "-file"
		}
		return nil, usagef("%s: %s", flag, bad.Text)
	}
	return v, err
}
