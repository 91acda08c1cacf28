package auth

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Identity is who makes a request. It does not change.
type Identity struct {
	// User is JSON of the user table that handlers see (SPEC 4), and nothing else is ever in it:
	//
	//	{"authenticated":false,"username":""}
	//	{"authenticated":true,"id":"42","username":"ann","roles":["admin"],"claims":{…}}
	//
	// id is sub; username is preferred_username, or sub when that is no text. roles is the claim roles: an array of
	// strings, a single string counting as one, [] when the claim is missing or of another shape. claims are all claims
	// of the token as they stand in it.
	User          []byte
	Authenticated bool
	ID            string // of the user; "": anonymous
	Roles         []string
	Permissions   Permissions
	// Until is when the token is not good any more and its connection is to be closed (4401): exp and the leeway. Zero:
	// the token does not expire, or there is none.
	Until time.Time
	// Subprotocol is what to answer the upgrade with; "": none.
	Subprotocol string
}

var anonymousUser = []byte(`{"authenticated":false,"username":""}`)

// Anonymous is who has no token.
func Anonymous() Identity {
	return Identity{User: anonymousUser, Permissions: noToken}
}

// newIdentity makes the identity of a token that has been checked; payload is its JSON.
func newIdentity(payload []byte, claims object, until time.Time) (Identity, error) {
	id, err := subjectOf(claims.get("sub"))
	if err != nil {
		return Identity{}, err
	}
	user := struct {
		Authenticated bool            `json:"authenticated"`
		ID            string          `json:"id"`
		Username      string          `json:"username"`
		Roles         []string        `json:"roles"`
		Claims        json.RawMessage `json:"claims"`
	}{true, id, id, []string{}, payload}
	if name, ok := stringOf(claims.get("preferred_username")); ok && name != "" {
		user.Username = name
	}
	if roles, ok := oneOrMore(claims.get("roles")); ok {
		user.Roles = roles
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(user); err != nil {
		return Identity{}, refuse(CodeMalformed, "payload: "+err.Error())
	}
	return Identity{
		User:          bytes.TrimSuffix(text.Bytes(), []byte("\n")),
		Authenticated: true,
		ID:            id,
		Roles:         user.Roles,
		Permissions:   newPermissions(claims.get("channels")),
		Until:         until,
	}, nil
}

// RequireAuth says that there is no token, with a *DeniedError.
func (i *Identity) RequireAuth() error {
	if i.Authenticated {
		return nil
	}
	return &DeniedError{Text: "a token is required", Anonymous: true}
}

// roleAdmin is the role that holds all others, as RequireRole has it.
const roleAdmin = "admin"

// RequireRole says that the user does not have a role, with a *DeniedError. Who is admin has every role.
func (i *Identity) RequireRole(role string) error {
	if err := i.RequireAuth(); err != nil {
		return err
	}
	if slices.Contains(i.Roles, role) || slices.Contains(i.Roles, roleAdmin) {
		return nil
	}
	return &DeniedError{Text: `the role "` + role + `" is required`}
}
