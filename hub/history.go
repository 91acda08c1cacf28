package hub

import (
	"context"
	"errors"
	"strconv"

	"rollcall/history"
	"rollcall/wsconn"
)

// ErrNoHistory is about a channel of which nothing is kept.
var ErrNoHistory = errors.New("this channel has no history")

// DefaultPage is how many messages of a history are given when nobody says.
const DefaultPage = 100

// HistoryMessage is one that was kept.
type HistoryMessage struct {
	Position  string
	Data      Value
	Timestamp int64  // ms
	SenderID  string // "" when sent by the HTTP API
}

// HistoryPage is a part of a channel's history, and where the channel stands.
type HistoryPage struct {
	Messages []HistoryMessage
	Position string
}

// History reads a part of a channel's history. A history.MissedError, with the page's Position: what came since cannot
// be had whole.
func (h *Hub) History(ctx context.Context, channel string, q history.Query) (page HistoryPage, err error) {
	if err := CheckChannel(channel); err != nil {
		return page, err
	}
	policy, ok := h.rules.Load().For(channel)
	if !ok {
		return page, ErrNoHistory
	}
	ms, at, err := h.history.Page(ctx, channel, policy, q)
	var missed history.MissedError
	if err != nil && !errors.As(err, &missed) {
		return page, unavailable("history", err)
	}
	page.Position = at.String()
	page.Messages = make([]HistoryMessage, len(ms))
	for i, m := range ms {
		page.Messages[i] = HistoryMessage{Position: m.At.String(), Timestamp: m.At.MS, SenderID: m.Body.Sender,
			Data: Value{Text: m.Body.Text, JSON: m.Body.JSON}}
	}
	return page, err
}

// EmptyHistory forgets what is kept of a channel. Its positions go on.
func (h *Hub) EmptyHistory(ctx context.Context, channel string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if _, ok := h.rules.Load().For(channel); !ok {
		return ErrNoHistory
	}
	if err := h.history.Empty(ctx, channel); err != nil {
		return unavailable("history", err)
	}
	return nil
}

// SendHistory sends the client the newest messages of a channel, or those before a position, oldest first.
func (s *Session) SendHistory(ctx context.Context, channel string, q history.Query) error {
	page, err := s.h.History(ctx, channel, q)
	if err != nil {
		return err
	}
	b := append([]byte(`{"event":"history","channel":`), quote(channel)...)
	b = append(b, `,"messages":[`...)
	for i, m := range page.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.AppendJSON(b)
	}
	b = append(append(append(b, `],"position":"`...), page.Position...), `"}`...)
	return s.conn.Send(wsconn.Text(b))
}

// AppendJSON writes {position,data,timestamp,sender_id}; sender_id is left out when there is none.
func (m HistoryMessage) AppendJSON(b []byte) []byte {
	b = append(append(append(b, `{"position":"`...), m.Position...), `","data":`...)
	b = m.Data.AppendJSON(b)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, m.Timestamp, 10)
	if m.SenderID != "" {
		b = appendQuoted(append(b, `,"sender_id":`...), m.SenderID)
	}
	return append(b, '}')
}

// AppendJSON writes the value as JSON.
func (v Value) AppendJSON(b []byte) []byte {
	if v.JSON {
		return append(b, v.Text...)
	}
	return appendQuoted(b, v.Text)
}
