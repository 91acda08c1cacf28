package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/naming"
	"rollcall/presence"
)

type ChannelPath struct {
	Channel string `path:"channel" doc:"A channel's name, percent-encoded as one segment (/ is %2F)."`
}

type channelList struct {
	Body struct {
		Channels []hub.ChannelInfo `json:"channels" nullable:"false"`
		PageEnd
	}
}

type channelConnectionsInput struct {
	ChannelPath
	Paging
}

// user is who is present, as in presence frames.
type user struct {
	UserID string            `json:"user_id"`
	Metas  []json.RawMessage `json:"metas" nullable:"false" doc:"One for each device, oldest first: phx_ref, connection_id, state, online_at and the app's own fields."`
}

func userFrom(u *presence.User) user {
	out := user{UserID: u.ID, Metas: make([]json.RawMessage, len(u.Metas))}
	for i := range u.Metas {
		out.Metas[i] = u.Metas[i].AppendJSON(nil)
	}
	return out
}

type presenceInput struct {
	ChannelPath
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"At most so many users."`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before."`
}

type userList struct {
	Body struct {
		Users []user `json:"users" nullable:"false"`
		Next  string `json:"next" doc:"Cursor of the next page; empty at the end."`
	}
}

type userCount struct {
	Body struct {
		Count int `json:"count" doc:"Users, each counted once."`
	}
}

type userInput struct {
	ChannelPath
	UserID string `path:"user_id" doc:"A user's id, percent-encoded."`
}

type oneUser struct{ Body user }

// channels registers what concerns channels and their presence.
func (s *Server) channels() {
	api := s.api
	huma.Register(api, operation("list-channels", http.MethodGet, "/_api/channels", "List the channels that someone is in",
		auth.Read, http.StatusOK),
		func(ctx context.Context, in *Paging) (*channelList, error) {
			if in.Cursor != "" && hub.CheckChannel(in.Cursor) != nil {
				return nil, badCursor
			}
			l, err := s.cfg.Hub.Channels(ctx, hub.Page{After: in.Cursor, Limit: in.Limit})
			if err != nil {
				return nil, s.fail(err)
			}
			out := &channelList{}
			out.Body.Channels = l.Items
			out.Body.PageEnd = PageEnd{l.Next, l.Silent}
			return out, nil
		})
	huma.Register(api, operation("list-channel-connections", http.MethodGet, "/_api/channels/{channel}/connections",
		"List the connections in a channel", auth.Read, http.StatusOK),
		func(ctx context.Context, in *channelConnectionsInput) (*connectionList, error) {
			if err := hub.CheckChannel(in.Channel); err != nil {
				return nil, s.fail(err)
			}
			return s.listConnections(ctx, in.Channel, &in.Paging)
		})
	huma.Register(api, operation("list-presence", http.MethodGet, "/_api/channels/{channel}/presence",
		"List who is present, by user id", auth.Read, http.StatusOK),
		func(ctx context.Context, in *presenceInput) (*userList, error) {
			if in.Cursor != "" && naming.CheckUserID(in.Cursor) != nil {
				return nil, badCursor
			}
			us, err := s.cfg.Hub.Presence(ctx, in.Channel, "")
			if err != nil {
				return nil, s.fail(err)
			}
			out := &userList{}
			page, next := presencePage(us, in.Cursor, in.Limit)
			out.Body.Users, out.Body.Next = make([]user, len(page)), next
			for i, u := range page {
				out.Body.Users[i] = userFrom(u)
			}
			return out, nil
		})
	huma.Register(api, operation("count-presence", http.MethodGet, "/_api/channels/{channel}/presence/count",
		"Count who is present", auth.Read, http.StatusOK),
		func(ctx context.Context, in *ChannelPath) (*userCount, error) {
			us, err := s.cfg.Hub.Presence(ctx, in.Channel, "")
			if err != nil {
				return nil, s.fail(err)
			}
			out := &userCount{}
			out.Body.Count = len(us)
			return out, nil
		})
	one := operation("get-presence", http.MethodGet, "/_api/channels/{channel}/presence/{user_id}", "One present user",
		auth.Read, http.StatusOK, http.StatusNotFound)
	huma.Register(api, one, func(ctx context.Context, in *userInput) (*oneUser, error) {
		if err := naming.CheckUserID(in.UserID); err != nil {
			return nil, unprocessable("path.user_id", err.Error())
		}
		us, err := s.cfg.Hub.Presence(ctx, in.Channel, "")
		if err != nil {
			return nil, s.fail(err)
		}
		if i := slices.IndexFunc(us, func(u *presence.User) bool { return u.ID == in.UserID }); i >= 0 {
			return &oneUser{userFrom(us[i])}, nil
		}
		return nil, huma.Error404NotFound("this user is not present in that channel", at("path.user_id", "not present"))
	})
}

// presencePage cuts a page out of the list: by user id, since who has been present longest may change from page to
// page. A cursor is the last user's id.
func presencePage(us []*presence.User, after string, limit int) (page []*presence.User, next string) {
	us = slices.DeleteFunc(slices.Clone(us), func(u *presence.User) bool { return u.ID <= after })
	slices.SortFunc(us, func(a, b *presence.User) int { return strings.Compare(a.ID, b.ID) })
	if len(us) <= limit {
		return us, ""
	}
	return us[:limit], us[limit-1].ID
}
