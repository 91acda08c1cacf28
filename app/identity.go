package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"rollcall/auth"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/wsconn"
)

// anonymous is the identity of all connections without a token.
var anonymous = auth.Anonymous()

// identify asks who it is; false: 401 has been answered.
func (s *Server) identify(w http.ResponseWriter, r *http.Request, route string, required bool) (*auth.Identity, string,
	bool) {
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

// expire closes a connection (4401) when its token is not good any more; the zero time is never.
func (s *Server) expire(a *accepted, at time.Time) {
	switch {
	case a.expires == nil && at.IsZero():
		return
	case a.expires == nil:
		ws := a.ws
		a.expires = &alarm{ring: func() { ws.CloseFor(outbox.WhyExpired, outbox.CodeTokenExpired, "the token has expired") }}
	}
	s.expiry.set(a.expires, at)
}

// permissions are what a route lets its handler do for somebody; nil: everything.
func (o Options) permissions(id *auth.Identity) *auth.Permissions {
	if !o.ByClaims {
		return nil
	}
	return &id.Permissions
}

// isDenied tells that a client's token does not allow what its handler did: an action of its return, which is refused
// as a whole, or a call.
func isDenied(err error) bool {
	var denied *auth.DeniedError
	return errors.As(err, &denied)
}

// deniedBy gives the denial that a run has failed by, as its handler did not catch it; else err.
func (c *call) deniedBy(err error) error {
	var e *luavm.Error
	if c.denied != nil && errors.As(err, &e) && e.Kind == luavm.Raised && strings.Contains(e.Message, c.denied.Error()) {
		return &denial{c.denied, e.File, e.Line}
	}
	return err
}

// denial is a refused call that has ended a run, with its place.
type denial struct {
	error
	file string
	line int
}

func (d *denial) Unwrap() error { return d.error }

// permit is hub.Member.Permit.
func (c *eventConn) permit(v auth.Verb, channel string) error {
	return c.user.Permissions.Check(v, cmp.Or(channel, auth.AllChannels))
}

// A renewal is the text frame {"event":"token","token":"…"} on a route with token_renewal = true. The answer is
// {"event":"token","expires_at":T}, T being when the connection will be closed in unix seconds, or null; or
// {"event":"token","error":"…"}, and then the old token stays in force.

// renewal finds the token of a renewal frame; false: the message is for the handler. Most messages are, and are not
// parsed for it.
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
	c.server.expire(&c.accepted, id.Until)
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
