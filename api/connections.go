package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/wsconn"
)

// Paging is how lists are asked for; a cursor is the next of the page before.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many."`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before."`
}

func (p Paging) page() hub.Page { return hub.Page{After: p.Cursor, Limit: p.Limit} }

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

func connectionsOf(l hub.Listing[hub.ConnInfo]) *connectionList {
	out := &connectionList{}
	out.Body.Connections = l.Items
	out.Body.PageEnd = PageEnd{l.Next, l.Silent}
	return out
}

type oneConnection struct{ Body hub.ConnInfo }

type sendInput struct {
	ConnectionPath
	Body message
}

type closeInput struct {
	ConnectionPath
	Reason string `query:"reason" maxLength:"123" doc:"Told to the client with close code 1000."`
}

// connections registers what concerns single connections.
func (s *Server) connections(api huma.API) {
	huma.Register(api, operation("list-connections", http.MethodGet, "/_api/connections", "List the connections of the cluster", auth.Read, http.StatusOK),
		func(ctx context.Context, in *Paging) (*connectionList, error) {
			l, err := s.cfg.Hub.Connections(ctx, "", in.page())
			if err != nil {
				return nil, s.fail(err)
			}
			return connectionsOf(l), nil
		})
	get := operation("get-connection", http.MethodGet, "/_api/connections/{id}", "Find one connection", auth.Read, http.StatusOK)
	get.Errors = append(get.Errors, http.StatusNotFound)
	huma.Register(api, get, func(ctx context.Context, in *ConnectionPath) (*oneConnection, error) {
		c, err := s.cfg.Hub.Connection(ctx, in.ID)
		switch {
		case err != nil:
			return nil, s.fail(err)
		case c == nil:
			return nil, unknownConnection(in.ID)
		}
		return &oneConnection{*c}, nil
	})
	send := operation("send-to-connection", http.MethodPost, "/_api/connections/{id}/send", "Send to one connection", auth.Publish, http.StatusNoContent)
	send.Errors = append(send.Errors, http.StatusNotFound)
	huma.Register(api, send, func(ctx context.Context, in *sendInput) (*struct{}, error) {
		v, err := in.Body.value()
		if err != nil {
			return nil, err
		}
		found, err := s.cfg.Hub.Deliver(ctx, in.ID, v)
		return s.reached(ctx, "send", in.ID, found, err)
	})
	end := operation("close-connection", http.MethodDelete, "/_api/connections/{id}", "Close one connection", auth.Admin, http.StatusNoContent)
	end.Errors = append(end.Errors, http.StatusNotFound)
	huma.Register(api, end, func(ctx context.Context, in *closeInput) (*struct{}, error) {
		found, err := s.cfg.Hub.Disconnect(ctx, in.ID, wsconn.CodeNormal, in.Reason)
		return s.reached(ctx, "close", in.ID, found, err)
	})
}

// reached answers what was done to one connection.
func (s *Server) reached(ctx context.Context, what, id string, found bool, err error) (*struct{}, error) {
	switch {
	case err != nil:
		return nil, s.fail(err)
	case !found:
		return nil, unknownConnection(id)
	}
	s.audit(ctx, what, "connection", id)
	return nil, nil
}

func unknownConnection(id string) error {
	return huma.Error404NotFound("there is no connection "+strconv.Quote(id), &huma.ErrorDetail{Location: "path.id", Message: "unknown", Value: id})
}

func itoa(n int) string { return strconv.Itoa(n) }
