package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/wsconn"
)

// anonymous is the identity of all connections without a token.
var anonymous = auth.Anonymous()

// identify asks who it is; false: 401 has been answered.
func (s *Server) identify(w http.ResponseWriter, r *http.Request, route string, required bool) (*auth.Identity, string, bool) {
	id, err := s.cfg.Tokens.Identify(r)
	switch {
	case err != nil:
		s.tokenRefused(err, "route", route, "address", s.cfg.RemoteAddr(r))
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750, 3
	case required && !id.Authenticated:
		err = errors.New("a token is required")
		w.Header().Set("WWW-Authenticate", "Bearer")
	case !id.Authenticated:
		return &anonymous, id.Subprotocol, true
	default:
		return &id, id.Subprotocol, true
	}
	writeProblem(w, http.StatusUnauthorized, err.Error())
	return nil, "", false
}

// tokenRefused counts and logs a token that was not good enough; what is logged never holds the token.
func (s *Server) tokenRefused(err error, attrs ...any) {
	var refused *auth.Error
	if errors.As(err, &refused) {
		s.cfg.Observer.TokenRefused(refused.Code)
	}
	s.cfg.Log.Info("token refused", append(attrs, "error", err)...)
}

// permissions are what a route lets its handler do for somebody; nil: everything.
func (o Options) permissions(id *auth.Identity) *auth.Permissions {
	if !o.ByClaims {
		return nil
	}
	return &id.Permissions
}

// deniedError refuses what a handler did: the client's token does not allow a channel that an action of its return, which
// is refused as a whole, or a call names.
type deniedError struct {
	what string // the action or function
	err  error
}

func (e *deniedError) Error() string { return e.what + ": " + e.err.Error() }
func (e *deniedError) Unwrap() error { return e.err }

// deniedBy gives the denial that a run has failed by, as its handler did not catch it; else err.
func (c *call) deniedBy(err error) error {
	var e *luavm.Error
	if c.denied != nil && errors.As(err, &e) && e.Kind == luavm.Raised && strings.Contains(e.Message, c.denied.Error()) {
		return c.denied
	}
	return err
}

// checkAllowed finds the first action that the permissions forbid; nil permissions forbid none. actions are in the order in
// which they run; rooms gives the channels that the connection is in, in the order of joining. What room a broadcast_room
// without a channel means is foretold as hub.Session.Do will find it; where a join fails it may be another one, and
// hub.Member.Permit is asked again.
func checkAllowed(p *auth.Permissions, actions []hub.Action, rooms func() []string) error {
	if p == nil {
		return nil
	}
	for i, a := range actions {
		channel := a.Channel
		switch a.Kind {
		case hub.ActionJoin, hub.ActionTrack, hub.ActionBroadcastChannel:
		case hub.ActionBroadcastRoom:
			if channel == "" {
				channel = roomAfter(rooms(), actions[:i])
			}
			if channel == "" {
				continue // in no room: no effect
			}
		case hub.ActionBroadcast:
			channel = everyChannel
		default:
			continue
		}
		if err := p.Check(channel); err != nil {
			return &deniedError{a.Kind.String(), err}
		}
	}
	return nil
}

// roomAfter is where a broadcast_room without a channel goes after these actions: "to all in the channel joined in this same
// return, else in the most recently joined one" (SPEC 1.2); "": nowhere.
func roomAfter(rooms []string, actions []hub.Action) string {
	var joined []string
	for _, a := range actions {
		switch a.Kind {
		case hub.ActionJoin:
			joined = append(joined, a.Channel)
			if !slices.Contains(rooms, a.Channel) {
				rooms = append(rooms, a.Channel)
			}
		case hub.ActionLeave:
			left := func(c string) bool { return c == a.Channel }
			joined, rooms = slices.DeleteFunc(joined, left), slices.DeleteFunc(rooms, left)
		}
	}
	switch {
	case len(joined) > 0:
		return joined[len(joined)-1]
	case len(rooms) > 0:
		return rooms[len(rooms)-1]
	}
	return ""
}

// permit is hub.Member.Permit.
func (c *eventConn) permit(channel string) error { return c.user.Permissions.Check(channel) }

// everyChannel is what a token must allow for a broadcast to every connection: the pattern "*".
const everyChannel = "*"

// A renewal is the text frame {"event":"token","token":"…"} on a route with token_renewal = true. The answer is
// {"event":"token","expires_at":T}, T being when the connection will be closed in unix seconds, or null; or
// {"event":"token","error":"…"}, and then the old token stays in force.

// renewal finds the token of a renewal frame; false: the message is for the handler. Most messages are, and are not parsed
// for it.
func renewal(message []byte) (token string, ok bool) {
	if !bytes.Contains(message, []byte(`"token"`)) {
		return "", false
	}
	var frame struct {
		Event string  `json:"event"`
		Token *string `json:"token"`
	}
	if json.Unmarshal(message, &frame) != nil || frame.Event != "token" || frame.Token == nil {
		return "", false
	}
	return *frame.Token, true
}

// renew takes a new token for a live connection.
func (c *eventConn) renew(token string) {
	id, err := c.server.cfg.Tokens.Renew(c.server.ctx, c.user.ID, token)
	if err != nil {
		c.server.tokenRefused(err, "route", c.route.Path, "connection", c.ws.ID(), "renewal", true)
		c.tell(struct {
			Event string `json:"event"`
			Error string `json:"error"`
		}{"token", err.Error()})
		return
	}
	c.user = &id
	c.sess.SetIdentity(id.User)
	c.server.expiry.set(&c.expires, c.ws, id.Until)
	var at *int64
	if !id.Until.IsZero() {
		unix := id.Until.Unix()
		at = &unix
	}
	c.tell(struct {
		Event     string `json:"event"`
		ExpiresAt *int64 `json:"expires_at"`
	}{"token", at})
}

// tell sends the client a frame of the server's own.
func (c *eventConn) tell(frame any) {
	if text, err := json.Marshal(frame); err == nil {
		_ = c.ws.Send(wsconn.Text(text)) // a closed client need not know
	}
}
