package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// Plan says what one run does.
type Plan struct {
	Seed   uint64
	Redis  string // "standalone", "sentinel" or "cluster"
	Nodes  int
	People int
	Rooms  int
	Faults int

	Followers int           // of channels with a history
	Kinds     []string      // of faults; none: all that this Redis can have
	Mixed     int           // of a hundred rounds, in how many two faults strike together
	Pace      time.Duration // between two things that a person does
	Calm      time.Duration // unrest before each fault
	Freeze    time.Duration // the longest freeze of Redis
	Times     history.Times
}

// run is one run.
type run struct {
	t     testing.TB
	plan  Plan
	clock *clock
	site  *site
	crowd *crowd
	sinks *sinks

	followers []*follower
	sightings []history.Sighting // the last answer

	rec   *history.Record // Clients is guarded by mu
	lists map[string]*history.Client

	mu      sync.Mutex
	names   int
	texts   map[string]string
	devices map[*device]bool // connected
}

// Run lets a cluster live through a plan and gives what happened. It ends early at a point of rest that does not come.
func Run(t testing.TB, plan Plan) *history.Record {
	t.Helper()
	r := &run{t: t, plan: plan, clock: &clock{time.Now()}, rec: &history.Record{Times: plan.Times, Began: time.Now()},
		lists: map[string]*history.Client{},
		texts: map[string]string{}, devices: map[*device]bool{}}
	r.sinks = newSinks(r)
	r.site = newSite(t, startRedis(t, plan.Redis), plan.Times, r.sinks.app)
	r.crowd = newCrowd(r)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { r.rec.Stalls = watch(ctx, r.clock) })
	for range plan.Nodes {
		r.join(ctx)
	}
	var rooms []string
	for i := range plan.Rooms {
		rooms = append(rooms, roomName(i))
	}
	r.crowd.invite(ctx, plan.People, rooms, plan.Seed)
	r.follow(ctx)
	r.rounds(ctx, newNemesis(r))
	cancel()
	r.crowd.stir()
	r.crowd.running.Wait()
	for d := range r.devices {
		d.leave(0)
	}
	watching.Wait()
	return r.rec
}

func roomName(i int) string { return fmt.Sprintf("room:%d", i) }

func startRedis(t testing.TB, kind string) *redistest.Redis {
	t.Helper()
	switch kind {
	case "standalone":
		return redistest.Standalone(t, "--appendonly", "yes")
	case "sentinel":
		return redistest.Sentinel(t)
	case "cluster":
		return redistest.ClusterOf(t, redistest.Shape{Args: []string{"--appendonly", "yes"}})
	}
	t.Fatalf("no Redis of the kind %q: standalone, sentinel or cluster", kind)
	return nil
}

// join adds a node with clients that watch all rooms.
func (r *run) join(ctx context.Context) {
	r.t.Helper()
	h := r.site.add()
	r.mu.Lock()
	list := &history.Client{Name: "list-" + h.name, Route: history.List, Node: h.name,
		Events: []history.Event{{At: r.clock.now(), Kind: history.Opened}}}
	r.lists[h.name] = list
	r.rec.Clients = append(r.rec.Clients, list)
	r.mu.Unlock()
	r.watchFrom(ctx, h)
	r.site.open(h)
}

// watchFrom connects the clients that watch on a node, one of each kind, unless they are there.
func (r *run) watchFrom(ctx context.Context, h *host) {
	r.t.Helper()
	for _, route := range []history.Route{history.Plain, history.Script, history.Phoenix} {
		if r.watcher(h, route) != nil {
			continue
		}
		var rooms []string
		for i := range r.plan.Rooms {
			rooms = append(rooms, roomName(i))
		}
		d, err := r.dial(ctx, h, "", route, rooms, nodetest.Timeout)
		if err != nil {
			r.t.Fatalf("watch from %s: %v", h.name, err)
		}
		d.enter()
	}
	r.reside(ctx, h)
}

// watcher finds the client that watches on a node.
func (r *run) watcher(h *host, route history.Route) *device {
	for _, d := range r.connected() {
		if d.host == h && d.hist.User == "" && d.hist.Route == route && !d.gone() {
			return d
		}
	}
	return nil
}

// rounds are unrest, fault, rest, again and again.
func (r *run) rounds(ctx context.Context, n *nemesis) {
	r.crowd.stir()
	time.Sleep(2 * time.Second) // people come
	r.crowd.rest()
	if !r.rest(r.clock.now()) || !r.sinks.rest() {
		return
	}
	for done := 0; done < r.plan.Faults; {
		r.crowd.stir()
		r.sinks.fail() // so the fault comes while requests are under way
		time.Sleep(r.plan.Calm)
		done += n.strike(ctx)
		r.sinks.answer()
		if !r.rest(r.clock.now()) || !r.sinks.rest() || r.t.Failed() {
			return
		}
		n.repair(ctx)
	}
}

// rest waits until every view is exact, and notes a point of rest. The crowd rests already. False when it does not
// come.
func (r *run) rest(over time.Duration) bool {
	quiet := r.clock.now()
	limit := max(quiet, over) + r.plan.Times.Gone() + 3*r.plan.Times.Ping + 5*time.Second
	nudged := time.Duration(-1)
	const steady = 2
	exact, why := 0, ""
	for exact < steady && r.clock.now() < limit {
		if why = r.differs(); why == "" {
			why = r.followersDiffer(nudged < 0)
		}
		if why == "" {
			why = r.usersDiffer()
		}
		if why == "" {
			exact++
		} else {
			exact = 0
		}
		if nudged < 0 || exact == 0 && r.clock.now()-nudged > time.Second {
			nudged = r.clock.now()
			r.nudge()
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.rec.Points = append(r.rec.Points, history.Point{Quiet: quiet, At: r.clock.now()})
	r.rec.Sightings = append(r.rec.Sightings, r.sightings...)
	if exact < steady {
		r.t.Logf("no rest after %v: %s", r.clock.now()-quiet, why)
	}
	return exact == steady
}

// differs says where a view is not the truth, or "".
func (r *run) differs() string {
	devices := r.connected()
	truth := r.truth(devices)
	why := r.listsDiffer(truth)
	for _, d := range devices {
		if text := d.differs(truth); text != "" {
			return text
		}
	}
	return why
}

// truth is what these devices track, by room and user.
func (r *run) truth(devices []*device) map[string]map[string]string {
	claims := map[string]map[string][]string{}
	for _, d := range devices {
		d.doubt()
		for room, claim := range d.claims() {
			if claims[room] == nil {
				claims[room] = map[string][]string{}
			}
			claims[room][d.hist.User] = append(claims[room][d.hist.User], claim)
		}
	}
	truth := map[string]map[string]string{}
	for room, users := range claims {
		truth[room] = r.view(users)
	}
	return truth
}

// listsDiffer asks each node for its lists, notes what is new, and says what is not the truth, or "".
func (r *run) listsDiffer(truth map[string]map[string]string) string {
	hosts := r.site.all()
	answers := make([]string, len(hosts))
	var asking sync.WaitGroup
	for i, h := range hosts {
		if h.node.Exited() {
			continue
		}
		asking.Go(func() {
			for n := range r.plan.Rooms {
				room := roomName(n)
				view, err := r.list(h, room)
				if err != nil {
					answers[i] = fmt.Sprintf("list of %s in %s: %v", h.name, room, err)
					return
				}
				if !maps.Equal(view, truth[room]) {
					answers[i] = fmt.Sprintf("list of %s in %s is %v, not %v", h.name, room, view, truth[room])
				}
			}
		})
	}
	asking.Wait()
	slices.Sort(answers)
	return slices.Max(append(answers, ""))
}

// list asks one node for one list.
func (r *run) list(h *host, room string) (map[string]string, error) {
	present, err := ask[[]struct {
		UserID string `json:"user_id"`
		Metas  []struct {
			C     string `json:"c"`
			State string `json:"state"`
		} `json:"metas"`
	}](h, "ws_list_presence", room)
	if err != nil {
		return nil, err
	}
	users := map[string][]string{}
	for _, u := range present {
		for _, m := range u.Metas {
			users[u.UserID] = append(users[u.UserID], m.C+"="+m.State)
		}
	}
	view := r.view(users)
	c := r.lists[h.name]
	for i := len(c.Events) - 1; i >= 0; i-- {
		if c.Events[i].Room == room {
			if c.Events[i].At > r.rested() && maps.Equal(c.Events[i].View, view) {
				return view, nil
			}
			break
		}
	}
	c.Events = append(c.Events, history.Event{At: r.clock.now(), Kind: history.Whole, Room: room, View: view})
	return view, nil
}

// rested is the last point of rest: of each segment a list's first answer is noted, and then what is new.
func (r *run) rested() time.Duration {
	if n := len(r.rec.Points); n > 0 {
		return r.rec.Points[n-1].At
	}
	return -1
}

// view makes a view of users with their devices.
func (r *run) view(users map[string][]string) map[string]string {
	v := make(map[string]string, len(users))
	for user, devices := range users {
		v[r.intern(user)] = r.intern(history.Metas(devices))
	}
	return v
}

// name gives the next device its name.
func (r *run) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names++
	return fmt.Sprint("d", r.names)
}

// intern keeps one copy of each text: histories hold the same few again and again.
func (r *run) intern(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, ok := r.texts[text]
	if !ok {
		kept = string([]byte(text))
		r.texts[kept] = kept
	}
	return kept
}

func (r *run) enrol(d *device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.devices[d] = true
	r.rec.Clients = append(r.rec.Clients, d.hist)
}

func (r *run) dismiss(d *device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.devices, d)
}

func (r *run) connected() []*device {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.devices))
}
