package redistest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Redis is a Redis for one test, of whatever kind. Its methods act on the whole: on every process that holds data.
// For one of several use Nodes.
type Redis struct {
	t         testing.TB
	kind      string
	url       string
	nodes     []*Process // masters, and the replica of Sentinel
	sentinels []*Process
	members   map[*Process]*member // of a Cluster
	mini      *miniredis.Miniredis
	client    redis.UniversalClient
}

const masterName = "rollcall"

// Standalone starts one redis-server. args are added to its command line ("--maxmemory", "10mb").
func Standalone(t testing.TB, args ...string) *Redis {
	t.Helper()
	p := newProcess(t, "redis", func(p *Process) []string { return append(serverArgs(p), args...) })
	r := &Redis{t: t, kind: "standalone", url: "redis://" + p.Addr(), nodes: []*Process{p}}
	r.client = redis.NewClient(&redis.Options{Addr: p.Addr(), Protocol: 2, DisableIdentity: true, DialerRetries: 1,
		DialTimeout: time.Second})
	r.closeWithTest()
	return r
}

func serverArgs(p *Process) []string {
	return []string{
		"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1", "--dir", p.dir, "--logfile", "log",
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}
}

// Sentinel starts a master, a replica, and one sentinel, with a quorum of one, that fails over within about two
// seconds.
func Sentinel(t testing.TB) *Redis {
	t.Helper()
	r := &Redis{t: t, kind: "sentinel"}
	master := newProcess(t, "redis", func(p *Process) []string {
		return append(serverArgs(p), "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
	})
	replica := newProcess(t, "redis", func(p *Process) []string {
		return append(serverArgs(p), "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
			"--replicaof", fmt.Sprintf("127.0.0.1 %d", master.port))
	})
	r.nodes = []*Process{master, replica}
	r.waitUntil("the replica follows", func(ctx context.Context) bool {
		info, err := replica.Client().Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	sentinel := newProcess(t, "sentinel", func(p *Process) []string {
		return []string{p.writeConfig(master.port), "--sentinel"}
	})
	r.sentinels = []*Process{sentinel}
	r.url = "redis+sentinel://" + sentinel.Addr() + "/" + masterName
	r.client = redis.NewFailoverClient(
		&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: []string{sentinel.Addr()},
			Protocol: 2, DisableIdentity: true, DialerRetries: 1, DialTimeout: time.Second})
	r.closeWithTest()
	r.WaitReady()
	return r
}

// Mini starts a miniredis. It has the same face, but can't be paused, and
// Kill and Stop keep its data, unless it is wiped by Restart, as with the real ones.
func Mini(t testing.TB) *Redis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatalf("start miniredis: %v", err)
	}
	t.Cleanup(m.Close)
	r := &Redis{t: t, kind: "mini", url: "redis://" + m.Addr(), mini: m}
	r.client = redis.NewClient(&redis.Options{Addr: m.Addr(), Protocol: 2, DisableIdentity: true, DialerRetries: 1,
		DialTimeout: time.Second})
	r.closeWithTest()
	return r
}

func (r *Redis) closeWithTest() { r.t.Cleanup(func() { _ = r.client.Close() }) }

// Kind is "standalone", "cluster", "sentinel" or "mini".
func (r *Redis) Kind() string { return r.kind }

// URL is what a node takes as --redis.
func (r *Redis) URL() string { return r.url }

// Client is a client of the whole; closed with the test.
func (r *Redis) Client() redis.UniversalClient { return r.client }

// Nodes are the processes that hold data: the masters of a Cluster, then their replicas; with Sentinel the first
// master, then its replica. Empty for Mini.
func (r *Redis) Nodes() []*Process { return r.nodes }

// Sentinels are the sentinel processes.
func (r *Redis) Sentinels() []*Process { return r.sentinels }

// Mini is the miniredis of Mini, else nil.
func (r *Redis) Mini() *miniredis.Miniredis { return r.mini }

// CanPause: everything but Mini.
func (r *Redis) CanPause() bool { return r.mini == nil }

// Addr is host:port of a Standalone or Mini.
func (r *Redis) Addr() string {
	if r.mini != nil {
		return r.mini.Addr()
	}
	return r.nodes[0].Addr()
}

// FlushAll removes all data, as FLUSHALL does; scripts stay known.
func (r *Redis) FlushAll() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	var err error
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() })
	} else {
		err = r.client.FlushAll(ctx).Err()
	}
	if err != nil {
		r.t.Fatalf("flush redis: %v", err)
	}
}

// Kill ends every process that holds data with SIGKILL.
func (r *Redis) Kill() {
	if r.mini != nil {
		r.mini.Close()
	}
	r.each((*Process).Kill)
}

// Stop ends every process that holds data with SIGTERM.
func (r *Redis) Stop() {
	if r.mini != nil {
		r.mini.Close()
	}
	r.each((*Process).Stop)
}

// Restart kills what still runs and starts it again, empty, on the same ports; it returns when Redis serves.
func (r *Redis) Restart() {
	r.t.Helper()
	if r.mini != nil {
		r.mini.Close()
		r.mini.FlushAll()
		if err := r.mini.Restart(); err != nil {
			r.t.Fatalf("restart miniredis: %v", err)
		}
		return
	}
	r.each((*Process).Restart)
	r.WaitReady()
}

// Pause freezes every process that holds data.
func (r *Redis) Pause() {
	r.t.Helper()
	if r.mini != nil {
		r.t.Fatal("miniredis can't be paused: see CanPause")
	}
	r.each((*Process).Pause)
}

// Resume thaws every paused process.
func (r *Redis) Resume() { r.each((*Process).Resume) }

func (r *Redis) each(do func(*Process)) {
	for _, p := range r.nodes {
		do(p)
	}
}

// Master is the process that Sentinel says is the master now.
func (r *Redis) Master() *Process {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	pair, err := r.sentinels[0].Client().Do(ctx, "sentinel", "get-master-addr-by-name", masterName).StringSlice()
	if err != nil {
		r.t.Fatalf("ask sentinel for the master: %v", err)
	}
	for _, p := range r.nodes {
		if p.Addr() == net.JoinHostPort(pair[0], pair[1]) {
			return p
		}
	}
	r.t.Fatalf("sentinel names an unknown master %v", pair)
	return nil
}

// WaitReady returns when Redis takes writes: a Cluster all of whose nodes agree, a
// Sentinel whose master answers as such and has its replica.
func (r *Redis) WaitReady() {
	r.t.Helper()
	switch r.kind {
	case "cluster":
		r.waitUntil("all nodes of the cluster agree", func(ctx context.Context) bool {
			for _, p := range r.nodes {
				info, err := p.Client().ClusterInfo(ctx).Result()
				if err != nil || !strings.Contains(info, "cluster_state:ok") ||
					!strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(r.nodes))) {
					return false
				}
			}
			return true
		})
	case "sentinel":
		r.waitUntil("the master is known and serves", func(ctx context.Context) bool {
			return r.client.Set(ctx, "redistest", "ready", time.Second).Err() == nil
		})
		r.waitUntil("sentinel knows the replica", func(ctx context.Context) bool {
			list, err := r.sentinels[0].Client().Do(ctx, "sentinel", "replicas", masterName).Slice()
			return err == nil && len(list) > 0
		})
	default:
		r.waitUntil("redis answers", func(ctx context.Context) bool { return r.client.Ping(ctx).Err() == nil })
	}
}

func (r *Redis) waitUntil(what string, done func(context.Context) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			r.t.Fatalf("redistest: waited in vain until %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Field returns one value of an answer to INFO, "" if it is not there.
func Field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
