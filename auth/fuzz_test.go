package auth

import (
	"encoding/json"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// Whatever the bytes: no panic, and what is accepted has been signed with the secret and is for a user.
func FuzzVerify(f *testing.F) {
	v := newVerifier(f, Config{Secrets: [][]byte{secret}, PublicKeys: []string{allKeys(f)}})
	s := signers()
	f.Add(hs(f, claims{"sub": "42", "exp": 4e9, "roles": []string{"a"}, "channels": []string{"*"}}))
	f.Add(sign(f, jwt.SigningMethodES256, s.ec, map[string]any{"kid": "a"}, claims{"sub": "1"}))
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{"sub":"x"}`) + ".")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(t.Context(), token)
		if (err == nil) != id.Authenticated || err != nil && publicTexts[codeOf(err)] == "" {
			t.Fatalf("%+v, %v", id, err)
		}
	})
}

// Whatever the claims: those that are accepted make a valid user table.
func FuzzClaims(f *testing.F) {
	v := newVerifier(f, Config{Secrets: [][]byte{secret}})
	f.Add(`{"alg":"HS256"}`, `{"sub":"42","exp":4e9,"nbf":1,"roles":["a"],"channels":["*"],"x":{"y":[1,null,"z"]}}`)
	f.Add(`{"alg":"HS256","kid":"a","typ":"JWT"}`, `{"sub":42,"preferred_username":"\ud800"}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		id, err := v.Verify(t.Context(), raw(t, header, payload))
		if err != nil {
			if publicTexts[codeOf(err)] == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		var user struct {
			Authenticated bool
			ID, Username  string
			Roles         []string
			Claims        map[string]any
		}
		if err := json.Unmarshal(id.User, &user); err != nil || !user.Authenticated || user.ID != id.ID || user.ID == "" ||
			user.Username == "" || user.Roles == nil || user.Claims == nil {
			t.Fatalf("user %s: %v", id.User, err)
		}
		id.Permissions.Allows(ToJoin, "room:1")
	})
}
