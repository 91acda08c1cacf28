package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// SPEC 4: "user is always a table: {authenticated=false, username=""} without one; with one id and username (from sub,
// preferred_username), roles, and claims".
func TestUserTable(t *testing.T) {
	v := newVerifier(t, Config{Secrets: [][]byte{secret}})
	tests := []struct{ name, payload, user string }{
		{"least", `{"sub":"42"}`, `{"authenticated":true,"id":"42","username":"42","roles":[],"claims":{"sub":"42"}}`},
		{"all", `{"sub":"42", "preferred_username":"ann", "roles":["a","b"], "n":1.50}`,
			`{"authenticated":true,"id":"42","username":"ann","roles":["a","b"],"claims":{"sub":"42","preferred_username":"ann","roles":["a","b"],"n":1.50}}`},
		{"whole number as sub", `{"sub":42}`,
			`{"authenticated":true,"id":"42","username":"42","roles":[],"claims":{"sub":42}}`},
		{"one role", `{"sub":"a","roles":"admin"}`,
			`{"authenticated":true,"id":"a","username":"a","roles":["admin"],"claims":{"sub":"a","roles":"admin"}}`},
		{"roles of another shape", `{"sub":"a","roles":["x",1]}`,
			`{"authenticated":true,"id":"a","username":"a","roles":[],"claims":{"sub":"a","roles":["x",1]}}`},
		{"no roles", `{"sub":"a","roles":[]}`,
			`{"authenticated":true,"id":"a","username":"a","roles":[],"claims":{"sub":"a","roles":[]}}`},
		{"username empty", `{"sub":"a","preferred_username":""}`,
			`{"authenticated":true,"id":"a","username":"a","roles":[],"claims":{"sub":"a","preferred_username":""}}`},
		{"username no text", `{"sub":"a","preferred_username":7}`,
			`{"authenticated":true,"id":"a","username":"a","roles":[],"claims":{"sub":"a","preferred_username":7}}`},
		{"claims named like fields", `{"sub":"a","id":"root","authenticated":false}`,
			`{"authenticated":true,"id":"a","username":"a","roles":[],"claims":{"sub":"a","id":"root","authenticated":false}}`},
		{"quotes and brackets", `{"sub":"<\"&>"}`,
			`{"authenticated":true,"id":"<\"&>","username":"<\"&>","roles":[],"claims":{"sub":"<\"&>"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), raw(t, `{"alg":"HS256"}`, tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if string(id.User) != tt.user {
				t.Errorf("user %s\nwant %s", id.User, tt.user)
			}
			if !json.Valid(id.User) {
				t.Error("no JSON")
			}
		})
	}
	if got := string(Anonymous().User); got != `{"authenticated":false,"username":""}` {
		t.Errorf("anonymous %s", got)
	}
}

func TestIdentify(t *testing.T) {
	v := newVerifier(t, Config{Secrets: [][]byte{secret}})
	token := hs(t, claims{"sub": "42", "exp": now.Add(time.Minute).Unix(), "channels": []string{"room:*"}})
	id, err := v.Identify(request("", nil, []string{"rollcall", token}))
	if err != nil || id.ID != "42" || id.Subprotocol != "rollcall" || !id.Permissions.Allows(ToJoin, "room:1") ||
		id.Permissions.Allows(ToJoin, "x") {
		t.Errorf("identity %+v, %v", id, err)
	}
	if want := now.Add(time.Minute + DefaultLeeway); !id.Until.Equal(want) {
		t.Errorf("until %v, want %v", id.Until, want)
	}
	id, err = v.Identify(request("", nil, []string{"rollcall"}))
	if err != nil || id.Authenticated || id.ID != "" || !id.Until.IsZero() || id.Subprotocol != "rollcall" ||
		id.Permissions.Allows(ToJoin, "room:1") {
		t.Errorf("anonymous %+v, %v", id, err)
	}
	if _, err = v.Identify(request("token=x", nil, nil)); codeOf(err) != CodeMalformed {
		t.Errorf("bad token: %v", err)
	}
	if _, err = v.Identify(request("token=x", []string{"Bearer y"}, nil)); codeOf(err) != CodeConflict {
		t.Errorf("two tokens: %v", err)
	}
	if !errors.Is(fmt.Errorf("wrapped: %w", err), &Error{Code: CodeConflict}) ||
		errors.Is(err, &Error{Code: CodeExpired}) {
		t.Error("errors.Is does not compare codes")
	}
}

// Issue 3: "renewal on a live connection".
func TestRenew(t *testing.T) {
	v := newVerifier(t, Config{Secrets: [][]byte{secret}})
	token := hs(t, claims{"sub": "42", "exp": now.Add(time.Hour).Unix(), "channels": []string{"b"}})
	id, err := v.Renew(t.Context(), "42", token)
	if err != nil || !id.Until.Equal(now.Add(time.Hour+DefaultLeeway)) || !id.Permissions.Allows(ToJoin, "b") {
		t.Errorf("renewal %+v, %v", id, err)
	}
	for name, tt := range map[string]struct {
		user, token string
		code        Code
	}{
		"another user": {"43", token, CodeOtherUser},
		"anonymous":    {"", token, CodeOtherUser},
		"expired":      {"42", hs(t, claims{"sub": "42", "exp": 1}), CodeExpired},
		"garbage":      {"42", "x", CodeMalformed},
	} {
		if id, err := v.Renew(t.Context(), tt.user, tt.token); codeOf(err) != tt.code || id.Authenticated {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}
