package hub

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/history"
	"rollcall/presence"
)

var update = flag.Bool("update", false, "write the expected output of the stories anew")

// TestStories plays testdata/*.txt: cluster stories with their expected output (STYLE 20). A story is blocks of
// commands, "----", and what all clients were told since the block before, each client's in its order. The commands:
//
//	node n1 n2                   start nodes
//	event n1 c1 [devices]        a client of an event handler connects
//	script n1 s1                 a client of a connection script connects
//	history room* 3 60s          what is kept, on nodes that start later
//	resume n1 c1 [room=0-1]      a client of a route with resume = true connects, and says where it was
//	join c1 room                 leave c1 room · untrack c1 room · state c1 room (send_presence)
//	track c1 room ann [json]     presence.join for a script
//	set c1 room json             set_presence
//	join c1 room since 0-1       it goes on from there
//	space c1 3                   what its queue takes at once
//	say c1 room text             broadcast · whisper c1 room text: transient
//	exit c1                      drop c1 (without a close handshake)
//	stop n1                      it sends its clients away and ends, as after SIGTERM
//	freeze n1                    nothing passes between the node and Redis, and nothing is lost · thaw n1
//	cut n1                       its connections to Redis break, new ones are refused · mend n1
//	kill n1                      as cut, for ever; its clients hear nothing any more
//	later 8s                     the clock of Redis moves
//	wipe                         FLUSHALL · restart: Redis is killed and comes back empty
//	view room ann[c1] bob[c2]    waits until every living node's list of the channel is this
//	quiet                        time passes in which more could be told
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			must(t, err)
			s := &story{t: t, w: newWorld(t,
				worldConfig{window: 20 * time.Millisecond, linger: 1500 * time.Millisecond, grace: 1500 * time.Millisecond,
					timeout: time.Second}), clients: map[string]*client{}, dead: map[string]bool{}}
			played := s.play(string(text))
			if *update {
				must(t, os.WriteFile(file, []byte(played), 0o600))
			}
		})
	}
}

type story struct {
	t       *testing.T
	w       *world
	clients map[string]*client
	dead    map[string]bool // nodes that cannot reach Redis
}

// play runs a story and gives it back with what was told really.
func (s *story) play(text string) string {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n\n") {
		commands, want, told := strings.Cut(block, "\n----")
		want = strings.TrimPrefix(want, "\n")
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				s.do(line)
			}
		}
		out.WriteString(commands)
		if told {
			got := s.expect(commands, want)
			out.WriteString("\n----")
			if got != "" {
				out.WriteString("\n" + got)
			}
		}
		out.WriteString("\n\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// expect waits until the clients were told what is written, and forgets it.
func (s *story) expect(commands, want string) string {
	s.t.Helper()
	if *update {
		time.Sleep(500 * time.Millisecond)
	} else {
		for end := time.Now().Add(15 * time.Second); s.told() != want &&
			time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		}
	}
	got := s.told()
	if got != want && !*update {
		s.t.Fatalf("after\n%s\nthe clients were told\n%s\nwant\n%s", commands, got, want)
	}
	for _, c := range s.clients {
		c.mu.Lock()
		c.lines = nil
		c.mu.Unlock()
	}
	return got
}

func (s *story) told() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.clients)) {
		for _, line := range s.clients[name].got() {
			out = append(out, name+" "+line)
		}
	}
	return strings.Join(out, "\n")
}

func (s *story) node(name string) *node {
	s.t.Helper()
	n := s.w.nodes[name]
	if n == nil {
		s.t.Fatalf("no node %s", name)
	}
	return n
}

func (s *story) do(line string) {
	s.t.Helper()
	word := strings.Fields(line)
	arg := func(i int) string {
		s.t.Helper()
		if i >= len(word) {
			s.t.Fatalf("%q: too few words", line)
		}
		return word[i]
	}
	rest := func(n int) string { return strings.Join(word[min(n, len(word)):], " ") }
	switch word[0] {
	case "node":
		for _, name := range word[1:] {
			s.w.node(name)
		}
	case "event":
		s.clients[arg(2)] = s.node(arg(1)).event(arg(2), rest(3) == "devices")
	case "history":
		s.history(arg(1), arg(2), arg(3))
	case "resume":
		s.clients[arg(2)] = s.node(arg(1)).resume(arg(2), word[3:]...)
	case "script":
		s.clients[arg(2)] = s.node(arg(1)).script(arg(2))
	case "freeze":
		s.dead[arg(1)] = true
		s.node(arg(1)).proxy.Hold()
	case "thaw", "mend":
		delete(s.dead, arg(1))
		s.node(arg(1)).proxy.Resume()
	case "cut":
		s.dead[arg(1)] = true
		s.node(arg(1)).proxy.Refuse()
	case "kill":
		s.kill(arg(1))
	case "stop":
		s.stop(arg(1))
	case "later":
		d, err := time.ParseDuration(arg(1))
		must(s.t, err)
		s.later(d)
	case "wipe":
		s.w.redis.FlushAll()
	case "restart":
		s.w.redis.Restart()
		s.w.redis.Mini().SetTime(s.w.now)
	case "view":
		s.view(arg(1), rest(2))
	case "quiet":
		time.Sleep(200 * time.Millisecond)
	default:
		s.call(line, word[0], arg, rest)
	}
}

// later moves the clock of Redis in small steps, in each of which every node that can renews its lease.
func (s *story) later(d time.Duration) {
	s.t.Helper()
	const step = 500 * time.Millisecond
	for ; d > 0; d -= step {
		s.w.forward(min(d, step))
		s.beat()
	}
}

// beat lets all nodes renew their leases, and then look for the dead.
func (s *story) beat() {
	s.t.Helper()
	for name, n := range s.w.nodes {
		if !s.dead[name] {
			must(s.t, n.cluster.Renew(s.t.Context()))
		}
	}
}

// call makes a client do something.
func (s *story) call(line, verb string, arg func(int) string, rest func(int) string) {
	s.t.Helper()
	c := s.clients[arg(1)]
	if c == nil {
		s.t.Fatalf("%q: no client %s", line, arg(1))
	}
	var err error
	switch verb {
	case "join":
		var since *history.Position
		if n := len(strings.Fields(line)); n > 4 && arg(n-2) == "since" {
			p := s.w.position(arg(n - 1))
			since = &p
		}
		_, _, err = c.JoinSince(s.t.Context(), arg(2), since)
	case "space":
		c.space, err = strconv.Atoi(arg(2))
	case "whisper":
		err = c.h.Broadcast(s.t.Context(), arg(2), Value{Text: rest(3), Transient: true}, c.id)
	case "leave":
		err = c.Leave(arg(2))
	case "track":
		if c.events != nil {
			info := rest(4)
			if info == "" {
				info = "{}"
			}
			err = c.PresenceJoin(s.t.Context(), arg(2), arg(3), []byte(info))
		} else {
			err = c.Track(s.t.Context(), arg(2), arg(3), fieldsOf(s.t, rest(4)))
		}
	case "untrack":
		err = c.Untrack(s.t.Context(), arg(2))
	case "set":
		err = c.SetPresence(s.t.Context(), arg(2), fieldsOf(s.t, rest(3)))
	case "state":
		err = c.SendPresence(s.t.Context(), arg(2))
	case "say":
		err = c.h.Broadcast(s.t.Context(), arg(2), Value{Text: rest(3)}, c.id)
	case "exit":
		c.Exit(Closed, presence.CauseClosed)
	case "drop":
		c.Exit(Dropped, presence.CauseLost)
	default:
		s.t.Fatalf("%q: no such command", line)
	}
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
}

// history gives the nodes that start from now on a rule more.
func (s *story) history(pattern, size, ttl string) {
	s.t.Helper()
	n, err := strconv.Atoi(size)
	must(s.t, err)
	d, err := time.ParseDuration(ttl)
	must(s.t, err)
	s.w.rules = history.NewRules([]history.Rule{{Pattern: pattern, Policy: history.Policy{Size: n, TTL: d}}})
}

// kill cuts a node off for ever and takes its clients out of the story.
func (s *story) kill(name string) {
	n := s.node(name)
	n.proxy.Refuse()
	s.over(n)
}

// stop ends a node in order; its clients are out of the story.
func (s *story) stop(name string) {
	n := s.node(name)
	n.stop(SentAway)
	s.over(n)
}

func (s *story) over(n *node) {
	s.dead[n.name] = true
	for name, c := range s.clients {
		if c.h == n.Hub {
			delete(s.clients, name)
		}
	}
}

func (s *story) view(channel, want string) {
	s.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(s.w.nodes)) {
		if s.dead[name] {
			continue
		}
		n := s.w.nodes[name]
		end := time.Now().Add(15 * time.Second)
		for n.view(channel) != want {
			if time.Now().After(end) {
				s.t.Fatalf("%s sees %q in %s, want %q", name, n.view(channel), channel, want)
			}
			time.Sleep(5 * time.Millisecond)
			s.beat() // or a look for the dead that failed on a busy machine would be the last
		}
	}
}
