package redismodel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/broker"
	"rollcall/history"
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
		return script("declare", []string{k.Nodes(), k.Reaping()}, inc, 1000)
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

// compareMessages waits for all messages and holds them against the model's.
func (p *pair) compareMessages() {
	for _, c := range channels {
		if err := p.topics.Publish(p.t.Context(), p.k.Topic(c), []byte(last)); err != nil {
			p.t.Fatal(err)
		}
	}
	for range channels {
		select {
		case <-p.over:
		case <-p.t.Context().Done():
			p.t.Fatal("the last message did not come")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, want := range p.heard {
		got := p.told[topic]
		for i := range min(len(want), len(got)) {
			if plain(want[i]) != plain(got[i]) {
				p.t.Fatalf("message %d on %s: the server sends %s, the model %s", i, topic, plain(want[i]), plain(got[i]))
			}
		}
		if len(want) != len(got) {
			p.t.Fatalf("%d messages on %s, %d of the model", len(want), topic, len(got))
		}
	}
}

// plain gives the parts of a change in one order: HGETALL has none.
func plain(message string) string {
	if history.IsBroadcast(message) {
		return timeless(message)
	}
	var words []string
	for rest := message[1:]; rest != ""; {
		length, tail, _ := strings.Cut(rest, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n > len(tail) {
			return "damaged: " + message
		}
		words, rest = append(words, tail[:n]), tail[n:]
	}
	slices.Sort(words)
	return timeless(strings.Join(words, "|"))
}

// timeless leaves out deadlines, and the times of positions.
func timeless(text string) string { return times.ReplaceAllString(text, "") }

var times = regexp.MustCompile(`~\d+|\d{13}`)

// compareKeys holds every key that there can be against the model's.
func (p *pair) compareKeys() {
	k := p.k
	keys := []string{k.Nodes(), k.Reaping()}
	for _, inc := range incs {
		keys = append(keys, k.Node(inc), k.NodeChannels(inc), k.Claim(inc))
	}
	for _, ch := range channels {
		keys = append(keys, k.Head(ch), k.Users(ch))
		keys = append(keys, k.History(ch), k.HistoryHead(ch))
		for _, c := range conns {
			keys = append(keys, k.OnceMark(k.Topic(ch), c))
		}
		for _, u := range users {
			keys = append(keys, k.User(ch, u))
		}
		for _, inc := range incs {
			keys = append(keys, k.Entries(ch, inc))
		}
	}
	held := p.model.Keys()
	for _, key := range keys {
		item := held[key]
		delete(held, key)
		if want, got := p.dump(key), show(item); want != got {
			p.t.Errorf("%s: the server holds %s, the model %s", key, want, got)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(held)) {
		p.t.Errorf("the model holds %s, which nobody wrote", key)
	}
}

func (p *pair) do(args ...any) any {
	res, err := p.b.Do(p.t.Context(), args...)
	if err != nil && !errors.Is(err, redisconn.Nil) {
		p.t.Fatalf("%v: %v", args, err)
	}
	return res
}

// dump is what the server holds in a key, as show writes it.
func (p *pair) dump(key string) string {
	var text string
	switch kind := p.do("type", key); kind {
	case "none":
		return "nothing"
	case "hash":
		list, _ := p.do("hgetall", key).([]any)
		var parts []string
		for i := 0; i+1 < len(list); i += 2 {
			parts = append(parts, fmt.Sprintf("%v=%v", list[i], list[i+1]))
		}
		slices.Sort(parts)
		text = timeless(fmt.Sprint("hash ", parts))
	case "zset":
		list, _ := p.do("zrange", key, 0, -1).([]any)
		text = fmt.Sprint("zset ", sorted(list))
	case "set":
		list, _ := p.do("smembers", key).([]any)
		text = fmt.Sprint("set ", sorted(list))
	case "stream":
		list, _ := p.do("xrevrange", key, "+", "-", "count", 3).([]any)
		slices.Reverse(list) // before them are what Redis has not cut yet
		text = timeless(fmt.Sprint("stream ", list))
	default:
		text = timeless(fmt.Sprint("text ", p.do("get", key)))
	}
	if ms, _ := p.do("pttl", key).(int64); ms > 0 {
		text += " for a while"
	}
	return text
}

func show(i *redismodel.Item) string {
	var text string
	switch {
	case i == nil:
		return "nothing"
	case i.Hash != nil:
		var parts []string
		for f, v := range i.Hash {
			parts = append(parts, f+"="+v)
		}
		slices.Sort(parts)
		text = timeless(fmt.Sprint("hash ", parts))
	case i.Zset != nil:
		text = fmt.Sprint("zset ", slices.Sorted(maps.Keys(i.Zset)))
	case i.Set != nil:
		text = fmt.Sprint("set ", slices.Sorted(maps.Keys(i.Set)))
	case i.Stream != nil:
		var list []any
		for _, e := range i.Stream.Entries[max(0, len(i.Stream.Entries)-3):] {
			list = append(list, []any{e.ID(), []any{"", e.Text}})
		}
		text = timeless(fmt.Sprint("stream ", list))
	default:
		text = timeless("text " + i.Text)
	}
	if i.Expire != 0 {
		text += " for a while"
	}
	return text
}
