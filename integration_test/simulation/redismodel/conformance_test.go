package redismodel_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/broker"
	"rollcall/integration_test/simulation/redismodel"
	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the random calls are about. Few names, so that they meet often.
var (
	channels = []string{"room", "a{b}%"}
	users    = []string{"ann", "ben", "c d"}
	conns    = []string{"k1", "k2", "k3"}
	incs     = []string{"aa-1", "aa-2", "bb-1", "bb-10"}
	causes   = []string{"closed", "lost", "drained", "untracked"}
)

// TestConformance: the same random calls go to the model and to a server; answers, messages and what is then held are
// the same. So the simulation may trust the model.
func TestConformance(t *testing.T) {
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		sources, err := redismodel.Load("../../..")
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(6) {
			b, err := redisconn.Open(t.Context(), redisconn.Config{URL: r.URL(), Prefix: fmt.Sprint("model", seed)})
			if err != nil {
				t.Fatal(err)
			}
			topics := broker.New(broker.Config{Redis: b})
			p := newPair(t, b, topics, sources, rand.New(rand.NewPCG(seed, 7)))
			for range 400 {
				p.step()
			}
			p.compareMessages()
			p.compareKeys()
			topics.Close()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if p.published < 50 {
				t.Errorf("seed %d: only %d messages; the calls are too tame", seed, p.published)
			}
		}
	})
}

// pair is a server and the model of it.
type pair struct {
	t       *testing.T
	b       *redisconn.Client
	topics  *broker.Broker
	k       redisconn.Keys
	rng     *rand.Rand
	scripts map[string]*redisconn.Script
	model   *redismodel.Server
	now     time.Time // of the model

	said      int                 // messages with a history
	told      map[string][]string // by the model, by topic
	published int

	mu    sync.Mutex
	heard map[string][]string // from the server, by topic
	over  chan string
}

// ear receives a topic.
type ear struct {
	p     *pair
	topic string
	ready chan struct{} // the topic is subscribed to; capacity 1
}

const last = "that was all"

func (e *ear) Receive(payload string) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if payload == last {
		e.p.over <- e.topic
		return
	}
	e.p.heard[e.topic] = append(e.p.heard[e.topic], payload)
}

func (e *ear) Resubscribed() {
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

func newPair(t *testing.T, b *redisconn.Client, topics *broker.Broker, sources []redismodel.Source,
	rng *rand.Rand) *pair {
	p := &pair{t: t, b: b, topics: topics, k: b.Keys(), rng: rng, scripts: map[string]*redisconn.Script{}, now: time.Now(),
		told: map[string][]string{}, heard: map[string][]string{}, over: make(chan string, len(channels))}
	for _, s := range sources {
		p.scripts[s.Name] = s.Script
	}
	p.model = redismodel.New(redismodel.Config{Now: func() time.Time { return p.now }, Scripts: sources,
		Publish: func(topic, payload string) {
			p.told[topic] = append(p.told[topic], payload)
			p.published++
		}})
	for _, c := range channels {
		topic := p.k.Topic(c)
		e := &ear{p, topic, make(chan struct{}, 1)}
		topics.Attach(topic, e)
		<-e.ready
	}
	return p
}

func (p *pair) any(of []string) string { return of[p.rng.IntN(len(of))] }

// step makes one random call on both.
func (p *pair) step() {
	what, make := p.choose()
	real, mine := make(), make()
	if err := p.b.Batch(p.t.Context(), []redis.Cmder{real}); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	p.now = time.Now()
	p.model.Process(mine)
	want, got := p.answer(real), p.answer(mine)
	if what == "heartbeat" && want != got { // the two clocks are some milliseconds apart
		a, errA := strconv.ParseInt(want, 10, 64)
		b, errB := strconv.ParseInt(got, 10, 64)
		if errA == nil && errB == nil && a != 0 && b != 0 && max(a-b, b-a) < 5000 {
			return
		}
	}
	if want != got {
		p.t.Fatalf("%v: the server answers %s, the model %s", real.Args(), want, got)
	}
}

// answer makes answers comparable: what is a set has one order, and scores of this moment are left out.
func (p *pair) answer(cmd redis.Cmder) string {
	if err := cmd.Err(); err != nil {
		if errors.Is(err, redis.Nil) {
			return "nil"
		}
		return "error " + err.Error()
	}
	switch c := cmd.(type) {
	case *redis.Cmd:
		if list, ok := c.Val().([]any); ok && cmd.Args()[1] == p.scripts["declare"] {
			return fmt.Sprint(sorted(list))
		}
		if cmd.Args()[1] == p.scripts["empty"] { // servers differ in what is cut before
			return "some"
		}
		if list, ok := c.Val().([]any); ok && cmd.Args()[1] == p.scripts["reap"] && len(list) >= 2 && list[1] != int64(0) {
			list[1] = "later"
		}
		return timeless(fmt.Sprintf("%#v", c.Val()))
	case *redis.MapStringStringCmd:
		return timeless(fmt.Sprint(c.Val()))
	case *redis.StringCmd:
		return timeless(c.Val())
	case *redis.FloatCmd:
		return "a score"
	case *redis.ScanCmd:
		page, cursor := c.Val()
		return fmt.Sprint(slices.Sorted(slices.Values(page)), cursor)
	case *redis.StringSliceCmd:
		if cmd.Name() == "zrangebylex" {
			return fmt.Sprintf("%q", c.Val())
		}
		return timeless(fmt.Sprintf("%q", slices.Sorted(slices.Values(c.Val()))))
	}
	return cmd.String()[len(fmt.Sprint(cmd.Args()...)):]
}

func sorted(list []any) []string {
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprint(v))
	}
	slices.Sort(out)
	return out
}

// deadline is mostly far ahead.
func (p *pair) deadline() int64 {
	at := time.Now().Add(time.Minute)
	if p.rng.IntN(8) == 0 {
		at = at.Add(-2 * time.Minute)
	}
	return at.UnixMilli()
}

// keep is for how many ms it is kept when somebody was there last, mostly not.
func (p *pair) keep() int { return []int{0, 0, 0, 120_000}[p.rng.IntN(4)] }

// choose draws a call as presence and cluster make it, and gives its name and how to make it.
func (p *pair) choose() (what string, make func() redis.Cmder) {
	ctx, k := context.Background(), p.k
	ch, user, conn, inc := p.any(channels), p.any(users), p.any(conns), p.any(incs)
	epoch, deadline, how := fmt.Sprint("e", p.rng.IntN(3)), p.deadline(), k.PublishCommand(k.Topic(ch))
	script := func(name string, keys []string, args ...any) (string, func() redis.Cmder) {
		return name, func() redis.Cmder { return p.scripts[name].Command(ctx, keys, args...) }
	}
	body := fmt.Sprintf(`r%d 17 e- {"n":%d}`, p.rng.IntN(2), p.rng.IntN(2))
	join := func(name string, more ...any) (string, func() redis.Cmder) {
		return script(name, []string{k.Head(ch), k.Users(ch), k.User(ch, user), k.Entries(ch, inc)},
			append([]any{deadline, epoch, how, k.Topic(ch), conn, user, inc, body, k.Entries(ch, ""),
				[]string{"", "", "", epoch}[p.rng.IntN(4)]}, more...)...)
	}
	switch p.rng.IntN(30) {
	case 0, 1, 2, 3, 4, 5:
		return join("join", []int{0, 2, 64, 64}[p.rng.IntN(4)], []int{10, 16384, 16384, 16384}[p.rng.IntN(4)])
	case 6, 7, 8:
		return script("leave", []string{k.Head(ch), k.Users(ch), k.User(ch, user)},
			deadline, epoch, how, k.Topic(ch), conn, user, inc, k.Entries(ch, ""), p.any(causes), p.keep())
	case 9, 10:
		args := []any{epoch, how, k.Topic(ch), inc, k.UserPrefix(ch), []string{"due", "all"}[p.rng.IntN(2)],
			p.keep(), []int64{0, 1_000}[p.rng.IntN(2)]}
		for range 1 + p.rng.IntN(4) {
			args = append(args, p.any(conns), p.any(users))
		}
		return script("reap", []string{k.Head(ch), k.Users(ch), k.Entries(ch, inc)}, args...)
	case 11:
		return script("register", []string{k.Nodes(), k.NodeChannels(inc)}, inc, ch)
	case 12, 13:
		ms := []int{-60_000, 60_000}[p.rng.IntN(2)]
		how := []string{"register", "renew"}[p.rng.IntN(2)]
		return script("heartbeat", []string{k.Nodes(), k.Node(inc)}, inc, ms, how, "address", "here", "pid", p.rng.IntN(3))
	case 14:
		return script("declare", []string{k.Nodes(), k.Reaping()}, inc, 1000, []string{"all", "own"}[p.rng.IntN(2)])
	case 15:
		keys := []string{k.Nodes(), k.Reaping(), k.Node(inc), k.NodeChannels(inc)}
		return script("end", keys, inc, []string{"forget", "retire"}[p.rng.IntN(2)])
	case 22, 23, 24, 25:
		return script("publish", p.historyKeys(ch), p.publication(how)...)
	case 26, 27:
		return script("read", p.historyKeys(ch)[:2], 3, 60_000, []string{"XRANGE", "XREVRANGE"}[p.rng.IntN(2)],
			[]string{"-", "17-4"}[p.rng.IntN(2)], "+", []int{0, 1, 2, 1000}[p.rng.IntN(4)])
	case 28:
		return script("empty", p.historyKeys(ch)[:2])
	case 29:
		return script("publish_once", []string{k.OnceMark(k.Topic(ch), p.any(conns))}, 60_000, how, k.Topic(ch), "bx 1 once")
	case 16, 17, 18:
		return join("linger", []int{-60_000, 60_000}[p.rng.IntN(2)], []string{"", "e0", "e1"}[p.rng.IntN(3)],
			p.any(causes))
	default:
		return "command", p.command(ch, user, conn, inc)
	}
}

// historyKeys are the keys and the topic of a channel with history.
func (p *pair) historyKeys(ch string) []string {
	return []string{p.k.History(ch), p.k.HistoryHead(ch), p.k.Topic(ch)}
}

// publication is some messages for publish.lua, of which few are large and few are not kept.
func (p *pair) publication(how string) []any {
	args := []any{3, 60_000, how}
	for range 1 + p.rng.IntN(3) {
		p.said++
		switch text := fmt.Sprint(" said ", p.said); p.rng.IntN(8) {
		case 0:
			args = append(args, "", "bx 1"+text)
		case 1:
			args = append(args, "bx ", text+strings.Repeat("x", 400<<10))
		default:
			args = append(args, "bx ", text)
		}
	}
	return args
}

// command draws one of the plain commands.
func (p *pair) command(ch, user, conn, inc string) func() redis.Cmder {
	ctx, k := context.Background(), p.k
	strs := func(args ...any) func() redis.Cmder {
		return func() redis.Cmder { return redis.NewStringSliceCmd(ctx, args...) }
	}
	all := []func() redis.Cmder{
		func() redis.Cmder { return redis.NewSliceCmd(ctx, "hmget", k.Head(ch), "epoch", "seq") },
		strs("hgetall", k.User(ch, user)),
		func() redis.Cmder { return redis.NewMapStringStringCmd(ctx, "hgetall", k.Node(inc)) },
		func() redis.Cmder { return redis.NewStringCmd(ctx, "hget", k.Node(inc), "deadline") },
		strs("zrangebylex", k.Users(ch), "-", "+", "limit", 0, 2),
		strs("zrangebylex", k.Users(ch), "("+user, "+", "limit", 0, 2),
		strs("zrangebylex", k.Entries(ch, inc), "-", "+", "limit", 0, 200),
		strs("zrange", k.Nodes(), 0, -1),
		func() redis.Cmder { return redis.NewIntCmd(ctx, "zcard", k.Entries(ch, inc)) },
		func() redis.Cmder { return redis.NewFloatCmd(ctx, "zscore", k.Nodes(), inc) },
		func() redis.Cmder { return redis.NewFloatCmd(ctx, "zscore", k.Reaping(), inc) },
		func() redis.Cmder { return redis.NewIntCmd(ctx, "srem", k.NodeChannels(inc), ch, conn) },
		func() redis.Cmder { return redis.NewStatusCmd(ctx, "set", k.Claim(inc), "me", "nx", "px", 60_000) },
		func() redis.Cmder { return redis.NewIntCmd(ctx, "del", k.Claim(inc)) },
		func() redis.Cmder {
			return redis.NewIntCmd(ctx, "zadd", k.Reaping(), "xx", time.Now().Add(time.Minute).UnixMilli(), inc)
		},
		func() redis.Cmder { return redis.NewBoolCmd(ctx, "pexpire", k.Claim(inc), 60_000) },
		func() redis.Cmder { return redis.NewScanCmd(ctx, nil, "sscan", k.NodeChannels(inc), 0, "count", 500) },
	}
	return all[p.rng.IntN(len(all))]
}
