package redisconn

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// askSharded finds out whether topics travel by sharded pub/sub: in a Cluster all of whose masters know it (Redis 7.0).
// All nodes of Rollcall must come to the same answer, so a master that can't be asked decides nothing.
func (c *Client) askSharded(ctx context.Context) (bool, error) {
	if c.kind != Cluster {
		return false, nil
	}
	var asked, old atomic.Int64
	err := c.eachMaster(ctx, func(ctx context.Context, master redis.UniversalClient) error {
		known, err := master.Do(ctx, "command", "info", "spublish").Slice()
		if err != nil {
			return err
		}
		if asked.Add(1); len(known) == 0 || known[0] == nil {
			old.Add(1)
		}
		return nil
	})
	if asked.Load() == 0 {
		return false, fmt.Errorf("ask for sharded pub/sub: %w", classify(err))
	}
	if old.Load() > 0 {
		c.cfg.Log.Warn("this redis cluster has no sharded pub/sub: " +
			"every message crosses all of its nodes; redis 7.0 or later is better")
		return false, nil
	}
	return true, nil
}

// clusterEnabled asks a single server whether it is a node of a Cluster.
func (c *Client) clusterEnabled(ctx context.Context) bool {
	info, err := c.redis.Info(ctx, "cluster").Result()
	return err == nil && infoField(info, "cluster_enabled") == "1"
}

// warnOfEviction logs when Redis may throw keys away for want of memory.
func (c *Client) warnOfEviction(ctx context.Context) {
	if c.embedded != nil {
		return
	}
	err := c.eachMaster(ctx, func(ctx context.Context, master redis.UniversalClient) error {
		info, err := master.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		policy := infoField(info, "maxmemory_policy")
		if policy != "" && policy != "noeviction" && infoField(info, "maxmemory") != "0" {
			c.cfg.Log.Warn("redis may evict keys, and presence with them: set maxmemory-policy noeviction",
				"maxmemory-policy", policy)
		}
		return nil
	})
	if err != nil {
		c.cfg.Log.Debug("could not read redis's memory policy", "error", err)
	}
}

// eachMaster calls fn for the Redis process, or for each master of a Cluster, there concurrently.
func (c *Client) eachMaster(ctx context.Context, fn func(context.Context, redis.UniversalClient) error) error {
	if cluster, ok := c.redis.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return fn(ctx, master) })
	}
	return fn(ctx, c.redis)
}

// infoField returns the value of one line "name:value" of an answer to INFO, or "".
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
