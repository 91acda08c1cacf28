package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/integration_test/chaos/history"
)

// short are the leases of most runs: many faults fit into a minute. defaults are those of SPEC 3.
var (
	short = history.Times{Lease: 2 * time.Second, Grace: time.Second, Heartbeat: 500 * time.Millisecond,
		Ping: 1500 * time.Millisecond, Restart: 2 * time.Second}
	defaults = history.Times{Lease: 6 * time.Second, Grace: time.Second, Heartbeat: 2 * time.Second,
		Ping: 1500 * time.Millisecond, Restart: 5 * time.Second}
)

// freeze is the longest that Redis is frozen, mostly.
const freeze = 3 * time.Second

// String is the plan as plansFrom reads it.
func (p Plan) String() string {
	text := fmt.Sprintf("redis=%s seed=%d faults=%d nodes=%d people=%d followers=%d mixed=%d", p.Redis, p.Seed, p.Faults,
		p.Nodes, p.People, p.Followers, p.Mixed)
	if p.Times == defaults {
		text += " defaults=1"
	}
	if p.Freeze != freeze {
		text += fmt.Sprintf(" freeze=%v", p.Freeze)
	}
	if len(p.Kinds) > 0 {
		text += " kinds=" + strings.Join(p.Kinds, ",")
	}
	return text
}

// plansFrom reads ROLLCALL_CHAOS: nothing is the short form, with fixed seeds; "full" is make chaos; words like those
// of Plan.String are one run.
func plansFrom(t *testing.T) (plans []Plan, full bool) {
	t.Helper()
	base := Plan{Redis: "standalone", Seed: 1, Faults: 20, Nodes: 3, People: 60, Followers: 24, Rooms: 6, Mixed: 25,
		Pace: 500 * time.Millisecond, Calm: 700 * time.Millisecond, Freeze: freeze, Times: short}
	with := func(change func(*Plan)) { p := base; change(&p); plans = append(plans, p) }
	switch text := os.Getenv("ROLLCALL_CHAOS"); text {
	case "":
		base.People, base.Followers, base.Mixed = 30, 12, 0
		with(func(p *Plan) { p.Faults = 19 })
		with(func(p *Plan) {
			p.Redis, p.Faults = "sentinel", 5
			p.Kinds = []string{"redis-failover", "redis-failover-lossy", "redis-kill-pubsub", "node-kill"}
		})
		with(func(p *Plan) {
			p.Redis, p.Faults = "cluster", 6
			p.Kinds = []string{"redis-restart-empty", "redis-restart-data", "redis-freeze", "redis-flush", "node-kill"}
		})
	case "full":
		full = true
		seed := rand.Uint64N(1 << 32)
		for i, nodes := range []int{3, 4, 5, 3} {
			with(func(p *Plan) {
				p.Seed, p.Nodes, p.Faults = seed+uint64(i), nodes, 50
				p.Freeze = []time.Duration{3, 3, 3, 20}[i] * time.Second
			})
		}
		with(func(p *Plan) { p.Seed, p.Redis, p.Faults = seed+4, "sentinel", 52 })
		with(func(p *Plan) { p.Seed, p.Redis, p.Faults = seed+5, "cluster", 52 })
		with(func(p *Plan) { p.Seed, p.Times, p.Faults = seed+6, defaults, 20 })
	default:
		with(func(p *Plan) { readPlan(t, p, text) })
	}
	return plans, full
}

func readPlan(t *testing.T, p *Plan, text string) {
	t.Helper()
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "redis":
			p.Redis = value
		case "kinds":
			p.Kinds = strings.Split(value, ",")
		case "defaults":
			p.Times = defaults
		case "freeze":
			p.Freeze, err = time.ParseDuration(value)
		case "seed", "faults", "nodes", "people", "followers", "mixed":
			into := map[string]any{"seed": &p.Seed, "faults": &p.Faults, "nodes": &p.Nodes, "people": &p.People,
				"followers": &p.Followers, "mixed": &p.Mixed}[name]
			_, err = fmt.Sscan(value, into)
		default:
			err = fmt.Errorf("unknown")
		}
		if err != nil {
			t.Fatalf("ROLLCALL_CHAOS: %s: %v", word, err)
		}
	}
}
