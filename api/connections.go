package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/cluster"
	"rollcall/hub"
	"rollcall/outbox"
)

// Paging is how lists are asked for; a cursor is the next of the page before.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many."`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before."`
}

// PageEnd ends every list.
type PageEnd struct {
	Next       string   `json:"next" doc:"Cursor of the next page; empty at the end."`
	Unanswered []string `json:"unanswered,omitempty" doc:"Nodes that did not answer in time: what they hold is missing."`
}

type ConnectionPath struct {
	ID string `path:"id" maxLength:"64" doc:"A connection's id."`
}

type connectionList struct {
	Body struct {
		Connections []hub.ConnInfo `json:"connections" nullable:"false"`
		PageEnd
	}
}

// listConnections answers for the cluster, or for a channel. A cursor is the last connection's id.
func (s *Server) listConnections(ctx context.Context, channel string, in *Paging) (*connectionList, error) {
	if _, ok := cluster.ProcessOf(in.Cursor); in.Cursor != "" && !ok {
		return nil, badCursor
	}
	l, err := s.cfg.Hub.Connections(ctx, channel, hub.Page{After: strings.ToLower(in.Cursor), Limit: in.Limit})
	if err != nil {
		return nil, s.fail(err)
	}
	out := &connectionList{}
	out.Body.Connections = l.Items
	out.Body.PageEnd = PageEnd{l.Next, l.Silent}
	return out, nil
}

var badCursor = unprocessable("query.cursor", "bad cursor: take next of the page before")

type oneConnection struct{ Body hub.ConnInfo }

type sendInput struct {
	ConnectionPath
	Body message
}

type closeInput struct {
	ConnectionPath
	Reason string `query:"reason" maxLength:"123" doc:"Told to the client with close code 1000; at most 123 bytes."`
}

// maxReason is how many bytes a close frame can take.
const maxReason = 123

// connections registers what concerns single connections.
func (s *Server) connections() {
	api := s.api
	huma.Register(api, operation("list-connections", http.MethodGet, "/_api/connections",
		"List the connections of the cluster", auth.Read, http.StatusOK),
		func(ctx context.Context, in *Paging) (*connectionList, error) {
			return s.listConnections(ctx, "", in)
		})
	get := operation("get-connection", http.MethodGet, "/_api/connections/{id}", "Find one connection", auth.Read,
		http.StatusOK, http.StatusNotFound)
	huma.Register(api, get, func(ctx context.Context, in *ConnectionPath) (*oneConnection, error) {
		c, err := s.cfg.Hub.Connection(ctx, in.ID)
		switch {
		case err != nil:
			return nil, s.fail(err)
		case c == nil:
			return nil, huma.Error404NotFound("there is no connection "+strconv.Quote(in.ID), at("path.id", "unknown"))
		}
		return &oneConnection{*c}, nil
	})
	send := operation("send-to-connection", http.MethodPost, "/_api/connections/{id}/send", "Send to one connection",
		auth.Publish, http.StatusNoContent, http.StatusNotFound)
	huma.Register(api, send, func(ctx context.Context, in *sendInput) (*struct{}, error) {
		v, err := valueOf(in.Body.Message, "body.message")
		if err != nil {
			return nil, err
		}
		found, err := s.cfg.Hub.SendConfirmed(ctx, in.ID, v)
		return s.reached(ctx, "send", in.ID, found, err)
	})
	end := operation("close-connection", http.MethodDelete, "/_api/connections/{id}", "Close one connection", auth.Admin,
		http.StatusNoContent, http.StatusNotFound)
	huma.Register(api, end, func(ctx context.Context, in *closeInput) (*struct{}, error) {
		if len(in.Reason) > maxReason || !utf8.ValidString(in.Reason) {
			return nil, unprocessable("query.reason", fmt.Sprintf("a reason has at most %d bytes of UTF-8", maxReason))
		}
		found, err := s.cfg.Hub.CloseConnConfirmed(ctx, in.ID, outbox.CodeNormal, in.Reason)
		return s.reached(ctx, "close", in.ID, found, err, "reason", in.Reason)
	})
}

// reached answers what was done to one connection.
func (s *Server) reached(ctx context.Context, what, id string, found bool, err error, more ...any) (*struct{}, error) {
	if err == nil && !found {
		return nil, huma.Error404NotFound("there is no connection "+strconv.Quote(id), at("path.id", "unknown"))
	}
	s.audit(ctx, what, outcomeOf(err), append([]any{"connection", id}, more...)...)
	return nil, s.fail(err)
}
