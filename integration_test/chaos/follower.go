package chaos

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
)

// logs are the channels with a history, and followPace the time between two things that a follower does.
const (
	logs       = 3
	followPace = 100 * time.Millisecond
)

func logName(i int) string { return fmt.Sprint("log:", i) }

// way is how a follower listens.
type way byte

const (
	bySocket way = iota // a WebSocket of a route with resume = true
	byScript            // a connection script
	byStream            // an event stream, as an EventSource has it (follower_stream.go)
)

// ways of followers in turn.
var ways = []way{bySocket, byStream, byScript, byStream, bySocket, byScript}

// follower is a client of channels with a history that publishes, goes, and comes back to where it was. A goroutine
// owns it; its reader takes what comes.
type follower struct {
	// static
	run      *run
	rng      *rand.Rand
	way      way
	channels []string

	link interface{ Drop() } // nil: it is away; else a *nodetest.Client, or byStream a *nodetest.Stream

	mu    sync.Mutex // guards hist.Steps too
	hist  *history.Follower
	life  int // counts connections
	over  bool
	in    map[string]bool // channels that it joined; true: it was answered
	gave  map[string]bool // channels of which it said where it was when it joined them
	at    map[string]string
	id    string // of the last event of a stream that had one
	asked map[int]func(results []json.RawMessage, failed bool)
	calls int
	said  int
}

// follow lets all followers live.
func (r *run) follow(ctx context.Context) {
	for i := range r.plan.Followers {
		f := &follower{run: r, rng: rand.New(rand.NewPCG(r.plan.Seed, 1<<32+uint64(i))), way: ways[i%len(ways)],
			hist: &history.Follower{Name: fmt.Sprint("f", i)}, at: map[string]string{}}
		for j := range logs {
			if j != i%logs {
				f.channels = append(f.channels, logName(j))
			}
		}
		r.followers = append(r.followers, f)
		r.rec.Followers = append(r.rec.Followers, f.hist)
		r.crowd.running.Go(func() { f.live(ctx) })
	}
}

// live does one thing after another until ctx ends.
func (f *follower) live(ctx context.Context) {
	for f.run.crowd.may(ctx) {
		switch dice := f.rng.IntN(100); {
		case f.link == nil && dice < 25:
			f.comes(ctx)
		case f.link == nil:
		case f.gone(), dice < 3:
			f.goes()
		case dice < 6 && f.way == bySocket:
			f.joins(f.channels[f.rng.IntN(len(f.channels))], true) // again
		default:
			f.says(f.channels[f.rng.IntN(len(f.channels))])
		}
		timer := time.NewTimer(followPace/2 + rand.N(followPace))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	if f.link != nil {
		f.link.Drop()
	}
}

func (f *follower) gone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// goes ends its connection, politely or not.
func (f *follower) goes() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	if c, ok := f.link.(*nodetest.Client); ok && f.rng.IntN(2) == 0 {
		c.Close(websocket.CloseNormalClosure, 500*time.Millisecond)
	} else {
		f.link.Drop()
	}
	f.link = nil
}

// comes connects to some node and joins its channels from where it was: it says so in the URL, or with each join.
func (f *follower) comes(ctx context.Context) {
	h := f.run.site.some(f.rng, nil)
	if h == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	if f.way == byStream {
		f.listens(ctx, h)
		return
	}
	path, said := "/api/custom/test/do", false
	if f.way == bySocket {
		if path, said = "/ws/resume", f.rng.IntN(2) == 0; said {
			path += "?resume=" + url.QueryEscape(f.resume())
		}
	}
	f.mu.Lock() // nothing is heard before it knows that it is connected
	defer f.mu.Unlock()
	f.life++
	life := f.life
	conn, err := nodetest.Record(ctx, h.front.Addr(), path, func(frame nodetest.Frame) { f.hear(life, frame, "") })
	if err != nil {
		return
	}
	f.beginLocked(conn)
	f.asked = map[int]func([]json.RawMessage, bool){}
	for _, channel := range f.channels {
		f.joinLocked(channel, said)
	}
}

// beginLocked notes that it is connected. It comes back to wherever it was.
func (f *follower) beginLocked(link interface{ Drop() }) {
	f.link, f.over, f.in, f.gave = link, false, map[string]bool{}, map[string]bool{}
	for _, channel := range f.channels {
		f.gave[channel] = f.at[channel] != ""
	}
}

// resume is the parameter that says where it was.
func (f *follower) resume() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	positions := map[string]string{}
	for channel, at := range f.at {
		if at != "" {
			positions[channel] = at
		}
	}
	text, err := json.Marshal(positions)
	if err != nil {
		panic(err) // only texts
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func (f *follower) joins(channel string, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over && (!again || f.in[channel]) {
		f.joinLocked(channel, again)
	}
}

// joinLocked joins a channel, from where it was unless that has been said, or it is in.
func (f *follower) joinLocked(channel string, said bool) {
	if !f.in[channel] {
		f.in[channel] = false
	}
	since := f.at[channel]
	switch {
	case f.way == byScript && since == "":
		f.callLocked("solidb.ws.channel.subscribe", func([]json.RawMessage, bool) { f.in[channel] = true }, channel)
	case f.way == byScript:
		f.callLocked("solidb.ws.channel.subscribe", func(results []json.RawMessage, failed bool) {
			var rec struct{ Recovered bool }
			f.in[channel] = true
			switch {
			case failed || len(results) < 2: // what it missed comes later, or it is told that it is lost
			case json.Unmarshal(results[1], &rec) == nil && rec.Recovered:
				f.stepLocked(history.GoesOn, channel, since, "")
			default:
				f.stepLocked(history.Begun, channel, "", "")
			}
		}, channel, map[string]any{"since": since})
	case said || since == "":
		f.sendLocked(map[string]any{"raw": map[string]any{"join": channel}})
	default:
		f.sendLocked(map[string]any{"raw": map[string]any{"join": map[string]any{"channel": channel, "since": since}}})
	}
}

// says publishes the follower's next message.
func (f *follower) says(channel string) {
	if f.way == byStream {
		f.posts(channel)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.said++
	s := &history.Saying{Channel: channel, Text: fmt.Sprint(f.hist.Name, ".", f.said), Sent: f.run.clock.now()}
	f.run.say(s)
	function := "ws_broadcast_room"
	if f.way == byScript {
		function = "solidb.ws.channel.broadcast"
	}
	f.callLocked(function, func(_ []json.RawMessage, failed bool) {
		if !failed {
			s.Acked = f.run.clock.now()
		}
	}, channel, map[string]any{"m": s.Text})
}

func (r *run) say(s *history.Saying) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Sayings = append(r.rec.Sayings, s)
}

func (f *follower) callLocked(function string, then func([]json.RawMessage, bool), args ...any) {
	f.calls++
	f.asked[f.calls] = then
	f.sendLocked(map[string]any{"id": f.calls, "call": function, "args": args})
}

func (f *follower) sendLocked(fields map[string]any) {
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err) // only maps of texts are sent
	}
	conn := f.link.(*nodetest.Client).Conn
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = conn.WriteMessage(websocket.TextMessage, b)
}

// told is what a follower is sent.
type told struct {
	Reply   int
	Error   string
	Results []json.RawMessage

	Type  string // of a script's events
	Event json.RawMessage

	Channel, Position string
	Recovered         *bool
	Data              struct{ M string }
}

// hear takes a frame, or an event with its id; the client's reader calls it.
func (f *follower) hear(life int, frame nodetest.Frame, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.life != life {
		return
	}
	if f.over = frame.Over; f.over {
		return
	}
	if id != "" {
		f.id = id
	}
	var m told
	if json.Unmarshal([]byte(frame.Text), &m) != nil {
		return
	}
	if m.Reply != 0 {
		then := f.asked[m.Reply]
		delete(f.asked, m.Reply)
		if then != nil {
			then(m.Results, m.Error != "")
		}
		return
	}
	event := m.Type
	if event == "" {
		_ = json.Unmarshal(m.Event, &event)
	} else if json.Unmarshal(m.Event, &m) != nil {
		return
	}
	switch {
	case event == "channel" || event == "message":
		f.stepLocked(history.Got, m.Channel, m.Position, m.Data.M)
	case event == "joined" && m.Recovered != nil && *m.Recovered:
		f.in[m.Channel] = true
		f.stepLocked(history.GoesOn, m.Channel, m.Position, "")
	case event == "joined" && (f.in[m.Channel] || f.gave[m.Channel] && m.Recovered == nil): // again, or not heeded
		f.in[m.Channel] = true
		f.stepLocked(history.GoesOn, m.Channel, m.Position, "")
	case event == "joined", event == "lost":
		f.in[m.Channel] = true
		f.stepLocked(history.Begins, m.Channel, m.Position, "")
	}
}

// stepLocked notes what it was told.
func (f *follower) stepLocked(move history.Move, channel, position, text string) {
	var p history.Position
	_, _ = fmt.Sscanf(position, "%d-%d", &p.MS, &p.Seq) // what is none is no step that the checker takes
	channel = f.run.intern(channel)
	f.at[channel] = position
	f.hist.Steps = append(f.hist.Steps, history.Step{At: f.run.clock.now(), Move: move, Channel: channel, Position: p,
		Text: f.run.intern(text)})
}

// followersDiffer says where two followers who are connected do not stand at one place, or "". first: they may.
func (r *run) followersDiffer(first bool) string {
	if len(r.followers) == 0 {
		return ""
	}
	if first {
		return "followers have not been told the last message"
	}
	stands := map[string]string{}
	for _, f := range r.followers {
		f.mu.Lock()
		over, at, in := f.over || f.in == nil, map[string]string{}, map[string]bool{}
		for _, channel := range f.channels {
			at[channel], in[channel] = f.at[channel], f.in[channel]
		}
		f.mu.Unlock()
		if over {
			continue
		}
		for channel, at := range at {
			switch other, known := stands[channel]; {
			case !in[channel]:
				return fmt.Sprintf("%s was not answered in %s", f.hist.Name, channel)
			case known && other != at:
				return fmt.Sprintf("%s stands at %s in %s, another at %s", f.hist.Name, at, channel, other)
			}
			stands[channel] = at
		}
	}
	return ""
}

// nudge publishes a message in each channel with a history: what was lost shows itself with the next message.
func (r *run) nudge() {
	hosts := r.site.all()
	for i := range logs {
		s := &history.Saying{Channel: logName(i), Text: fmt.Sprint("nudge ", r.name()), Sent: r.clock.now()}
		r.say(s)
		for _, h := range hosts {
			if !h.node.Exited() {
				r.post(h, s)
				break
			}
		}
	}
}

// post publishes by HTTP.
func (r *run) post(h *host, s *history.Saying) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, text, _ := nodetest.Request(ctx, http.MethodPost, h.node.Addr(), "/call", nodetest.JSON(map[string]any{
		"call": "ws_broadcast_room", "args": []any{s.Channel, map[string]any{"m": s.Text}}}),
		"Content-Type: application/json")
	var answer struct{ Error *string }
	if status == http.StatusOK && json.Unmarshal([]byte(text), &answer) == nil && answer.Error == nil {
		s.Acked = r.clock.now()
	}
}
