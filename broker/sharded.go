package broker

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// askSharded finds out whether topics travel by sharded pub/sub: in a Cluster all of whose masters know it (Redis 7.0).
// All nodes of Rollcall must come to the same answer, so a master that can't be asked decides nothing.
func (b *Broker) askSharded(ctx context.Context) (bool, error) {
	if b.kind != Cluster {
		return false, nil
	}
	var asked, old atomic.Int64
	err := b.eachMaster(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		known, err := c.Do(ctx, "command", "info", "spublish").Slice()
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
		b.cfg.Log.Warn("this redis cluster has no sharded pub/sub: every message crosses all of its nodes; redis 7.0 or later is better")
		return false, nil
	}
	return true, nil
}

// place returns where topic is to be subscribed now, as the topology has it that commands go by too. Where a slot
// has no master it is any node, which will refuse.
func (b *Broker) place(ctx context.Context, topic string) (place, error) {
	if !b.keys.shards(topic) {
		return place{}, nil
	}
	cluster, ok := b.client.(*redis.ClusterClient)
	if !ok {
		return place{}, nil
	}
	node, err := cluster.MasterForKey(ctx, topic)
	if err != nil {
		return place{}, err
	}
	return place{addr: node.Options().Addr, node: node}, nil
}

// rereadTopology has go-redis read the slots of a Cluster again, in the background and not too often.
func (b *Broker) rereadTopology(ctx context.Context) {
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}
