package load

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/history"
	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

const (
	// perPipeline is how many publications travel together: what a node's batcher sends at a high rate.
	perPipeline = 16
	// publishers is how many connections send such pipelines at once, as redis-benchmark -c 20 -P 16 does.
	publishers = 20
)

// keeping measures what a publication of 150 bytes costs Redis, in a channel with a history and in one without: in µs
// of its CPU.
func keeping(r *redistest.Redis, count int) (result, error) {
	ctx := context.Background()
	c, err := redisconn.Open(ctx, redisconn.Config{URL: r.URL()})
	if err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	defer func() { _ = c.Close() }()
	store, policy := history.NewStore(c, c.Keys()), history.Policy{Size: 100, TTL: 5 * time.Minute}
	b := history.Broadcast{JSON: true, Text: `{"text":"` + strings.Repeat("x", 139) + `"}`}
	if _, err := store.Publish(ctx, "room", policy, b); err != nil { // Redis knows the script now
		return nil, err
	}
	topic := c.Keys().Topic("room")
	figures := result{}
	rounds := max(1, count/(publishers*perPipeline))
	for name, command := range map[string]func() redis.Cmder{
		"kept-µs": func() redis.Cmder {
			return store.PublishCommand(ctx, "room", policy, nil, history.Outgoing{Broadcast: b})
		},
		"plain-µs": func() redis.Cmder { return redis.NewCmd(ctx, "publish", topic, b.Encode(time.Now().UnixMilli())) },
	} {
		before, err := cpuOf(r.Nodes()[0].Pid())
		if err != nil {
			return nil, err
		}
		var all errgroup.Group
		for range publishers {
			all.Go(func() error {
				for range rounds {
					pipe := c.GoRedis().Pipeline()
					for range perPipeline {
						_ = pipe.Process(ctx, command()) // Exec tells
					}
					if _, err := pipe.Exec(ctx); err != nil {
						return fmt.Errorf("publish: %w", err)
					}
				}
				return nil
			})
		}
		if err := all.Wait(); err != nil {
			return nil, err
		}
		after, err := cpuOf(r.Nodes()[0].Pid())
		if err != nil {
			return nil, err
		}
		figures[name] = float64((after - before).Microseconds()) / float64(rounds*publishers*perPipeline)
	}
	return figures, nil
}
