package broker_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/testkit/redistest"
)

// BenchmarkClusterBroadcast measures what a broadcast costs the masters of a Cluster, plain and sharded, with one, two
// and three of them: 60 channels, three nodes subscribed to all of them, 150 bytes. It is one run of five rounds
// whatever b.N is: use -benchtime 1x. The rate that a Cluster can carry is what its busiest master can. CPU is as Redis
// tells it, and of this process, which holds the publisher and the three nodes. -v prints the table of
// docs/performance.md.
func BenchmarkClusterBroadcast(b *testing.B) {
	var all []*clusterCost
	for _, sharded := range []bool{false, true} {
		for masters := 1; masters <= 3; masters++ {
			all = append(all, newClusterCost(b, masters, sharded))
		}
	}
	const rounds = 5
	b.ResetTimer()
	for range rounds {
		for _, c := range all {
			c.round(b)
		}
	}
	b.StopTimer()
	b.Logf("%-8s %8s %14s %14s %14s %12s", "pub/sub", "masters", "all masters", "the busiest", "messages/s", "the nodes")
	for _, c := range all {
		name := map[bool]string{false: "plain", true: "sharded"}[c.sharded]
		total, busiest, nodes := median(c.total), median(c.busiest), median(c.nodes)
		b.Logf("%-8s %8d %12.1f s %12.1f s %14.0f %10.1f s", name, c.masters, total, busiest, 1e6/busiest, nodes)
		b.ReportMetric(busiest, fmt.Sprintf("%s-%d-busiest-s/M", name, c.masters))
	}
}

// clusterCost is one Cluster under measurement. Costs are CPU seconds for each million messages, one of each round.
type clusterCost struct {
	masters int
	sharded bool
	redis   *redistest.Redis
	sender  *node
	topics  []string
	heard   *counter
	nodes   []float64
	total   []float64
	busiest []float64
}

const nodesOfCost = 3

func newClusterCost(b *testing.B, masters int, sharded bool) *clusterCost {
	shape := redistest.Shape{Masters: masters}
	if !sharded {
		shape.Args = []string{"--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", ""}
	}
	c := &clusterCost{masters: masters, sharded: sharded, redis: redistest.ClusterOf(b, shape), heard: new(counter)}
	cfg := config{URL: c.redis.URL(), WatchEvery: time.Minute}
	c.sender = open(b, cfg)
	c.topics = rooms(c.sender, 60)
	for range nodesOfCost {
		node := open(b, cfg)
		for _, topic := range c.topics {
			node.subscribe(b, topic, c.heard)
		}
	}
	return c
}

func (c *clusterCost) round(b *testing.B) {
	const messages = 60_000
	payload := make([]byte, 150)
	want := c.heard.n.Load() + messages*nodesOfCost
	redisBefore, nodeBefore := c.redisCPU(b), cpu(b)
	free := make(chan struct{}, 4096)
	var sent sync.WaitGroup
	for i := range messages {
		free <- struct{}{}
		sent.Add(1)
		topic := c.topics[i%len(c.topics)]
		cmd := redis.NewCmd(b.Context(), c.sender.Keys().PublishCommand(topic), topic, payload)
		cmd.SetFirstKeyPos(1)
		if err := c.sender.Submit(cmd, func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-free
			sent.Done()
		}); err != nil {
			b.Fatal(err)
		}
	}
	sent.Wait()
	for deadline := time.Now().Add(time.Minute); c.heard.n.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d messages are missing", want-c.heard.n.Load())
		}
	}
	c.nodes = append(c.nodes, (cpu(b)-nodeBefore).Seconds()*1e6/messages)
	var total, busiest float64
	for i, after := range c.redisCPU(b) {
		used := (after - redisBefore[i]) * 1e6 / messages
		total, busiest = total+used, max(busiest, used)
	}
	c.total, c.busiest = append(c.total, total), append(c.busiest, busiest)
}

// redisCPU is what each master has used so far, in seconds.
func (c *clusterCost) redisCPU(b *testing.B) (seconds []float64) {
	for _, p := range c.redis.Nodes() {
		info, err := p.Client().Info(b.Context(), "cpu").Result()
		if err != nil {
			b.Fatal(err)
		}
		used := 0.0
		for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
			s, err := strconv.ParseFloat(redistest.Field(info, name), 64)
			if err != nil {
				b.Fatal(err)
			}
			used += s
		}
		seconds = append(seconds, used)
	}
	return seconds
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
