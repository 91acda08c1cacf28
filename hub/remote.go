package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall/cluster"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/wsconn"
)

// Kinds of messages between hubs (cluster.Answerer).
const (
	callSend      = "send"    // one way, or a question (answer: "yes" when it was here): <connection id> <b|j><text>
	callClose     = "close"   // likewise: <connection id> <code> <reason>
	callClients   = "clients" // question: all connection ids
	callClientsIn = "in"      // question: the connection ids in a channel

	callConn        = "conn"     // question: one connection, by id; answer: JSON of a ConnInfo, or nothing
	callConnPage    = "conns"    // question: JSON of a pageQuestion; answer: JSON array of ConnInfo
	callChannelPage = "channels" // question: JSON of a pageQuestion; answer: JSON array of ChannelInfo
	callTotals      = "totals"   // question; answer: JSON of a nodeTotals
)

// holder finds the live node that can hold a connection, "" none, and gives the id as it is written. ErrBadID: no UUID.
func (h *Hub) holder(ctx context.Context, connID string) (id, process string, err error) {
	id = strings.ToLower(connID)
	process, ok := cluster.ProcessOf(id)
	if !ok {
		return id, "", ErrBadID
	}
	alive, err := h.cfg.Cluster.Alive(ctx, process)
	if err != nil {
		return id, "", unavailable("reach connection", err)
	}
	if !alive {
		return id, "", nil
	}
	return id, process, nil
}

// Send sends to one connection, wherever it is, and waits for no answer. false: no live node can hold it.
func (h *Hub) Send(ctx context.Context, connID string, v Value) (bool, error) {
	return h.toConn(ctx, connID, callSend, string(v.tag())+v.Text)
}

// CloseConn closes one connection, wherever it is, and waits for no answer. false: no live node can hold it.
func (h *Hub) CloseConn(ctx context.Context, connID string, code int, reason string) (bool, error) {
	return h.toConn(ctx, connID, callClose, strconv.Itoa(code)+" "+reason)
}

func (h *Hub) toConn(ctx context.Context, connID, kind, rest string) (bool, error) {
	connID, process, err := h.holder(ctx, connID)
	if err != nil || process == "" || process == h.cfg.Cluster.Process() && h.session(connID) == nil {
		return false, err
	}
	if err := h.cfg.Cluster.Send(ctx, process, kind, connID+" "+rest); err != nil {
		return false, unavailable("reach connection", err)
	}
	return true, nil
}

// SendConfirmed is Send that waits for the connection's node, and tells whether the connection was there.
func (h *Hub) SendConfirmed(ctx context.Context, connID string, v Value) (found bool, err error) {
	return h.reach(ctx, connID, callSend, string(v.tag())+v.Text)
}

// CloseConnConfirmed is CloseConn likewise.
func (h *Hub) CloseConnConfirmed(ctx context.Context, connID string, code int, reason string) (found bool, err error) {
	return h.reach(ctx, connID, callClose, strconv.Itoa(code)+" "+reason)
}

// reach asks the connection's node to do something, and whether it could.
func (h *Hub) reach(ctx context.Context, connID, kind, rest string) (bool, error) {
	answer, err := h.askHolder(ctx, kind, connID, " "+rest)
	return answer == answerYes, err
}

// askHolder puts a question about a connection to its node; "": no live node can hold it. ErrBadID: no UUID. ErrSilent:
// the node did not answer.
func (h *Hub) askHolder(ctx context.Context, kind, connID, rest string) (answer string, err error) {
	connID, process, err := h.holder(ctx, connID)
	if err != nil || process == "" {
		return "", err
	}
	answer, answered, err := h.cfg.Cluster.AskOne(ctx, process, kind, connID+rest)
	switch {
	case err != nil:
		return "", unavailable("reach connection", err)
	case !answered:
		return "", ErrSilent
	}
	return answer, nil
}

// answerYes is the answer of a node that had the connection.
const answerYes = "yes"

// OneWay does what another node asks of a connection here. It runs on the broker's goroutine.
func (h *Hub) OneWay(kind, body string) { h.command(kind, body) }

// command sends to a connection here or closes it; false: it is not here.
func (h *Hub) command(kind, body string) bool {
	connID, rest, _ := strings.Cut(body, " ")
	s := h.session(connID)
	if s == nil {
		return false
	}
	switch kind {
	case callSend:
		if rest != "" {
			_ = s.conn.Send(wsconn.TextString(rest[1:])) // a closed or slow connection takes care of itself
		}
	case callClose:
		code, reason, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(code); err == nil {
			s.conn.CloseFor(outbox.WhyKicked, n, reason)
		}
	}
	return true
}

// Answer answers another node's question.
func (h *Hub) Answer(_ context.Context, kind, body string) (string, error) {
	var ids []string
	switch kind {
	case callClients:
		h.mu.RLock()
		for id := range h.sessions {
			ids = append(ids, id)
		}
		h.mu.RUnlock()
	case callClientsIn:
		if r := h.room(body); r != nil {
			r.mu.RLock()
			for _, m := range r.members {
				if m.joinedLocked() {
					ids = append(ids, m.s.id)
				}
			}
			r.mu.RUnlock()
		}
	case callSend, callClose:
		if h.command(kind, body) {
			return answerYes, nil
		}
		return "", nil
	case callConn:
		s := h.session(body)
		if s == nil {
			return "", nil
		}
		return encodeAnswer(s.info())
	case callTotals:
		return encodeAnswer(h.totals())
	case callConnPage, callChannelPage:
		var q pageQuestion
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			return "", fmt.Errorf("read a question: %w", err)
		}
		if q.Limit < 1 {
			return "", fmt.Errorf("a page of %d", q.Limit)
		}
		if kind == callConnPage {
			return encodeAnswer(h.connPage(q))
		}
		return encodeAnswer(h.channelPage(q))
	default:
		return "", fmt.Errorf("unknown question %q", kind)
	}
	return strings.Join(ids, " "), nil
}

func encodeAnswer(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode an answer: %w", err)
	}
	return string(b), nil
}

// Clients lists all connections of the cluster.
func (h *Hub) Clients(ctx context.Context) ([]string, error) { return h.ask(ctx, callClients, "") }

// ClientsIn lists the connections that are in a channel, in the whole cluster.
func (h *Hub) ClientsIn(ctx context.Context, channel string) ([]string, error) {
	if err := CheckChannel(channel); err != nil {
		return nil, err
	}
	return h.ask(ctx, callClientsIn, channel)
}

func (h *Hub) ask(ctx context.Context, kind, body string) ([]string, error) {
	answers, silent, err := h.cfg.Cluster.Ask(ctx, kind, body)
	if err != nil {
		return nil, unavailable("ask the nodes", err)
	}
	if len(silent) > 0 {
		h.cfg.Log.Warn("nodes did not answer", "question", kind, "nodes", silent)
	}
	ids := []string{}
	for _, a := range answers {
		ids = append(ids, strings.Fields(a)...)
	}
	slices.Sort(ids)
	return ids, nil
}

// Count is the number of connections in the cluster, as of each other node's last heartbeat.
func (h *Hub) Count() int {
	n := h.Load().Connections
	for _, node := range h.cfg.Cluster.Nodes() {
		if node.Process != h.cfg.Cluster.Process() {
			n += node.Connections
		}
	}
	return n
}

// Presence lists who is in a channel, the user who has been here longest first. It answers from this node's view where
// there is one, else from Redis. reader is the connection that asks, which sees its own writes; "": none does.
func (h *Hub) Presence(ctx context.Context, channel, reader string) ([]*presence.User, error) {
	if err := CheckChannel(channel); err != nil {
		return nil, err
	}
	if r := h.room(channel); r != nil {
		if us, ok := r.presence.List(reader); ok {
			return us, nil
		}
	}
	us, err := h.cfg.Tracker.Users(ctx, channel)
	if err != nil {
		return nil, unavailable("read presence", err)
	}
	return us, nil
}
