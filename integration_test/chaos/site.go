package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// host is one node with its ways: from clients, and to Redis.
type host struct {
	name  string
	node  *nodetest.Node
	front *redistest.Proxy
	redis *redistest.Proxy // nil but with standalone Redis: the others tell clients their addresses

	rolls atomic.Bool // its clients come back elsewhere when it sends them away
}

// site is the cluster that a run happens to.
type site struct {
	t     testing.TB
	redis *redistest.Redis
	times history.Times
	app   string

	mu    sync.Mutex
	hosts []*host // those that clients know of
	made  int
}

func newSite(t testing.TB, redis *redistest.Redis, times history.Times, app string) *site {
	return &site{t: t, redis: redis, times: times, app: app}
}

// add starts a node; clients do not know of it yet.
func (s *site) add() *host {
	s.t.Helper()
	s.made++
	h := &host{name: fmt.Sprint("n", s.made)}
	url := s.redis.URL()
	if s.redis.Kind() == "standalone" {
		h.redis = redistest.NewProxy(s.t, s.redis.Addr())
		url = h.redis.URL()
	}
	h.node = nodetest.Start(s.t, nodetest.Options{Redis: url, App: s.app, Flags: []string{
		"--lease-ttl", s.times.Lease.String(), "--heartbeat", s.times.Heartbeat.String(), "--ping", s.times.Ping.String(),
		"--restart-grace", s.times.Restart.String(), "--message-rate", "0", "--drain", "500ms", "--max-message", "256KiB",
	}})
	h.front = redistest.NewProxy(s.t, h.node.Addr())
	return h
}

// open lets clients know of a node.
func (s *site) open(h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, h)
}

// shut takes a node away from clients.
func (s *site) shut(h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.hosts {
		if o == h {
			s.hosts = append(s.hosts[:i:i], s.hosts[i+1:]...)
			return
		}
	}
}

// all are the nodes that clients know of.
func (s *site) all() []*host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[:len(s.hosts):len(s.hosts)]
}

// some picks a node, another one than but if there is one; nil when there is none. A balancer gives clients none that
// is replaced.
func (s *site) some(rng *rand.Rand, but *host) *host {
	all := slices.DeleteFunc(slices.Clone(s.all()), func(h *host) bool { return h.rolls.Load() })
	if len(all) == 0 {
		return nil
	}
	h := all[rng.IntN(len(all))]
	if h == but {
		h = all[rng.IntN(len(all))]
	}
	return h
}

// ready waits until a node would be given clients by a balancer.
func (s *site) ready(h *host, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if nodetest.Status(h.node.Addr(), "/readyz") == 200 {
			return true
		}
	}
	return false
}
