package auth

import (
	"strings"
	"testing"
	"time"
)

// SPEC 3: "node token --user … (mints a development token)".
func TestMint(t *testing.T) {
	v := newVerifier(t, Config{Secrets: [][]byte{secret}, Audience: []string{"app"}, Issuer: "dev", RequireExpiry: true})
	token, err := Mint(secret, MintClaims{UserID: "42", Username: "ann", Roles: []string{"admin"},
		Channels: []string{"room:*"},
		Audience: "app", Issuer: "dev", IssuedAt: now, TTL: time.Hour, Extra: map[string]any{"team": "blue", "sub": "root"}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"authenticated":true,"id":"42","username":"ann","roles":["admin"],"claims":{"aud":"app","channels":["room:*"],"exp":1893502800,` +
		`"iat":1893499200,"iss":"dev","preferred_username":"ann","roles":["admin"],"sub":"42","team":"blue"}}`
	if string(id.User) != want {
		t.Errorf("user %s\nwant %s", id.User, want)
	}
	if !id.Until.Equal(now.Add(time.Hour+DefaultLeeway)) || !id.Permissions.Allows(ToJoin, "room:1") {
		t.Errorf("identity %+v", id)
	}

	plain := newVerifier(t, Config{Secrets: [][]byte{secret}})
	token, err = Mint(secret, MintClaims{UserID: "42", IssuedAt: now})
	if err != nil {
		t.Fatal(err)
	}
	if id, err = plain.Verify(t.Context(), token); err != nil || !id.Until.IsZero() {
		t.Errorf("without TTL: %+v, %v", id, err)
	}
	token, err = Mint(secret, MintClaims{UserID: "42", IssuedAt: now, TTL: -time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = plain.Verify(t.Context(), token); codeOf(err) != CodeExpired {
		t.Errorf("with a negative TTL: %v", err)
	}
}

func TestMintErrors(t *testing.T) {
	good := MintClaims{UserID: "42", IssuedAt: now}
	tests := []struct {
		name   string
		secret []byte
		change func(*MintClaims)
		says   string
	}{
		{"short secret", secret[:31], func(*MintClaims) {}, "at least 32"},
		{"no user", secret, func(c *MintClaims) { c.UserID = "" }, "user id"},
		{"user with a line end", secret, func(c *MintClaims) { c.UserID = "a\n" }, "user id"},
		{"user not UTF-8", secret, func(c *MintClaims) { c.UserID = "\xff" }, "UTF-8"},
		{"no time", secret, func(c *MintClaims) { c.IssuedAt = time.Time{} }, "IssuedAt"},
		{"too long", secret, func(c *MintClaims) { c.Channels = []string{strings.Repeat("x", MaxToken)} }, "fewer claims"},
		{"not JSON", secret, func(c *MintClaims) { c.Extra = map[string]any{"f": func() {}} }, "mint token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			if token, err := Mint(tt.secret, c); err == nil || token != "" || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Mint = %q, %v; want an error with %q", token, err, tt.says)
			}
		})
	}
}
