package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ConnInfo is one connection as listings show it.
type ConnInfo struct {
	ID          string          `json:"id"`
	Node        string          `json:"node"`
	Route       string          `json:"route"`
	Channels    []string        `json:"channels"`
	User        json.RawMessage `json:"user"`
	ConnectedAt time.Time       `json:"connected_at"`
}

// ChannelInfo is one channel as listings show it: the connections of the cluster that are in it.
type ChannelInfo struct {
	Name        string `json:"channel"`
	Connections int    `json:"connections"`
}

// Page asks for a part of a listing: what comes after a key, at most Limit (1 or more). Keys are connection ids,
// channel names or user ids, and lists are in their order, so a page stays right while others come and go: nobody who
// stays is left out or told twice. After need not be there any more.
type Page struct {
	After string `json:"after"`
	Limit int    `json:"limit"`
}

// Listing is one page: Next is the key to go on after, "" at the end. Silent names the nodes that did not answer.
type Listing[T any] struct {
	Items  []T
	Next   string
	Silent []string
}

// pageQuestion is what a node is asked for; Channel narrows connections to those in it.
type pageQuestion struct {
	Page
	Channel string `json:"channel,omitempty"`
}

// Connections lists the connections of the cluster by id; in a channel when one is named.
func (h *Hub) Connections(ctx context.Context, channel string, p Page) (Listing[ConnInfo], error) {
	if channel != "" {
		if err := CheckChannel(channel); err != nil {
			return Listing[ConnInfo]{}, err
		}
	}
	return gather(ctx, h, callConnPage, pageQuestion{p, channel}, func(c ConnInfo) string { return c.ID }, nil)
}

// Channels lists the channels that someone is in, by name.
func (h *Hub) Channels(ctx context.Context, p Page) (Listing[ChannelInfo], error) {
	return gather(ctx, h, callChannelPage, pageQuestion{Page: p}, func(c ChannelInfo) string { return c.Name },
		func(a, b ChannelInfo) ChannelInfo {
			a.Connections += b.Connections
			return a
		})
}

// Connection finds one connection, wherever it is; nil when there is none. ErrBadID: no UUID.
func (h *Hub) Connection(ctx context.Context, id string) (*ConnInfo, error) {
	answer, err := h.askHolder(ctx, callConn, id, "")
	if err != nil || answer == "" {
		return nil, err
	}
	var info ConnInfo
	if err := json.Unmarshal([]byte(answer), &info); err != nil {
		return nil, fmt.Errorf("read a node's answer: %w", err)
	}
	return &info, nil
}

// gather asks all nodes for a page and makes one of theirs; add joins two items of one key.
func gather[T any](ctx context.Context, h *Hub, kind string, q pageQuestion, key func(T) string,
	add func(a, b T) T) (Listing[T], error) {
	question, err := json.Marshal(q)
	if err != nil {
		return Listing[T]{}, fmt.Errorf("encode a question: %w", err)
	}
	answers, silent, err := h.cfg.Cluster.Ask(ctx, kind, string(question))
	if err != nil {
		return Listing[T]{}, unavailable("ask the nodes", err)
	}
	all := []T{}
	for _, a := range answers {
		var part []T
		if err := json.Unmarshal([]byte(a), &part); err != nil {
			return Listing[T]{}, fmt.Errorf("read a node's answer: %w", err)
		}
		all = append(all, part...)
	}
	slices.Sort(silent)
	out := mergePages(all, q.Limit, key, add)
	out.Silent = silent
	return out, nil
}

// mergePages makes one page of several nodes' pages. Each node gave one item more than the limit if it had more, so a
// full page knows whether there is a next one.
func mergePages[T any](all []T, limit int, key func(T) string, add func(a, b T) T) Listing[T] {
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	items := make([]T, 0, min(len(all), limit+1))
	for _, item := range all {
		if n := len(items); n > 0 && key(items[n-1]) == key(item) {
			if add != nil {
				items[n-1] = add(items[n-1], item)
			}
			continue
		}
		if len(items) > limit {
			break
		}
		items = append(items, item)
	}
	if len(items) <= limit {
		return Listing[T]{Items: items}
	}
	return Listing[T]{Items: items[:limit], Next: key(items[limit-1])}
}

// connPage answers for this node.
func (h *Hub) connPage(q pageQuestion) []ConnInfo {
	page := firsts[*Session]{after: q.After, want: q.Limit + 1, key: (*Session).ID}
	if q.Channel == "" {
		h.mu.RLock()
		for _, s := range h.sessions {
			page.take(s)
		}
		h.mu.RUnlock()
	} else if r := h.room(q.Channel); r != nil {
		r.mu.RLock()
		for _, m := range r.members {
			if m.joinedLocked() {
				page.take(m.s)
			}
		}
		r.mu.RUnlock()
	}
	found := page.sorted()
	out := make([]ConnInfo, len(found))
	for i, s := range found {
		out[i] = s.info()
	}
	return out
}

// channelPage answers for this node.
func (h *Hub) channelPage(q pageQuestion) []ChannelInfo {
	page := firsts[ChannelInfo]{after: q.After, want: q.Limit + 1, key: func(c ChannelInfo) string { return c.Name }}
	for _, r := range h.allRooms() {
		if n := r.joined(); n > 0 {
			page.take(ChannelInfo{r.name, n})
		}
	}
	return page.sorted()
}

func (h *Hub) allRooms() []*room {
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	return slices.Collect(maps.Values(h.rooms))
}

// firsts keeps the first items of many by key, without sorting or holding them all.
type firsts[T any] struct {
	after string // keys up to this one are left out
	want  int
	key   func(T) string

	items []T
	bound string // once want items are there: what comes after it is not among them
}

func (f *firsts[T]) take(item T) {
	key := f.key(item)
	if key <= f.after || f.bound != "" && key > f.bound {
		return
	}
	f.items = append(f.items, item)
	if len(f.items) == 2*f.want {
		f.cut()
	}
}

// cut drops all but the first want items.
func (f *firsts[T]) cut() {
	slices.SortFunc(f.items, func(a, b T) int { return strings.Compare(f.key(a), f.key(b)) })
	if len(f.items) >= f.want {
		clear(f.items[f.want:])
		f.items = f.items[:f.want]
		f.bound = f.key(f.items[f.want-1])
	}
}

func (f *firsts[T]) sorted() []T {
	f.cut()
	return f.items
}

// room finds the room of a channel, or nil.
func (h *Hub) room(name string) *room {
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	return h.rooms[name]
}

// joined counts the members that are in the channel, not only tracked there.
func (r *room) joined() (n int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		if m.joinedLocked() {
			n++
		}
	}
	return n
}

func (s *Session) info() ConnInfo {
	s.mu.Lock()
	user := s.user
	s.mu.Unlock()
	return ConnInfo{ID: s.id, Node: s.h.cfg.Cluster.Process(), Route: s.route, Channels: s.Rooms(), User: user,
		ConnectedAt: s.connected.UTC().Truncate(time.Millisecond)}
}
