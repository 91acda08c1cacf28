package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/naming"
	"rollcall/outbox"
	"rollcall/presence"
)

type IdentityPath struct {
	ID string `path:"id" maxLength:"254" doc:"A user's id, percent-encoded."`
}

// UserStatus is whether a user is online.
type UserStatus struct {
	UserID   string `json:"user_id"`
	Online   bool   `json:"online"`
	LastSeen *int64 `json:"last_seen" nullable:"true" doc:"Unix time in ms; null while online, or when it is not known."`
}

func statusFrom(u presence.Status) UserStatus {
	s := UserStatus{UserID: u.ID, Online: u.User != nil}
	if u.LastSeen != 0 {
		s.LastSeen = &u.LastSeen
	}
	return s
}

type userDetail struct {
	Body struct {
		UserStatus
		Metas       []json.RawMessage `json:"metas" nullable:"false" doc:"One for each connection, oldest first."`
		Connections []hub.ConnInfo    `json:"connections" nullable:"false"`
	}
}

type statusInput struct {
	Body struct {
		IDs []string `json:"ids" minItems:"1" maxItems:"1000" nullable:"false" doc:"Ids of users."`
	}
}

// oneStatus is one answer of many.
type oneStatus struct {
	UserStatus
	Devices int `json:"devices" doc:"Connections of the user."`
}

type statusList struct {
	Body struct {
		Users []oneStatus `json:"users" nullable:"false" doc:"In the order asked."`
	}
}

type sendUserInput struct {
	IdentityPath
	Body message
}

type closeUserInput struct {
	IdentityPath
	Reason string `query:"reason" maxLength:"123" doc:"Told to the clients; at most 123 bytes."`
	Code   int    `query:"code" minimum:"1000" maximum:"4999" default:"1000" doc:"The close code."`
}

// users registers what concerns users, wherever they are (SPEC 9).
func (s *Server) users() {
	api := s.api
	huma.Register(api, operation("get-user", http.MethodGet, "/_api/users/{id}",
		"Whether a user is online, and on which connections", auth.Read, http.StatusOK),
		func(ctx context.Context, in *IdentityPath) (*userDetail, error) {
			us, err := s.cfg.Hub.Users(ctx, []string{in.ID}, "")
			if err != nil {
				return nil, s.fail(err)
			}
			out := &userDetail{}
			out.Body.UserStatus = statusFrom(us[0])
			out.Body.Metas, out.Body.Connections = []json.RawMessage{}, []hub.ConnInfo{}
			if u := us[0].User; u != nil {
				out.Body.Metas = userFrom(u).Metas
				if out.Body.Connections, err = s.cfg.Hub.UserConnections(ctx, u); err != nil {
					return nil, s.fail(err)
				}
			}
			return out, nil
		})
	huma.Register(api, operation("get-user-status", http.MethodPost, "/_api/users/status",
		"Whether users are online", auth.Read, http.StatusOK),
		func(ctx context.Context, in *statusInput) (*statusList, error) {
			for i, id := range in.Body.IDs {
				if _, err := naming.UserChannel(id); err != nil {
					return nil, unprocessable(fmt.Sprintf("body.ids[%d]", i), err.Error())
				}
			}
			us, err := s.cfg.Hub.Users(ctx, in.Body.IDs, "")
			if err != nil {
				return nil, s.fail(err)
			}
			out := &statusList{}
			out.Body.Users = make([]oneStatus, len(us))
			for i, u := range us {
				out.Body.Users[i].UserStatus = statusFrom(u)
				if u.User != nil {
					out.Body.Users[i].Devices = len(u.User.Metas)
				}
			}
			return out, nil
		})
	send := operation("send-to-user", http.MethodPost, "/_api/users/{id}/send", "Send to all connections of a user",
		auth.Publish, http.StatusNoContent, http.StatusNotFound)
	huma.Register(api, send, func(ctx context.Context, in *sendUserInput) (*struct{}, error) {
		v, err := valueOf(in.Body.Message, "body.message")
		if err != nil {
			return nil, err
		}
		found, err := s.cfg.Hub.SendUser(ctx, in.ID, v)
		return s.reachedUser(ctx, "send to user", in.ID, found, err)
	})
	end := operation("close-user", http.MethodDelete, "/_api/users/{id}/connections", "Close all connections of a user",
		auth.Admin, http.StatusNoContent, http.StatusNotFound)
	huma.Register(api, end, func(ctx context.Context, in *closeUserInput) (*struct{}, error) {
		switch {
		case len(in.Reason) > maxReason || !utf8.ValidString(in.Reason):
			return nil, unprocessable("query.reason", fmt.Sprintf("a reason has at most %d bytes of UTF-8", maxReason))
		case !outbox.ValidCode(in.Code):
			return nil, unprocessable("query.code", "no close frame may carry this code; use 1000 or 4000 to 4999")
		}
		found, err := s.cfg.Hub.CloseUserConfirmed(ctx, in.ID, in.Code, in.Reason)
		return s.reachedUser(ctx, "close user", in.ID, found, err, "code", in.Code, "reason", in.Reason)
	})
}

// reachedUser answers what was done to the connections of a user.
func (s *Server) reachedUser(ctx context.Context, what, id string, found bool, err error, more ...any) (*struct{},
	error,
) {
	if err == nil && !found {
		return nil, huma.Error404NotFound("the user "+strconv.Quote(id)+" has no connection", at("path.id", "offline"))
	}
	s.audit(ctx, what, outcomeOf(err), append([]any{"user", id}, more...)...)
	return nil, s.fail(err)
}
