package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/backend"
	"rollcall/testkit/nodetest"
)

// settle is that of every second hook.
const settle = 700 * time.Millisecond

// resident is a user with a device on each node, who is therefore there whatever happens to two of three.
const resident = "resident"

// sinks are the back ends of a run: two behind URLs and two streams, one of each with a settle. They are judged by
// SPEC 10: at each rest the set that each has folded equals presence, joins and leaves alternate for each user, and who
// stayed is never told as gone.
type sinks struct {
	run     *run
	app     string // the test app with the hooks
	rng     *rand.Rand
	servers []*backend.Server
	streams map[string]*stream // by name
	seen    map[string]bool    // "sink room" in which the resident was told
	faults  map[string]int     // by sink: how many were reported
	judged  time.Duration      // when last
}

// stream is what a consumer has read.
type stream struct {
	backend.Fold
	last string // id of the last entry
}

func newSinks(r *run) *sinks {
	r.t.Helper()
	s := &sinks{run: r, app: appWith(r.t), rng: rand.New(rand.NewPCG(r.plan.Seed, 1<<62)), seen: map[string]bool{},
		streams: map[string]*stream{"told": {last: "-"}, "settled": {last: "-"}}, faults: map[string]int{}}
	text := ""
	for i, more := range []string{"", fmt.Sprintf(", settle = %d", settle.Milliseconds())} {
		server := backend.NewServer(r.t)
		s.servers = append(s.servers, server)
		const events = `events = {"join", "leave", "update", "occupied", "vacated"}`
		text += fmt.Sprintf("hook(\"url%d\", { channels = \"room*\", url = %q, secret = %q, %s%s })\n", i, server.URL,
			backend.Secret, events, more)
		text += fmt.Sprintf("hook(\"stream%d\", { channels = \"room*\", stream = %q, %s%s })\n", i,
			[]string{"told", "settled"}[i], events, more)
	}
	if err := os.WriteFile(filepath.Join(s.app, "config/hooks.lua"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func appWith(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../testdata/app")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fail lets back ends fail for a while, mostly.
func (s *sinks) fail() {
	for _, server := range s.servers {
		modes := append(backend.Modes(), backend.OK, backend.OK)
		server.Set(modes[s.rng.IntN(len(modes))])
	}
}

// answer lets all work.
func (s *sinks) answer() {
	for _, server := range s.servers {
		server.Set(backend.OK)
	}
}

// rest waits until all know exactly who is there, and notes what they were told wrongly. The crowd rests, and every
// view is exact. False when it does not come.
func (s *sinks) rest() bool {
	truth := s.run.truth(s.run.connected())
	limit := time.Now().Add(s.run.plan.Times.Gone() + 4*time.Second + settle + 5*time.Second)
	why := ""
	for {
		if why = s.differ(truth); why == "" || time.Now().After(limit) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if why != "" {
		s.violated("back ends do not come to know who is there: %s", why)
	}
	s.judge()
	return why == ""
}

// folds are what the back ends know, by name.
func (s *sinks) folds() map[string]*backend.Fold {
	all := map[string]*backend.Fold{}
	for i, server := range s.servers {
		all[fmt.Sprint("url", i)] = &server.Fold
	}
	for name, st := range s.streams {
		s.read(name, st)
		all["stream "+name] = &st.Fold
	}
	return all
}

// read reads what is new in a stream.
func (s *sinks) read(name string, st *stream) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	entries, err := s.run.site.redis.Client().XRange(ctx, "rollcall:stream:"+name, st.last, "+").Result()
	if err != nil {
		return // Redis is not back yet
	}
	for _, e := range entries {
		text, _ := e.Values["event"].(string)
		if err := st.Append(text); err != nil {
			s.violated("stream %s: %v", name, err)
		}
		st.last = "(" + e.ID
	}
}

// differ says which back end does not know what is true, or "".
func (s *sinks) differ(truth map[string]map[string]string) string {
	for name, f := range s.folds() {
		for i := range s.run.plan.Rooms {
			room := roomName(i)
			var want []string
			for user := range truth[room] {
				want = append(want, user)
			}
			slices.Sort(want)
			if got := f.Users(room); !slices.Equal(got, want) {
				return fmt.Sprintf("%s knows %v in %s, not %v", name, got, room, want)
			}
		}
	}
	return ""
}

// judge looks at what was told since the last rest.
func (s *sinks) judge() {
	now := s.run.clock.now()
	forgotten := history.Forgotten(s.run.rec.Faults, s.judged, now)
	s.judged = now
	for name, f := range s.folds() {
		for _, line := range f.Log() {
			words := strings.Fields(line)
			if len(words) < 3 || !slices.Contains(words[2:], resident) {
				continue
			}
			at := name + " " + words[1]
			switch words[0] {
			case "leave", "join":
				if words[0] == "leave" || s.seen[at] && !forgotten {
					s.violated("%s: %s, who stayed", name, line)
				}
			}
			s.seen[at] = true
		}
		faults := f.Faults()
		for _, fault := range faults[s.faults[name]:] {
			if !forgotten { // docs/hooks.md, "There is one exception"
				s.violated("%s: %s", name, fault)
			}
		}
		s.faults[name] = len(faults)
	}
	for i, server := range s.servers {
		name := fmt.Sprint("requests of url", i)
		wrong := server.Wrong()[:len(server.Wrong())-len(server.Faults())]
		for _, text := range wrong[min(s.faults[name], len(wrong)):] {
			s.violated("%s: %s", name, text)
		}
		s.faults[name] = len(wrong)
	}
}

func (s *sinks) violated(format string, args ...any) {
	s.run.rec.Hooks = append(s.run.rec.Hooks, history.Violation{Rule: history.Told, At: s.run.clock.now(),
		Client: "a back end", Text: fmt.Sprintf(format, args...)})
}

// reside connects the resident to a node, unless it is there.
func (r *run) reside(ctx context.Context, h *host) {
	r.t.Helper()
	for _, d := range r.connected() {
		if d.host == h && d.hist.User == resident && !d.gone() {
			return
		}
	}
	var rooms []string
	for i := range r.plan.Rooms {
		rooms = append(rooms, roomName(i))
	}
	d, err := r.dial(ctx, h, resident, history.Plain, rooms, nodetest.Timeout)
	if err != nil {
		r.t.Fatalf("reside on %s: %v", h.name, err)
	}
	d.enter()
}
