package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/history"
	"rollcall/hub"
)

type historyInput struct {
	ChannelPath
	Since   string `query:"since" doc:"Only messages after this position, the oldest first to be given."`
	Before  string `query:"before" doc:"Only messages before this position."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many messages: without since the newest."`
	Reverse bool   `query:"reverse" doc:"The newest comes first in the answer."`
}

type historyMessage struct {
	Position  string          `json:"position"`
	Data      json.RawMessage `json:"data" doc:"What was broadcast: any JSON value."`
	Timestamp int64           `json:"timestamp" doc:"When it was published, in ms by the clock of Redis."`
	SenderID  string          `json:"sender_id,omitempty" doc:"The connection that sent it. None: the API."`
}

type historyPage struct {
	Body struct {
		Messages []historyMessage `json:"messages" nullable:"false"`
		Position string           `json:"position" doc:"Where the channel stands."`
	}
}

// missedProblem is a problem document that says why messages cannot be had.
type missedProblem struct {
	huma.ErrorModel
	Why      history.Why `json:"why" enum:"too_many,expired,fork,unknown" doc:"Why not all since then can be had."`
	Position string      `json:"position" doc:"Where the channel stands."`
}

// histories registers what is about the messages that are kept.
func (s *Server) histories() {
	read := operation("get-history", http.MethodGet, "/_api/channels/{channel}/history",
		"Read the messages that are kept of a channel", auth.Read, http.StatusOK, http.StatusNotFound, http.StatusGone)
	huma.Register(s.api, read, s.readHistory)
	s.describeGone("/_api/channels/{channel}/history")
	empty := operation("empty-history", http.MethodDelete, "/_api/channels/{channel}/history",
		"Forget the messages that are kept of a channel; positions go on", auth.Admin, http.StatusNoContent,
		http.StatusNotFound)
	huma.Register(s.api, empty, func(ctx context.Context, in *ChannelPath) (*struct{}, error) {
		err := s.cfg.Hub.EmptyHistory(ctx, in.Channel)
		if errors.Is(err, hub.ErrNoHistory) {
			return nil, noHistory()
		}
		if !errors.Is(err, hub.ErrBadChannel) {
			s.audit(ctx, "empty history", outcomeOf(err), "channel", in.Channel)
		}
		return nil, s.fail(err)
	})
}

// describeGone puts the problem that says why into the document.
func (s *Server) describeGone(path string) {
	schemas := s.api.OpenAPI().Components.Schemas
	s.api.OpenAPI().Paths[path].Get.Responses["410"].Content["application/problem+json"].Schema =
		schemas.Schema(reflect.TypeFor[missedProblem](), true, "MissedProblem")
}

func noHistory() error {
	return huma.Error404NotFound("no history is kept of this channel", at("path.channel", "no history"))
}

func (s *Server) readHistory(ctx context.Context, in *historyInput) (*historyPage, error) {
	q := history.Query{Limit: in.Limit, Reverse: in.Reverse}
	for _, p := range []struct {
		name, text string
		to         **history.Position
	}{{"since", in.Since, &q.Since}, {"before", in.Before, &q.Before}} {
		if p.text == "" {
			continue
		}
		position, ok := history.ParsePosition(p.text)
		if !ok {
			return nil, unprocessable("query."+p.name, p.name+" must be a position, such as 1700000000000-17")
		}
		*p.to = &position
	}
	page, err := s.cfg.Hub.History(ctx, in.Channel, q)
	var missed history.MissedError
	switch {
	case errors.As(err, &missed):
		return nil, gone(missed.Why, page.Position)
	case errors.Is(err, hub.ErrNoHistory):
		return nil, noHistory()
	case err != nil:
		return nil, s.fail(err)
	}
	out := &historyPage{}
	out.Body.Position = page.Position
	out.Body.Messages = make([]historyMessage, len(page.Messages))
	for i, m := range page.Messages {
		out.Body.Messages[i] = historyMessage{m.Position, m.Data.AppendJSON(nil), m.Timestamp, m.SenderID}
	}
	return out, nil
}

// gone answers when not all since a position can be had.
func gone(why history.Why, position string) error {
	p := &missedProblem{Why: why, Position: position}
	p.Status, p.Title = http.StatusGone, http.StatusText(http.StatusGone)
	p.Detail = "not all messages since then can be had"
	p.Errors = []*huma.ErrorDetail{at("query.since", string(why))}
	return p
}
