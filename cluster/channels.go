package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"
)

// channelsOf reads where an incarnation had presence, in pages; sorted.
func (c *Cluster) channelsOf(ctx context.Context, inc string) ([]string, error) {
	seen := map[string]struct{}{}
	for cursor := uint64(0); ; {
		cmd := redis.NewScanCmd(ctx, nil, "sscan", c.keys.NodeChannels(inc), cursor, "count", 500)
		if err := c.cfg.Redis.Batch(ctx, []redis.Cmder{cmd}); err != nil {
			return nil, fmt.Errorf("list channels: %w", err)
		}
		page, next, err := cmd.Result()
		if err != nil {
			return nil, fmt.Errorf("list channels: %w", err)
		}
		for _, ch := range page {
			seen[ch] = struct{}{}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// Channels lists the channels where any incarnation has presence, those that wait to be reaped included. An entry is
// written after its channel is on the list, so none is missing in which somebody is present when it is called.
func (c *Cluster) Channels(ctx context.Context) ([]string, error) {
	lists := []*redis.StringSliceCmd{redis.NewStringSliceCmd(ctx, "zrange", c.keys.Nodes(), 0, -1),
		redis.NewStringSliceCmd(ctx, "zrange", c.keys.Reaping(), 0, -1)}
	if err := c.cfg.Redis.Batch(ctx, []redis.Cmder{lists[0], lists[1]}); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var all []string
	for _, list := range lists {
		incs, err := list.Result()
		if err != nil {
			return nil, fmt.Errorf("list nodes: %w", err)
		}
		for _, inc := range incs {
			channels, err := c.channelsOf(ctx, inc)
			if err != nil {
				return nil, err
			}
			all = append(all, channels...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
