package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// patient finds out about faults late: on a busy machine too no connection is given up that is none.
func patient(url string) config {
	cfg := fast(url)
	cfg.WatchEvery = time.Second
	return cfg
}

// rooms are the topics of n channels.
func rooms(b *node, n int) (topics []string) {
	for i := range n {
		topics = append(topics, b.Keys().Topic(fmt.Sprint("room", i)))
	}
	return topics
}

// ownedBy reports which of topics a master serves.
func ownedBy(r *redistest.Redis, p *redistest.Process, topics []string) (owned []int) {
	for i, topic := range topics {
		if r.Owner(redisconn.Slot(topic)) == p {
			owned = append(owned, i)
		}
	}
	return owned
}

// subscribers is the number of connections of p that are subscribed to a sharded topic.
func subscribers(t *testing.T, p *redistest.Process, topic string) int64 {
	t.Helper()
	answer, err := p.Client().PubSubShardNumSub(t.Context(), topic).Result()
	if err != nil {
		t.Fatal(err)
	}
	return answer[topic]
}

// pubsubConnections is the number of subscriptions' connections that p has.
func pubsubConnections(t *testing.T, p *redistest.Process) int {
	t.Helper()
	list, err := p.Client().Do(t.Context(), "client", "list", "type", "pubsub").Text()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(list, "id=")
}

// wantAt waits until topics are subscribed to at p, and nowhere else.
func wantAt(t *testing.T, r *redistest.Redis, p *redistest.Process, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		testkit.Eventually(t, topic+" is at its master alone", func() bool {
			for _, node := range r.Nodes() {
				if want := int64(0); node.Running() {
					if node == p {
						want = 1
					}
					if subscribers(t, node, topic) != want {
						return false
					}
				}
			}
			return true
		})
	}
}

// DESIGN 4: topics of a slot that moves are subscribed to at its new master, and their receivers told; others notice
// nothing.
func TestTopicsFollowTheirSlot(t *testing.T) {
	t.Parallel()
	server := redistest.Cluster(t)
	cfg := patient(server.URL())
	b, sender := open(t, cfg), open(t, cfg)
	topics := rooms(b, 30)
	from, to := server.Nodes()[0], server.Nodes()[1]
	moving := ownedBy(server, from, topics)
	if len(moving) < 4 || len(moving) > 25 {
		t.Fatalf("%d topics are at the first master", len(moving))
	}
	stay := moving[len(moving)/2:]
	moving = moving[:len(moving)/2]
	for _, i := range moving { // a slot has keys to move too
		for n := range 20 {
			if _, err := b.Do(t.Context(), "set", fmt.Sprintf("{room%d}%d", i, n), "x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := b.Breaks()
	tr := startTraffic(t, sender, b, topics)
	for _, i := range moving {
		server.MoveSlot(redisconn.Slot(topics[i]), to)
	}
	for _, i := range moving {
		wantAt(t, server, to, topics[i])
		testkit.Eventually(t, "the receiver is told", func() bool { return tr.ledgers[i].resubscribed() > 0 })
	}
	tr.end()
	for i, l := range tr.ledgers {
		moved := false
		for _, m := range moving {
			moved = moved || m == i
		}
		if n := l.resubscribed(); !moved && n != 0 {
			t.Errorf("%s was told to be resubscribed %d times, and its slot has not moved", topics[i], n)
		}
	}
	for _, i := range stay {
		wantAt(t, server, from, topics[i])
	}
	if b.Breaks() != before {
		t.Errorf("%d breaks: no connection broke", b.Breaks()-before)
	}
}

// A master is added, and all slots of another move to it: all its topics follow, and no connection to the old one is
// left.
func TestTopicsFollowToANewMaster(t *testing.T) {
	t.Parallel()
	server := redistest.Cluster(t)
	cfg := patient(server.URL())
	b, sender := open(t, cfg), open(t, cfg)
	topics := rooms(b, 20)
	from := server.Nodes()[0]
	moving := ownedBy(server, from, topics)
	tr := startTraffic(t, sender, b, topics)
	if pubsubConnections(t, from) == 0 {
		t.Fatal("no connection to the first master")
	}
	added := server.AddMaster()
	for _, i := range moving {
		server.MoveSlot(redisconn.Slot(topics[i]), added)
	}
	for _, i := range moving {
		wantAt(t, server, added, topics[i])
	}
	testkit.Eventually(t, "the connections to the old master end", func() bool { return pubsubConnections(t, from) == 0 })
	tr.end()
	late := subscribed(t, b, b.Keys().Topic("late"))
	publish(t, sender, b.Keys().Topic("late"), "heard")
	late.want(t, "heard")
}

// SPEC 5.2: "Redis ... failed over to a replica". All topics of the shard are subscribed to at the new master, whatever
// became of the old one, and nothing is missed without a word.
func TestShardFailsOver(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, old, replica *redistest.Process){
		"asked to": func(t *testing.T, old, replica *redistest.Process) {
			if err := replica.Client().ClusterFailover(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		},
		"killed": func(_ *testing.T, old, _ *redistest.Process) { old.Kill() },
		"frozen": func(_ *testing.T, old, _ *redistest.Process) { old.Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.ClusterOf(t, redistest.Shape{Replicas: true})
			cfg := fast(server.URL())
			b, sender := open(t, cfg), open(t, cfg)
			topics := rooms(b, 12)
			old, replica := server.Nodes()[0], server.Nodes()[3]
			moving := ownedBy(server, old, topics)
			tr := startTraffic(t, sender, b, topics)
			tr.flow()
			before := b.Breaks()
			if name == "asked to" {
				tr.doubt(moving, func() bool { return sendsTo(sender, topics[moving[0]]) == replica.Addr() })
			}
			fault(t, old, replica)
			testkit.Eventually(t, "the replica is the master", func() bool {
				role, err := replica.Client().Do(t.Context(), "role").Slice()
				return err == nil && role[0] == "master"
			})
			for _, i := range moving {
				testkit.Eventually(t, topics[i]+" is at the new master",
					func() bool { return subscribers(t, replica, topics[i]) == 1 })
				testkit.Eventually(t, "the receiver is told", func() bool { return tr.ledgers[i].resubscribed() > 0 })
				if name == "asked to" { // the old one is a replica now, where it could hear too
					testkit.Eventually(t, topics[i]+" has left the old master",
						func() bool { return subscribers(t, old, topics[i]) == 0 })
				}
			}
			tr.flow()
			tr.end()
			testkit.Eventually(t, "the failover is told", func() bool { return b.Breaks() > before })
		})
	}
}

// sendsTo is the address of the master at which b publishes on a topic.
func sendsTo(b *node, topic string) string {
	client, err := b.GoRedis().(*redis.ClusterClient).MasterForKey(context.Background(), topic)
	if err != nil {
		return ""
	}
	return client.Options().Addr
}

// DESIGN 4: "A half-open connection is noticed by nothing". One to a shard is found by its own echo, and the other
// shards notice nothing.
func TestHalfOpenShard(t *testing.T) {
	t.Parallel()
	server := redistest.ClusterOf(t, redistest.Shape{Proxied: true})
	b := open(t, patient(server.URL()))
	topics := rooms(b, 20)
	dead := server.Nodes()[1]
	here := ownedBy(server, dead, topics)
	var all []*recorder
	for _, topic := range topics {
		all = append(all, subscribed(t, b, topic))
	}
	if n := server.Proxy(dead).Forget(); n != 2 {
		t.Fatalf("%d subscriptions were forgotten, want 2", n)
	}
	for _, i := range here {
		all[i].wantAgain(t)
		publish(t, b, topics[i], "heard")
		all[i].want(t, "heard")
	}
	for i, r := range all {
		if server.Owner(redisconn.Slot(topics[i])) != dead && len(r.again) != 0 {
			t.Errorf("%s is of another master, and was resubscribed", topics[i])
		}
	}
}

// busMessages sums a kind of message that nodes of a Cluster sent each other.
func busMessages(t *testing.T, server *redistest.Redis, kind string) (n int) {
	t.Helper()
	for _, p := range server.Nodes() {
		info, err := p.Client().ClusterInfo(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		sent, _ := strconv.Atoi(redistest.Field(info, "cluster_stats_messages_"+kind+"_sent")) // absent: none
		n += sent
	}
	return n
}

// Broadcasts and presence scale with the masters: no message of a channel or to a node goes to another master. Replicas
// get it.
func TestMessagesStayInTheirShard(t *testing.T) {
	t.Parallel()
	const replicas = 1
	server := redistest.ClusterOf(t, redistest.Shape{Replicas: true})
	cfg := fast(server.URL())
	cfg.WatchEvery = time.Hour // no echo is counted
	b := open(t, cfg)
	topics := append(rooms(b, 30), b.Keys().NodeTopic("p1"))
	script := redisconn.NewScript(`redis.call('INCR', KEYS[1]) return redis.call(ARGV[1], ARGV[2], 'by a script')`)
	sent := 0
	for _, topic := range topics {
		r := subscribed(t, b, topic)
		publish(t, b, topic, "alone")
		if err := b.PublishMany(t.Context(), []broker.Message{{Topic: topic, Payload: []byte("of many")}}); err != nil {
			t.Fatal(err)
		}
		key := redisconn.NewKeys("x", 0).OnceMark(topic, "k")
		if _, err := b.Run(t.Context(), script, []string{key}, b.Keys().PublishCommand(topic), topic); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"alone", "of many", "by a script"} {
			r.want(t, text)
			sent++
		}
	}
	if n := busMessages(t, server, "publish"); n != 0 {
		t.Errorf("%d messages went to every node", n)
	}
	if n := busMessages(t, server, "publishshard"); n != sent*replicas {
		t.Errorf("%d messages went to replicas, want %d", n, sent*replicas)
	}
	// What goes to all nodes of Rollcall is published by scripts of another slot, so it is not sharded.
	all := b.Keys().AllTopic()
	r := subscribed(t, b, all)
	publish(t, b, all, "everyone")
	r.want(t, "everyone")
	if n := busMessages(t, server, "publish"); n != len(server.Nodes())-1 {
		t.Errorf("the message to all went to %d other nodes, want %d", n, len(server.Nodes())-1)
	}
}

// A Cluster of Redis before 7.0 goes on with plain pub/sub, and the log says so.
func TestClusterWithoutShardedPubSub(t *testing.T) {
	t.Parallel()
	server := redistest.ClusterOf(t,
		redistest.Shape{Args: []string{"--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", ""}})
	cfg, log := fast(server.URL()), new(testkit.Log)
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	b := open(t, cfg)
	for _, topic := range rooms(b, 10) {
		if command := b.Keys().PublishCommand(topic); command != "PUBLISH" {
			t.Fatalf("scripts publish by %s", command)
		}
		r := subscribed(t, b, topic)
		publish(t, b, topic, "hello")
		r.want(t, "hello")
	}
	if !strings.Contains(log.String(), "no sharded pub/sub") {
		t.Errorf("the log does not tell: %s", log)
	}
}

// A slot that no master serves is asked for again and again, with pauses; its topics are subscribed to once it is
// served.
func TestSlotWithoutMaster(t *testing.T) {
	t.Parallel()
	server := redistest.ClusterOf(t, redistest.Shape{Args: []string{"--cluster-require-full-coverage", "no"}})
	b := open(t, patient(server.URL()))
	topic := b.Keys().Topic("room")
	slot := redisconn.Slot(topic)
	was := subscribed(t, b, topic)
	other := subscribed(t, b, otherSlot(b, server, topic))
	for _, p := range server.Nodes() {
		if err := p.Client().ClusterDelSlots(t.Context(), slot).Err(); err != nil {
			t.Fatal(err)
		}
	}
	late := newRecorder()
	beside := strings.Replace(topic, "t:", "u:", 1) // of the same slot
	if b.Attach(beside, late) {
		t.Fatal("confirmed, and nobody serves the slot")
	}
	asked := func() (n int) {
		for _, p := range server.Nodes() {
			info, err := p.Client().Info(t.Context(), "commandstats").Result()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(info) {
				if strings.HasPrefix(line, "cmdstat_ssubscribe:") {
					_, rest, _ := strings.Cut(line, "calls=")
					calls, _, _ := strings.Cut(rest, ",")
					_, rejected, _ := strings.Cut(line, "rejected_calls=")
					rejected, _, _ = strings.Cut(rejected, ",")
					c, _ := strconv.Atoi(calls)
					r, _ := strconv.Atoi(rejected)
					n += c + r
				}
			}
		}
		return n
	}
	before := asked()
	time.Sleep(2 * time.Second) // what is counted is a rate
	if n := asked() - before; n > 60 {
		t.Errorf("%d tries in two seconds", n)
	}
	if err := server.Nodes()[2].Client().ClusterAddSlots(t.Context(), slot).Err(); err != nil {
		t.Fatal(err)
	}
	was.wantAgain(t)
	late.wantAgain(t)
	publish(t, b, topic, "heard")
	was.want(t, "heard")
	publish(t, b, beside, "heard")
	late.want(t, "heard")
	if len(other.again) != 0 {
		t.Error("a topic of another slot was resubscribed")
	}
}

// otherSlot is a topic at the same master as topic, of another slot.
func otherSlot(b *node, server *redistest.Redis, topic string) string {
	for _, other := range rooms(b, 100) {
		if redisconn.Slot(other) != redisconn.Slot(topic) &&
			server.Owner(redisconn.Slot(other)) == server.Owner(redisconn.Slot(topic)) {
			return other
		}
	}
	return ""
}
