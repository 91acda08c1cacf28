package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// TestScripts is one suite for every kind of Redis (STYLE 21). The members here have no loops: each script is called.
func TestScripts(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, c *Cluster, b *redisconn.Client)
	}{
		{"a lease is taken and renewed", testHeartbeat},
		{"the overdue are declared dead", testDeclare},
		{"an incarnation ends", testEnd},
		{"a period of a job is won once", testPeriod},
	}
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				b, err := redisconn.Open(t.Context(), redisconn.Config{URL: r.URL(), Prefix: fmt.Sprint("scripts", i)})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				test.run(t, New(Config{Redis: b, Process: "aa", TTL: testTTL, Heartbeat: testBeat,
					Log: slog.New(slog.DiscardHandler)}), b)
			})
		}
	})
}

func do(t *testing.T, b *redisconn.Client, args ...any) any {
	t.Helper()
	res, err := b.Do(context.Background(), args...)
	if err != nil && err != redisconn.Nil {
		t.Fatalf("%v: %v", args, err)
	}
	return res
}

func redisNow(t *testing.T, b *redisconn.Client) int64 {
	t.Helper()
	var sec, us int64
	parts := do(t, b, "time").([]any)
	if _, err := fmt.Sscan(fmt.Sprint(parts[0], " ", parts[1]), &sec, &us); err != nil {
		t.Fatal(err)
	}
	return sec*1000 + us/1000
}

// DESIGN 3: "A heartbeat script sets the incarnation's deadline to Redis `TIME` + ttl and returns it … after that it
// answers *lost* and changes nothing."
func testHeartbeat(t *testing.T, c *Cluster, b *redisconn.Client) {
	ctx := t.Context()
	before := redisNow(t, b)
	deadline, err := c.heartbeat(ctx, "aa-1", "register")
	if err != nil || deadline < before+testTTL.Milliseconds() || deadline > redisNow(t, b)+testTTL.Milliseconds() {
		t.Fatalf("deadline %d, now %d, %v", deadline, before, err)
	}
	if got := do(t, b, "zscore", c.keys.Nodes(), "aa-1"); got != fmt.Sprint(deadline) {
		t.Errorf("Redis has the deadline %v, the answer was %d", got, deadline)
	}
	if got := do(t, b, "hget", c.keys.Node("aa-1"), "connections"); got != "0" {
		t.Errorf("connections %v", got)
	}
	if again, err := c.heartbeat(ctx, "aa-1", "renew"); err != nil || again < deadline {
		t.Errorf("renewed until %d, was %d, %v", again, deadline, err)
	}
	if got, err := c.heartbeat(ctx, "aa-2", "renew"); err != nil || got != 0 {
		t.Errorf("renewing what was lost: %d, %v", got, err)
	}
	if got := do(t, b, "exists", c.keys.Node("aa-2")); got != int64(0) {
		t.Error("a lost heartbeat wrote something")
	}
	if err := c.refresh(ctx); err != nil || len(c.Nodes()) != 1 || c.Nodes()[0].Incarnation != "aa-1" {
		t.Errorf("registry %v, %v", c.Nodes(), err)
	}
}

// DESIGN 3: declared dead "only `grace` (1 s) after its deadline".
func testDeclare(t *testing.T, c *Cluster, b *redisconn.Client) {
	ctx := t.Context()
	declareOf := func(own, whose string) []string {
		t.Helper()
		res, err := b.Run(ctx, declareScript, []string{c.keys.Nodes(), c.keys.Reaping()}, own, Grace.Milliseconds(), whose)
		if err != nil {
			t.Fatal(err)
		}
		var incs []string
		for _, v := range res.([]any) {
			incs = append(incs, v.(string))
		}
		slices.Sort(incs)
		return incs
	}
	declare := func(own string) []string { return declareOf(own, "all") }
	now := redisNow(t, b)
	for inc, ago := range map[string]int64{"bb-1": 5000, "cc-1": 1500, "dd-1": 100, "ee-1": -60000} {
		do(t, b, "zadd", c.keys.Nodes(), now-ago, inc)
	}
	for _, own := range []string{"aa-1", "dd-1"} { // unknown, and late itself
		if got := declare(own); len(got) != 0 {
			t.Errorf("%s declared %v", own, got)
		}
	}
	if got := declare("ee-1"); !slices.Equal(got, []string{"bb-1", "cc-1"}) {
		t.Errorf("declared %v", got)
	}
	if got := declare("ee-1"); !slices.Equal(got, []string{"bb-1", "cc-1"}) {
		t.Errorf("what is still to be removed: %v", got)
	}
	for _, inc := range []string{"bb-2", "cc-0", "ee-0"} {
		do(t, b, "zadd", c.keys.Reaping(), now-1000, inc)
	}
	do(t, b, "zadd", c.keys.Nodes(), now+60000, "bb-3")
	do(t, b, "zadd", c.keys.Nodes(), now+60000, "ff-1")
	for own, want := range map[string][]string{
		"ee-1": {"cc-0", "cc-1", "ee-0"},
		"bb-3": {"bb-1", "bb-2", "cc-0", "cc-1"},
		"ff-1": {"cc-0", "cc-1"},
	} {
		if got := declare(own); !slices.Equal(got, want) {
			t.Errorf("%s may reap %v, want %v: what nodes that live have left is theirs", own, got, want)
		}
	}
	do(t, b, "zadd", c.keys.Nodes(), now-1500, "ee-00")
	do(t, b, "zadd", c.keys.Nodes(), now-1500, "gg-1")
	if got := declareOf("ee-1", "own"); !slices.Equal(got, []string{"ee-0", "ee-00"}) {
		t.Errorf("of its own it may reap %v", got)
	}
	for _, inc := range []string{"ee-00", "gg-1"} {
		if score := do(t, b, "zscore", c.keys.Nodes(), inc); (score != nil) != (inc == "gg-1") {
			t.Errorf("%s has a lease until %v", inc, score)
		}
	}
	for inc, want := range map[string]bool{"bb-1": true, "dd-1": true, "ee-1": true, "zz-1": false} {
		if alive, err := c.IncarnationAlive(ctx, inc); alive != want || err != nil {
			t.Errorf("%s known: %v, %v", inc, alive, err)
		}
	}
	for inc, want := range map[string]bool{"bb-1": false, "dd-1": true} {
		if deadline, err := c.heartbeat(ctx, inc, "renew"); err != nil || (deadline != 0) != want {
			t.Errorf("%s renews: %d, %v", inc, deadline, err)
		}
	}
	if mine, err := c.reaper.claim(ctx, "bb-1"); !mine || err != nil {
		t.Errorf("claim: %v, %v", mine, err)
	}
	if mine, err := c.reaper.claim(ctx, "bb-1"); mine || err != nil {
		t.Errorf("claim again: %v, %v", mine, err)
	}
}

func testEnd(t *testing.T, c *Cluster, b *redisconn.Client) {
	ctx := t.Context()
	known := func(inc string) string {
		return fmt.Sprint(do(t, b, "zscore", c.keys.Nodes(), inc) != nil, do(t, b, "zscore", c.keys.Reaping(), inc) != nil,
			do(t, b, "exists", c.keys.Node(inc), c.keys.NodeChannels(inc)))
	}
	for i, s := range []struct {
		how      string
		channels bool
		want     string // in nodes, in reaping, keys
	}{{"forget", true, "false false 0"}, {"retire", false, "false false 0"}, {"retire", true, "false true 2"}} {
		inc := fmt.Sprint("aa-", i+1)
		if _, err := c.heartbeat(ctx, inc, "register"); err != nil {
			t.Fatal(err)
		}
		if s.channels {
			do(t, b, "sadd", c.keys.NodeChannels(inc), "C")
		}
		for range 2 {
			if err := c.end(ctx, inc, s.how); err != nil {
				t.Fatal(err)
			}
			if got := known(inc); got != s.want {
				t.Errorf("%s, channels %v: %s, want %s", s.how, s.channels, got, s.want)
			}
		}
	}
	// the channels of an incarnation are read in pages
	for i := range 1200 {
		do(t, b, "sadd", c.keys.NodeChannels("aa-9"), fmt.Sprint("channel ", i))
	}
	got, err := c.channelsOf(ctx, "aa-9")
	if err != nil || len(got) != 1200 {
		t.Errorf("%d channels, %v", len(got), err)
	}
}
