package auth

import (
	"context"
	"net/http"
	"time"
)

// Verifier checks tokens. Its methods may be called from many goroutines.
type Verifier struct {
	// Static after New.
	rules rules
	now   func() time.Time
	keys  *keySet // of the configuration
	jwks  *jwks   // nil: none
}

// New reads the keys of cfg and, with a JWKS, fetches that once, for 5 s at most; ctx ends the fetching earlier. A JWKS
// that cannot be fetched is a line in the log and no error: else a node could not start again while its issuer is down.
// Until it can be fetched, tokens that need it are refused. The error is a *ConfigError. The caller must Close it.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	cfg, keys, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		rules: rules{audience: cfg.Audience, issuer: cfg.Issuer, leeway: cfg.Leeway, requireExpiry: cfg.RequireExpiry},
		now:   cfg.Now,
		keys:  keys,
	}
	if cfg.JWKSURL != "" {
		v.jwks = newJWKS(ctx, cfg)
	}
	return v, nil
}

// Close waits for the goroutine of the JWKS. Tokens are checked with the keys there are, also afterwards.
func (v *Verifier) Close() {
	if v.jwks != nil {
		v.jwks.close()
	}
}

// Configured tells whether there is a key source at all. Routes with auth = true need one.
func (v *Verifier) Configured() bool { return len(v.keys.keys) > 0 || v.jwks != nil }

// JWKS is how the following of the JWKS goes; false: none is configured.
func (v *Verifier) JWKS() (JWKSStatus, bool) {
	if v.jwks == nil {
		return JWKSStatus{}, false
	}
	return v.jwks.status(), true
}

// Identify says who makes a request: Anonymous without a token. A bad token is an *Error, whatever the route wants:
// 401. With an unknown kid it may wait up to 3 s for the JWKS; the request's context ends that.
func (v *Verifier) Identify(r *http.Request) (Identity, error) {
	token, subprotocol, err := TokenOf(r)
	if err != nil {
		return Identity{}, err
	}
	id := Anonymous()
	if token != "" {
		if id, err = v.Verify(r.Context(), token); err != nil {
			return Identity{}, err
		}
	}
	id.Subprotocol = subprotocol
	return id, nil
}

// Verify checks one token. The error is an *Error.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	p, err := parse(token)
	if err != nil {
		return Identity{}, err
	}
	if err := v.checkSignature(ctx, p); err != nil {
		return Identity{}, err
	}
	claims, err := decodeObject(p.payload)
	if err != nil {
		return Identity{}, refuse(CodeMalformed, "payload: "+err.Error())
	}
	until, err := v.rules.check(claims, v.now())
	if err != nil {
		return Identity{}, err
	}
	return newIdentity(p.payload, claims, until)
}

// Renew checks the token that a live connection sends before its old one expires. It must be for the same user: the
// channel memberships and trackings of the connection are that user's. An anonymous connection (userID "") cannot
// become somebody. The new identity replaces the old one whole: claims, permissions and Until. The error is an *Error.
func (v *Verifier) Renew(ctx context.Context, userID, token string) (Identity, error) {
	id, err := v.Verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if userID == "" || id.ID != userID {
		return Identity{}, refuse(CodeOtherUser, "")
	}
	return id, nil
}

// checkSignature looks for a key that has signed the token: first those of the configuration, then those of the JWKS.
// When that does not know the key, it is fetched again.
func (v *Verifier) checkSignature(ctx context.Context, p parsed) error {
	if !v.Configured() {
		return refuse(CodeNoKeys, "set --jwt-secret, --jwt-public-key or --jwks-url")
	}
	ok, own := v.keys.find(p)
	if ok {
		return nil
	}
	if v.jwks == nil || p.alg == algHS256 {
		if own == 0 {
			return refuse(CodeAlgorithm, "no key for "+p.alg.String())
		}
		return refuse(CodeSignature, "")
	}
	before := v.jwks.keys.Load()
	ok, tried := before.find(p)
	if !ok && (tried == 0 || p.kid == "") {
		v.jwks.renew(ctx)
		if after := v.jwks.keys.Load(); after != before {
			ok, tried = after.find(p)
		}
	}
	switch {
	case ok:
		return nil
	case tried == 0 && v.jwks.status().Failures > 0:
		return refuse(CodeKeysUnavailable, "kid "+shorten(p.kid))
	case own+tried > 0:
		return refuse(CodeSignature, "")
	}
	return refuse(CodeUnknownKey, p.alg.String()+" kid "+shorten(p.kid))
}
